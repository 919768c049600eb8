"""Messages for the page, without the paths of this machine."""

import re

_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:[^\s:;,'\"()<>/\\]+[/\\])*([^\s:;,'\"()<>/\\]*)")


def without_paths(message: str, *known: str) -> str:
    """The message with every absolute path cut to its last part. known: paths that may have spaces in them."""
    for path in sorted(filter(None, known), key=len, reverse=True):
        name = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
        message = message.replace(path, name)
    return _PATH.sub(lambda found: found[1] or "a folder", " ".join(message.split()))
