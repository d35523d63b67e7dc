"""The sources of a public data set's files: plain addresses, a Zenodo record, a data repository on the hub.

A reader names them in `GET`, part -> sources; the first part is the usual one. `files` turns a source into files with
addresses, and with sizes and checksums where the owner's service states them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any
from urllib.parse import quote

from discern_vqa.errors import DataError
from discern_vqa.files import from_json
from discern_vqa.reading.download import Unreachable, fetch_text

HUB, ZENODO = "https://huggingface.co", "https://zenodo.org"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file to download.

    Args:
        name: where it goes, relative to the data set's folder, with "/".
        urls: the owner's address, then mirrors.
        size: in bytes; 0 where it is not known.
        checksum: "sha256:...", "md5:..." or "git:..." (the SHA-1 of a git object); "" where it is not known.
        unpack: an archive, unpacked into `into` and then removed.
        into: a folder relative to the data set's; "" for the data set's own.
        inner: archives inside the archive that are unpacked where they lie.
    """

    name: str
    urls: tuple[str, ...]
    size: int = 0
    checksum: str = ""
    unpack: bool = False
    into: str = ""
    inner: tuple[str, ...] = ()

    def files(self) -> list["File"]:
        """Itself."""
        return [self]


@dataclass(frozen=True, kw_only=True)
class Zenodo:
    """Files of a Zenodo record; archives among them are unpacked."""

    record: int
    names: Sequence[str]
    inner: tuple[str, ...] = ()
    mirrors: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ZENODO

    def files(self) -> list[File]:
        """The named files, with the sizes and checksums that the record states; without them if it does not answer."""
        try:
            listed = from_json(fetch_text(f"{self.endpoint}/api/records/{self.record}"))
            stated = {entry["key"]: entry for entry in listed["files"]}
        except Unreachable:
            stated = {}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"Zenodo's record {self.record} cannot be read", hint="try again later") from error
        return [self._file(name, stated.get(name, {})) for name in self.names]

    def _file(self, name: str, about: Mapping[str, Any]) -> File:
        direct = f"{self.endpoint}/records/{self.record}/files/{quote(name)}?download=1"
        return File(
            name=name,
            urls=(direct, self.mirrors[name]) if name in self.mirrors else (direct,),
            size=int(about.get("size", 0)),
            checksum=str(about.get("checksum", "")),
            unpack=name.endswith(".zip"),
            inner=self.inner,
        )


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Files of a data repository on the hub (honours HF_ENDPOINT), by patterns; archives among them are unpacked."""

    repository: str
    patterns: Sequence[str]
    revision: str = "main"

    def files(self) -> list[File]:
        """The files that fit a pattern. Raises DataError when the hub does not answer, or a pattern fits nothing."""
        endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
        where = f"{endpoint}/api/datasets/{self.repository}/tree/{self.revision}?recursive=true"
        try:
            entries = from_json(fetch_text(where))
            listed = {str(entry["path"]): entry for entry in entries if entry["type"] == "file"}
        except Unreachable as error:
            raise DataError(
                f"the hub does not answer: {error}", hint="try again later, or set HF_ENDPOINT to a mirror of it"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where} is no list of files", hint="check HF_ENDPOINT") from error
        files: list[File] = []
        for pattern in self.patterns:
            names = sorted(name for name in listed if fnmatch(name, pattern))
            if not names:
                raise DataError(
                    f"{self.repository} has no file {pattern} any more",
                    hint="look at the repository, and download the file by hand",
                )
            files += [self._file(name, listed[name], endpoint) for name in names]
        return files

    def _file(self, name: str, about: Mapping[str, Any], endpoint: str) -> File:
        checksum = f"git:{about['oid']}" if about.get("oid") else ""
        large = about.get("lfs")
        if isinstance(large, Mapping) and large.get("oid"):
            checksum = f"sha256:{large['oid']}"
        return File(
            name=name,
            urls=(f"{endpoint}/datasets/{self.repository}/resolve/{self.revision}/{quote(name)}",),
            size=int(about.get("size", 0)),
            checksum=checksum,
            unpack=name.endswith(".zip"),
        )


Source = File | Zenodo | Hub
