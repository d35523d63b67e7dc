"""A file that lies in memory and has no name on the disk: it is gone with the process, however that ends.

For what an archive sends: it holds the patient's name. Where the system has no such files (other than Linux), it is a
file that only its owner reads, in a folder that is removed afterwards.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_file(content: bytes) -> Iterator[Path]:
    """The path under which this process opens `content`, inside the block."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryDirectory(prefix="discern-") as folder:  # readable by its owner alone
            file = Path(folder) / "image"
            file.write_bytes(content)
            yield file
        return
    # Its name is what a real path of it shows: two of other content must not be taken for one image.
    number = os.memfd_create(f"discern-{hashlib.sha256(content).hexdigest()}", os.MFD_CLOEXEC)
    try:
        with open(number, "wb", closefd=False) as opened:
            opened.write(content)
        yield Path(f"/proc/{os.getpid()}/fd/{number}")
    finally:
        os.close(number)
