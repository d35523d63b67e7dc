"""Which image of an archive is meant, and which archive: both are checked before anything is asked."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from discern_vqa.errors import ConfigError, DataError

_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_FORM = "study/series/instance, three UIDs with slashes between, as 1.2.840.1/1.2.840.2/1.2.840.3"
_LOCAL = ("localhost", "localhost.localdomain")


@dataclass(frozen=True)
class Address:
    """An image of an archive. choice: what stands behind a file's name too (`#frame=3`); "" for none."""

    study: str
    series: str
    instance: str
    choice: str = ""

    def __str__(self) -> str:
        return f"{self.study}/{self.series}/{self.instance}{self.choice}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """From `study/series/instance`, or a DICOMweb path `studies/.../series/.../instances/...`, with choices behind
        it. Raises DataError: it is neither."""
        name, sign, choice = text.strip().partition("#")
        parts = [part for part in name.split("/") if part]
        if len(parts) == 6 and parts[::2] == ["studies", "series", "instances"]:
            parts = parts[1::2]
        if len(parts) != 3 or not all(map(_UID.fullmatch, parts)):
            raise DataError(f"{text[:200]!r} is no image of an archive; expected {_FORM}", hint=f"write {_FORM}")
        study, series, instance = parts
        return cls(study, series, instance, f"{sign}{choice}")


def checked_uid(text: str, option: str) -> str:
    """A UID as PS3.5 9.1 has it. Raises ConfigError."""
    if not _UID.fullmatch(text.strip()):
        raise ConfigError(
            f"{option} {text!r} is no UID; expected numbers with dots between, at most 64 characters",
            hint=f"for example {option} 1.2.840.113619.2.55.3",
        )
    return text.strip()


def checked_url(text: str) -> str:
    """The address of a DICOMweb service, without a slash at its end.

    Raises ConfigError: it is none, holds credentials or a query, or would send images of patients through a network
    unencrypted.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is no address: {error}", hint=_EXAMPLE) from error
    if "@" in parts.netloc:
        raise ConfigError(
            f"the address of {host or 'the archive'} holds a user or password, which would stand in lists of commands",
            hint="set DISCERN_DICOMWEB_USER and DISCERN_DICOMWEB_PASSWORD, or write them into ~/.netrc",
        )
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.query
        or parts.fragment
        or re.search(r"\s", text.strip())
    ):
        raise ConfigError(f"{text!r} is no address of a DICOMweb service", hint=_EXAMPLE)
    if parts.scheme == "http" and not _is_local(host):
        raise ConfigError(
            f"{text} is not encrypted: images of patients would pass the network in the clear",
            hint=f"use https://, or a tunnel: ssh -N -L 8042:localhost:{port or 80} {host}, then http://localhost:8042"
            f"{parts.path}",
        )
    return text.strip().rstrip("/")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOCAL


_EXAMPLE = "for example https://pacs.example.org/dicom-web, or Orthanc on this machine: http://localhost:8042/dicom-web"
