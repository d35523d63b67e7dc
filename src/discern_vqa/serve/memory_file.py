"""Bytes in memory that the readers of image files open by a path: an upload never touches a disk.

Linux has files without a name for this (memfd_create), which end with the process, however it ends. Other systems get
a folder of their own that only this user can read, which is removed with the object.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

HELD = "discern-held-"


class MemoryFile:
    """`path` is there as long as this object is."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("discern")
            weakref.finalize(self, os.close, handle)
            with open(handle, "wb", closefd=False) as file:
                file.write(content)
            self.path = Path(f"/proc/self/fd/{handle}")
        else:
            folder = Path(tempfile.mkdtemp(prefix=HELD))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self.path = folder / f"{HELD}image"
            self.path.write_bytes(content)
