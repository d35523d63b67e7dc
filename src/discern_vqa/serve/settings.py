"""What a service is told when it starts, and its limits. No torch here."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from discern_vqa.errors import ConfigError
from discern_vqa.run_folder import require_asked

LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEEP_ALIVE = 75
"""Seconds that a connection without a request is kept: longer than proxies (nginx: 60) and clients (5 to 60) keep
theirs, so that they close it, and none sends a request into a connection that is just being closed."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one service. Sizes in bytes, times in seconds."""

    body: int = 64 << 20
    json_body: int = 1 << 20
    in_flight: int = 256 << 20  # bodies that are being received, together
    running: int = 512  # requests, those that are being received and those that wait among them
    pause: float = 30.0  # between two pieces of a body
    images: int = 512
    image_bytes: int = 512 << 20
    keep: float = 900.0  # after the last use of an image
    files: int = 1000  # of one upload
    questions: int = 64
    question: int = 1000  # characters
    waiting: int = 64
    wait: float = 10.0
    answer: float = 60.0
    batch: int = 16  # questions
    drain: float = 20.0


@dataclass(frozen=True)
class Settings:
    """See docs/serve.md. `runs`: name -> folder, the first one is used where a request names none."""

    runs: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = 8765
    hostnames: tuple[str, ...] = ()
    key_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    corrections: Path | None = None
    access_log: Path | None = None
    dicomweb: str = ""
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def is_local(self) -> bool:
        return self.host in LOOPBACK

    @property
    def hosts(self) -> frozenset[str]:
        """The names by which the service may be called, in lower case and without a port."""
        return frozenset((*LOOPBACK, self.host.lower(), *(name.lower() for name in self.hostnames)))


def named(folders: list[Path]) -> dict[str, Path]:
    """Runs by the names of their folders. Raises ConfigError: two of one name; RunError: one is no finished run."""
    runs: dict[str, Path] = {}
    for folder in folders:
        require_asked(folder, finished=True)
        name = folder.resolve().name
        if name in runs:
            raise ConfigError(
                f"{runs[name]} and {folder} are both called {name!r}, and a run is named by its folder",
                hint=f"rename one of the folders: mv {folder} {folder.with_name(f'{name}-2')}",
            )
        runs[name] = folder
    return runs


def check(settings: Settings) -> None:
    """Raises ConfigError where the service would be open to others without a key or without encryption."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key go together", hint="--tls-cert cert.pem --tls-key key.pem")
    if settings.dicomweb:
        from discern_vqa.dicomweb.address import checked_url

        checked_url(settings.dicomweb)
    for file in (settings.tls_cert, settings.tls_key):
        if file is not None and not file.is_file():
            raise ConfigError(f"there is no file {file}", hint="name the certificate and its key, as PEM files")
    if settings.is_local:
        return
    if settings.key_file is None:
        raise ConfigError(
            f"--host {settings.host} lets other computers in, and there is no --key-file",
            hint="discern serve RUN --new-key NAME --key-file keys.jsonl, then add --key-file keys.jsonl",
        )
    if settings.tls_cert is None and not settings.behind_proxy:
        raise ConfigError(
            f"--host {settings.host} would send images and keys over the network without encryption",
            hint="add --tls-cert cert.pem --tls-key key.pem, or --behind-proxy where a proxy ends TLS",
        )


def require_free_port(settings: Settings) -> None:
    """Raises ConfigError before any run is opened: another program listens there, or this user may not. What else is
    wrong with an address is told when the service listens."""
    reasons = {errno.EADDRINUSE: "another program listens there", errno.EACCES: "this user may not"}
    for error in against_listening(settings.host, settings.port):
        if error.errno in reasons:
            raise ConfigError(
                f"--port {settings.port} is not available on {settings.host}: {reasons[error.errno]}",
                hint="--port with the number of one that is free",
            ) from error


def against_listening(host: str, port: int, family: int = socket.AF_UNSPEC) -> Iterator[OSError]:
    """What the system says against listening there, for each address that the name stands for."""
    try:
        places = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        yield error
        return
    for version, kind, _, _, place in places:
        try:
            with socket.socket(version, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if version == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
        except OSError as error:
            yield error
