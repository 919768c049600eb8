"""Names that come from files and are to become paths."""

import re


def is_inside(name: object, depth: int | None = None) -> bool:
    """Whether a name, put behind a folder, stays in it on every system. depth: how many parts it may have at most."""
    if not isinstance(name, str) or "\\" in name or "\0" in name or re.match("[A-Za-z]:", name):
        return False
    parts = name.split("/")
    return not any(part in ("", ".", "..") for part in parts) and (depth is None or len(parts) <= depth)
