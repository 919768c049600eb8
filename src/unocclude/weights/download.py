"""Download one file over https, with limits of time and size."""

import os
import stat
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import Request

from unocclude.errors import UnoccludeError
from unocclude.net import ERRORS, open_url

SCHEMES: tuple[str, ...] = ("https",)
MAX_BYTES = 4 << 30
"""Maximum size; the largest file in the table has about 0.5 GB."""
MAX_SECONDS = 6 * 3600.0
KEPT = "the downloaded part is kept; try again later"


def download(address: str, half: Path) -> None:
    """Download a URL to the file `half`, continuing an earlier download.

    Raises UnoccludeError if the download is not complete.
    """
    if urlsplit(address).scheme not in SCHEMES:
        raise UnoccludeError(f"{address} is not fetched: the address does not begin with https")
    half.parent.mkdir(parents=True, exist_ok=True)
    done = _begun(half)
    request = Request(address, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with open_url(request, MAX_SECONDS, SCHEMES) as answer:
            goes_on = answer.status == 206
            if done and not goes_on:
                half.unlink()
                done = 0
            expected = done + int(answer.headers.get("Content-Length") or 0)
            if expected > MAX_BYTES:
                raise UnoccludeError(f"{address} has {expected} bytes, more than {MAX_BYTES}; nothing is fetched")
            with _open(half, done) as file:
                while block := answer.read1(1 << 20):
                    file.write(block)
                    if file.tell() > MAX_BYTES:
                        raise UnoccludeError(f"{address} has more than {MAX_BYTES} bytes; the download was stopped")
    except ERRORS as error:
        raise UnoccludeError(f"{address} could not be fetched: {error}; {KEPT}") from error
    if half.stat().st_size < expected:
        raise UnoccludeError(f"{address} was only partly downloaded; {KEPT}")


def _begun(half: Path) -> int:
    """Size in bytes of an earlier partial download. Anything but a regular file, such as a planted link, is removed."""
    try:
        about = half.lstat()
    except FileNotFoundError:
        return 0
    if stat.S_ISREG(about.st_mode) and about.st_nlink == 1:
        return about.st_size
    half.unlink()
    return 0


def _open(half: Path, done: int) -> BinaryIO:
    """Open the partial file for appending, or create it exclusively; never follows a link."""
    flags = os.O_WRONLY | os.O_APPEND if done else os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    if not done:
        half.unlink(missing_ok=True)
    return os.fdopen(os.open(half, flags, 0o644), "ab" if done else "wb")
