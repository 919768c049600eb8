"""Read untrusted JSON files. Their size and memory are limited before they are parsed."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from unocclude.errors import InputError

MAX_BYTES = 512 << 20
"""Maximum size of a file. Annotations of data sets such as COCOA and KINS have a few hundred MB."""
MAX_DEPTH = 64
_MAX_MEMORY = 1_600 << 20
_WEIGHTS = {"[": 64, "{": 240, ",": 36, '"': 28}  # bytes of memory in CPython for each occurrence in the text
_WIDE = 4  # maximum bytes per character in CPython, if a text is not ASCII
_CONTAINERS = {list, dict}


def read_text(path: Path, most: int = MAX_BYTES, remedy: str = "download it again") -> str:
    """Read a regular UTF-8 file, with or without a byte order mark; raises InputError for anything else."""
    try:
        if not path.is_file():  # a pipe or device might never end
            raise InputError(f"{path} is no regular file; give one")
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(data) > most:
        raise InputError(f"{path} has over {most >> 20} MB, too many for such a file; check the path")
    if len(data) > most // _WIDE and not data.isascii():
        raise InputError(f"{path} has over {most // _WIDE >> 20} MB and is not plain ASCII; escape or split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8 (byte {error.start}); {remedy}") from None


def read_json(path: Path, most: int = MAX_BYTES, remedy: str = "download it again", *, finite: bool = True) -> Any:
    """Read a JSON file. Raises InputError, with `remedy`, if it is invalid, too large or nested too deeply.

    finite: refuse NaN and Infinity, which are not JSON but which Python writes.
    """
    return parse_json(read_text(path, most, remedy), path, remedy, finite=finite)


def parse_json(text: str, path: Path, remedy: str = "download it again", *, finite: bool = True) -> Any:
    """Parse JSON as `read_json` does; `path` is used in messages."""
    strings = len(text) * (1 if text.isascii() and "\\u" not in text else _WIDE)
    memory = sys.getsizeof(text) + strings + sum(weight * text.count(sign) for sign, weight in _WEIGHTS.items())
    if memory > _MAX_MEMORY:
        raise InputError(f"{path} would need over {_MAX_MEMORY >> 20} MB of memory; split it")
    try:
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_constant if finite else None)
    except RecursionError:
        raise InputError(f"{path} is nested too deep; {remedy}") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); {remedy}") from None
    if _is_deep(content):
        raise InputError(f"{path} is nested over {MAX_DEPTH} deep; {remedy}")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _is_deep(content: Any) -> bool:
    """Whether the content is nested so deeply that copying or writing it could overflow the stack."""
    level = [[content]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            list(child.values()) if isinstance(child, dict) else child
            for parent in level
            if not _CONTAINERS.isdisjoint(map(type, parent))  # skips the many lists of numbers
            for child in parent
            if isinstance(child, list | dict)
        ]
        if not level:
            return False
    return True
