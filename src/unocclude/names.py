"""Check names from files before they are used as paths."""

import re


def is_inside(name: object, depth: int | None = None) -> bool:
    """Whether folder / name stays inside the folder on every system. depth: maximum number of parts of the name."""
    if not isinstance(name, str) or "\\" in name or "\0" in name or re.match("[A-Za-z]:", name):
        return False
    parts = name.split("/")
    return not any(part in ("", ".", "..") for part in parts) and (depth is None or len(parts) <= depth)
