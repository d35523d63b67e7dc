"""The users' keys: one line of JSON for each user, with a salted scrypt hash of the key, never the key itself.

    {"version": 1, "user": "anna", "salt": "...", "hash": "..."}

A key is NAME.SECRET, the secret 32 random bytes. A checked key is remembered as a keyed digest for as long as the
process runs: scrypt is slow on purpose. No torch here.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from discern_vqa.errors import ConfigError
from discern_vqa.files import atomic_write_text, from_json

_COST = {"n": 1 << 14, "r": 8, "p": 1}  # 16 MiB and some 50 ms for each check (RFC 7914)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
VERSION = 1


@dataclass(frozen=True)
class _Stored:
    salt: bytes
    hash: bytes


@dataclass(eq=False)
class Keys:
    """The keys of a file. `user_of` takes some 50 ms for a key that was not seen before: call it in a thread."""

    stored: dict[str, _Stored]
    _seen: dict[bytes, str] = field(default_factory=dict)
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _slow: Lock = field(default_factory=Lock)

    @classmethod
    def read(cls, file: Path) -> "Keys":
        """Raises ConfigError: the file is missing, broken, empty, or others may read it."""
        hint = f"discern serve RUN --new-key NAME --key-file {file}"
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            is_open = os.name == "posix" and file.stat().st_mode & 0o077
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the key file {file} cannot be read: {error}", hint=hint) from error
        if is_open:
            raise ConfigError(f"others may read the key file {file}", hint=f"chmod 600 {file}")
        stored = {}
        for number, line in enumerate(lines, start=1):
            try:
                entry = from_json(line)
                salt, digest = (base64.b64decode(entry[name], validate=True) for name in ("salt", "hash"))
                if entry["version"] != VERSION or not _NAME.fullmatch(entry["user"]) or len(digest) != 64:
                    raise ValueError("not of this version")
            except (ValueError, LookupError, TypeError) as error:
                raise ConfigError(f"{file}:{number}: this line is no key: {error}", hint=hint) from error
            stored[entry["user"]] = _Stored(salt, digest)
        if not stored:
            raise ConfigError(f"the key file {file} has no key", hint=hint)
        return cls(stored)

    def seen(self, key: str) -> str | None:
        """Whose key it is, of a key that was checked before; None: not known yet."""
        return self._seen.get(self._digest(key))

    def user_of(self, key: str) -> str | None:
        """Whose key it is; None for a wrong one. One at a time, so that wrong keys cannot take all processors."""
        name, _, secret = key.partition(".")
        known = self.stored.get(name)
        reference = known or _Stored(bytes(16), bytes(64))  # as long for a name that there is not
        with self._slow:
            is_right = hmac.compare_digest(_hash(secret, reference.salt), reference.hash)
        if not is_right or known is None:
            return None
        self._seen[self._digest(key)] = name
        return name

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self._secret, key.encode("utf-8", "surrogateescape"), "sha256")


def new_key(file: Path, name: str) -> str:
    """Makes a key for a user and adds its hash to the file, which nobody else may read. The user's key of before, if
    there is one, no longer holds. Raises ConfigError: no name of a user."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a user", hint="letters, digits, - and _, at most 64")
    lines = []
    if file.exists():
        Keys.read(file)
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if from_json(line)["user"] != name]
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    entry = {"version": VERSION, "user": name, "salt": _text(salt), "hash": _text(_hash(secret, salt))}
    mask = os.umask(0o077)
    try:
        atomic_write_text(file, "".join(f"{line}\n" for line in [*lines, json.dumps(entry)]))
    finally:
        os.umask(mask)
    return f"{name}.{secret}"


def _hash(secret: str, salt: bytes) -> bytes:
    given = secret.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(given, salt=salt, **_COST)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
