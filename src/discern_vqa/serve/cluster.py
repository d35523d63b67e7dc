"""`discern serve RUN --cluster`: starts Ray (or joins one), the service on it, waits, and takes all of it down.

Ray's own ports are no part of the service, and one of them runs whatever is sent to it: Ray Serve opens a port for each
replica, on all interfaces, and unpickles what comes. So this refuses to start where another computer could reach it,
unless Ray encrypts and authenticates its connections (RAY_USE_TLS), or the user says that a firewall stands before it
(`--behind-proxy`). A Ray that is started here keeps every other port on 127.0.0.1.
"""

import errno
import importlib.util
import logging
import os
import secrets
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from discern_vqa.errors import ConfigError, DiscernError, RunError
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import KEEP_ALIVE, Settings, against_listening

LOCAL = "local"
"""In place of an address: a Ray of one node, started here."""
_MARGIN = 256 << 20
"""Bytes of Ray's memory beside those of the images."""
_OPENING = 600.0
"""Seconds that the replicas may take to open their runs."""
_PAUSE = 0.2
_SHORT = 20
_CHECKED_EVERY = 5.0


class ReplicaError(RunError):
    """The replicas do not start, or end again and again; Ray's logs say why, and are left where they are."""

    def __init__(self, message: str, logs: Path) -> None:
        super().__init__(message, hint=f"read the newest file under {logs}/session_latest/logs/serve")


def is_installed() -> bool:
    return importlib.util.find_spec("ray") is not None


def check_cluster(settings: Settings, address: str) -> None:
    """Raises ConfigError: ray is not installed, the port is taken, no Ray listens on the address, or others could reach
    the ports that Ray opens."""
    if not is_installed():
        raise ConfigError("--cluster needs ray", hint="pip install 'discern-vqa[cluster]'")
    if not settings.port:
        raise ConfigError("--cluster needs a port of its own", hint="--port 8765")
    _check_port(settings.host, settings.port)
    _check_address(address)
    if settings.behind_proxy or os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return
    if others := interfaces_to_others():
        raise ConfigError(
            "Ray Serve opens a port for each replica on all interfaces, and runs what is sent to it; others reach this "
            f"machine by {', '.join(others)}",
            hint="--behind-proxy where a firewall lets nobody in, or RAY_USE_TLS=1; docs/cluster.md has all ways",
        )


def _check_address(address: str) -> None:
    """Raises ConfigError: no Ray listens there. Ray itself would look for it for minutes."""
    if address == LOCAL:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(
            f"--cluster {address} is no address of a Ray", hint="--cluster local, or HOST:PORT as ray start printed it"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise ConfigError(
            f"no Ray listens on {address}: {error}", hint=f"ray start --head --port {port}, or --cluster local"
        ) from error


def _check_port(host: str, port: int) -> None:
    """Raises ConfigError: nobody can listen there. Ray would say so in a log."""
    for error in against_listening(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET):
        is_elsewhere = error.errno == errno.EADDRNOTAVAIL
        raise ConfigError(
            f"nothing can listen on {host}, port {port}: {error.strerror}",
            hint="--host with an address of this machine" if is_elsewhere else f"--port {port % 65535 + 1}",
        ) from error


def interfaces_to_others() -> list[str]:
    """The network interfaces that are up and lead out of this machine (Linux; elsewhere all but those called lo)."""
    names = [name for _, name in socket.if_nameindex()]
    if sys.platform != "linux":
        return [name for name in names if not name.startswith("lo")]
    import fcntl

    outward = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for name in names:
            request = struct.pack("16sH14s", name.encode()[:15], 0, b"")
            with suppress(OSError):
                (flags,) = struct.unpack_from("16xH", fcntl.ioctl(any_socket, 0x8913, request))  # SIOCGIFFLAGS
                is_up, is_loopback = flags & 0x1, flags & 0x8
                if is_up and not is_loopback:
                    outward.append(name)
    return outward


def serve_on_cluster(settings: Settings, address: str, replicas: int) -> None:
    """Serves until SIGTERM or Ctrl-C. address: of a Ray (`HOST:PORT`), or "local".

    Raises ConfigError: see `check_cluster`, or there is no Ray at that address; RunError: a run cannot be opened.
    """
    check_cluster(settings, address)
    Service(settings)  # reads and opens every file that it names: what is wrong is said here, and not in Ray's logs
    # In this order: ray takes SIGTERM for itself.
    with _ray(settings, address, replicas) as (node, logs), _stops() as stopped:
        from ray import serve

        from discern_vqa.serve.on_ray import APPLICATION, application

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        started = time.monotonic()
        _say(f"loading {', '.join(settings.runs)} in {replicas} replica{'s' * (replicas != 1)} ...")
        serve.start(proxy_location="HeadOnly", http_options=_http(settings))
        try:
            _start(application(settings, replicas, node), logs)
            scheme = "https" if settings.tls_cert else "http"
            _say(
                f"ready after {time.monotonic() - started:.0f} s, listening on {scheme}://{settings.host}:{settings.port}"
            )
            _watch(stopped, logs)
        finally:
            serve.delete(APPLICATION)  # waits until what was begun is finished


@contextmanager
def _ray(settings: Settings, address: str, replicas: int) -> Iterator[tuple[str, Path]]:
    """A Ray that this process is connected to; gives this machine's address in it, and where its logs lie. One that was
    started here ends with it, and leaves no file, but where its replicas failed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder: Path | None = None
    options: dict[str, Any] = {"address": address}
    if address == LOCAL:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on Linux too: its ports are on 127.0.0.1
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        usual = tempfile.gettempdir()  # a name of a socket has at most 107 letters, of which Ray takes 64
        folder = Path(tempfile.mkdtemp(prefix="discern-ray-", dir=usual if len(usual) <= _SHORT else "/tmp"))
        options |= {
            "include_dashboard": False,
            "num_cpus": max(os.cpu_count() or 1, replicas),  # Ray would wait for processors that there are not
            "object_store_memory": settings.bounds.image_bytes + _MARGIN,
            "_temp_dir": str(folder),
            "_system_config": {"automatic_object_spilling_enabled": False},  # images never go to a disk
        }
    import ray

    is_wanted = False
    try:
        try:
            ray.init(**options, log_to_driver=False, configure_logging=False, namespace="discern")
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ConfigError(
                f"no Ray can be used at {address}: {str(error).splitlines()[0][:200]}",
                hint="ray status --address HOST:PORT says whether it runs; --cluster local starts one here",
            ) from error
        yield ray.util.get_node_ip_address(), folder or Path("/tmp/ray")
    except ReplicaError:
        is_wanted = True
        raise
    finally:
        ray.shutdown()
        if folder is not None and not is_wanted:
            shutil.rmtree(folder, ignore_errors=True)


def _http(settings: Settings) -> dict[str, Any]:
    encrypted = {"ssl_certfile": str(settings.tls_cert), "ssl_keyfile": str(settings.tls_key)}
    return {
        "host": settings.host,
        "port": settings.port,
        "keep_alive_timeout_s": KEEP_ALIVE,
        **(encrypted if settings.tls_cert else {}),
    }


def _start(application: Any, logs: Path) -> None:
    """Raises ReplicaError, or whatever a replica said when it opened the runs."""
    from ray import serve
    from ray.exceptions import RayError

    from discern_vqa.serve.on_ray import APPLICATION, MODELS

    try:
        serve.run(application, name=APPLICATION, route_prefix="/", blocking=False)
        handle = serve.get_deployment_handle(MODELS, app_name=APPLICATION)
        facts = handle.facts.remote().result(timeout_s=_OPENING)
    except (RayError, RuntimeError, TimeoutError) as error:
        raise ReplicaError(f"the replicas do not start ({type(error).__name__})", logs) from error
    if isinstance(facts, DiscernError):
        raise facts


@contextmanager
def _stops() -> Iterator[list[int]]:
    """A list that is not empty after SIGTERM or SIGINT."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(stopped: list[int], logs: Path) -> None:
    """Waits for a signal. Raises RunError: Ray ended, or gave the service up."""
    from ray import serve
    from ray.exceptions import RayError

    from discern_vqa.serve.on_ray import APPLICATION

    looked = time.monotonic()
    while not stopped:
        time.sleep(_PAUSE)
        if time.monotonic() - looked < _CHECKED_EVERY:
            continue
        looked = time.monotonic()
        try:
            status = serve.status().applications[APPLICATION].status
        except (RayError, LookupError) as error:
            raise RunError("Ray has ended", hint="ray status says whether it runs; then start this again") from error
        if status == "DEPLOY_FAILED":
            raise ReplicaError("Ray gave the service up: its replicas end again and again", logs)
    _say("ending: what was begun is finished")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
