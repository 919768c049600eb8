"""Locks, so that only one process at a time writes to a folder or file."""

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
    """A lock file (`filelock`). The system releases the lock when the process ends for any reason.

    On a file system without locks it has no effect. file: the lock file, which exists while the lock is held. what: the
    protected path, for messages.
    """

    def __init__(self, file: Path, what: Path):
        self.file, self.what = file, what
        self._held: FileLock | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> "Lock":
        """The lock of an OUT folder; the lock file is in the folder."""
        return cls(folder / LOCK_FILE, folder)

    @classmethod
    def of_file(cls, file: Path) -> "Lock":
        """The lock of an output file.

        The lock file is in the system's temporary folder, so that a killed process leaves nothing next to the file.
        """
        name = hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:32]
        return cls(Path(tempfile.gettempdir()) / f"unocclude-{name}.lock", file)

    def take(self) -> None:
        """Acquire the lock, unless this object holds it; raises InputError if another process holds it."""
        if self._held is not None:
            return
        from filelock import FileLock, Timeout

        lock = FileLock(self.file, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"another run is writing to {self.what}; wait until it ends, or write to another place"
            ) from None
        except NotImplementedError:  # a file system without locks
            return
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                return
            raise
        self._held = lock

    def release(self) -> None:
        """Release the lock and remove its file; does nothing if the lock is not held."""
        if self._held is not None:
            with suppress(OSError):  # removed while locked: a waiting process notices and creates a new one
                self.file.unlink()
            self._held.release()
            self._held = None

    def __del__(self) -> None:
        self.release()
