"""One process at a time in a folder, or at work on a file."""

import errno
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unocclude.errors import InputError
from unocclude.layout import LOCK_FILE

if TYPE_CHECKING:
    from filelock import FileLock


class Lock:
    """A lock file (`filelock`). The system lifts the lock when the process ends, however that happens; on a file system
    without locks it holds nobody off.

    file: the lock file, there while the lock is held. what: what it guards, for messages.
    """

    def __init__(self, file: Path, what: Path):
        self.file, self.what = file, what
        self._held: FileLock | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> "Lock":
        """The lock of a folder that this tool writes; the lock file lies in it."""
        return cls(folder / LOCK_FILE, folder)

    @classmethod
    def of_file(cls, file: Path) -> "Lock":
        """The lock of one file to write. The lock file lies in the system's temporary folder, so that a kill leaves
        nothing beside the file."""
        name = hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:32]
        return cls(Path(tempfile.gettempdir()) / f"unocclude-{name}.lock", file)

    def take(self) -> None:
        """Take the lock, unless it is already held; InputError where another process has it."""
        if self._held is not None:
            return
        from filelock import FileLock, Timeout

        lock = FileLock(self.file, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(f"another run is writing to {self.what}; wait for it, or write to another place") from None
        except NotImplementedError:  # a file system without locks
            return
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                return
            raise
        self._held = lock

    def release(self) -> None:
        """Give the lock back and remove its file; nothing happens where it is not held."""
        if self._held is not None:
            with suppress(OSError):  # while it is held: who waits for it notices, and makes a new one
                self.file.unlink()
            self._held.release()
            self._held = None

    def __del__(self) -> None:
        self.release()
