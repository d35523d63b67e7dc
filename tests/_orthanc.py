"""A real archive (Orthanc) for tests, in a network of its own that nothing outside reaches.

Orthanc listens on all interfaces whatever it is told. So it runs in a network namespace that has but a loopback. A
listener that was opened before, on 127.0.0.1 of the machine and a free port, is handed to the process that starts it
and relays what comes: a socket stays in the network in which it was made. Orthanc ends with that process, and that
process ends when its input is closed, however the tests end.

    python tests/_orthanc.py FOLDER LISTENER       what `unshare --net` starts; see `orthanc`
"""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "reader", "b3tween-us"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
NEEDED = {"Orthanc": "orthanc", "dciodvfy": "dicom3tools", "dsrdump": "dcmtk", "unshare": "util-linux"}
"""Programs, and the Debian packages that bring them."""
_INSIDE = 8042


def missing() -> list[str]:
    """The Debian packages without which nothing here runs."""
    packages = [package for program, package in NEEDED.items() if shutil.which(program, path=_path()) is None]
    return packages + ["orthanc-dicomweb"] * (not PLUGIN.exists())


def namespace() -> list[str]:
    """The words before a command that give it a network of its own; none where the system forbids that."""
    ways = [["unshare", "--net"]] if os.geteuid() == 0 else []
    for words in [*ways, ["unshare", "--map-root-user", "--net"]]:
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return []


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@dataclass(frozen=True)
class Running:
    """url: of its DICOMweb service. folder: all that it keeps. log: all that it said."""

    url: str
    folder: Path
    log: Path


@contextmanager
def orthanc(folder: Path) -> Iterator[Running]:
    """An archive without images, which asks for USER and PASSWORD."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    command = [*namespace(), sys.executable, __file__, str(folder), str(listener.fileno())]
    log = folder / "orthanc.log"
    with open(log, "wb") as out:
        relay = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=out, pass_fds=[listener.fileno()], env=_environment()
        )
    listener.close()
    try:
        _wait(f"http://127.0.0.1:{port}/system", relay, log)
        yield Running(f"http://127.0.0.1:{port}/dicom-web", folder, log)
    finally:
        assert relay.stdin is not None
        relay.stdin.close()
        relay.wait(20)


def _environment() -> dict[str, str]:
    """Debian's build looks for DCMTK's dictionary at another place than it is at."""
    dictionaries = sorted(Path("/usr/share").glob("libdcmtk*/dicom.dic"))
    there = {"DCMDICTPATH": str(dictionaries[-1])} if dictionaries else {}
    return os.environ | there | {"PATH": _path()}


def _wait(url: str, relay: "subprocess.Popen[bytes]", log: Path) -> None:
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, url, USER, PASSWORD)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(manager))
    for _ in range(300):
        assert relay.poll() is None, log.read_text(errors="replace")
        with suppress(OSError), opener.open(url, timeout=2):
            return
        time.sleep(0.1)
    raise AssertionError(f"Orthanc does not answer: {log.read_text(errors='replace')}")


# -- inside the namespace ----------------------------------------------------------------------------------------------


def _serve(folder: Path, listener: socket.socket) -> None:
    raise_loopback()
    (folder / "store").mkdir()
    settings = {
        "Name": "TESTS",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "HttpPort": _INSIDE,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomServerEnabled": False,
        "SslEnabled": False,
        "OverwriteInstances": False,
        "DefaultEncoding": "Utf8",
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    archive = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], preexec_fn=_end_with_parent)
    threading.Thread(target=_relay, args=[listener], daemon=True).start()
    sys.stdin.buffer.read()
    archive.terminate()
    archive.wait(15)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 0x41, b""))  # SIOCSIFFLAGS: up and running


def _relay(listener: socket.socket) -> None:
    while True:
        outside, _ = listener.accept()
        try:
            inside = socket.create_connection(("127.0.0.1", _INSIDE))
        except OSError:  # it is not yet up
            outside.close()
            continue
        for pair in ((outside, inside), (inside, outside)):
            threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(sender: socket.socket, receiver: socket.socket) -> None:
    with suppress(OSError):
        while content := sender.recv(1 << 16):
            receiver.sendall(content)
    with suppress(OSError):
        receiver.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
