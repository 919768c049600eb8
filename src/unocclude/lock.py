"""One process at a time in a folder, without a file to leave behind."""

import os
from pathlib import Path

from unocclude.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """An exclusive lock on a folder itself (flock(2) on its descriptor): the kernel lifts it when the process ends,
    however that happens. Where the system or the file system has no such locks, it holds nobody off."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._held: int | None = None

    def take(self) -> None:
        """Take the lock, unless it is already held; InputError where another process has it."""
        if self._held is not None or fcntl is None:
            return
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(
                f"another run is writing to {self.folder}; wait for it, or give another folder for -o"
            ) from None
        except OSError:  # some network file systems lock no folders
            os.close(descriptor)
            return
        self._held = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def __del__(self) -> None:
        self.release()
