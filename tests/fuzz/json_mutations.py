"""Damaged files: values of a JSON swapped, dropped and nested, and bytes of any file changed."""

import copy
import json
import random
from typing import Any

VALUES: list[Any] = [
    None, True, 0, -1, 1, 3.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**32, 2**63, 10**30, -(2**40), 10**400,
    "", "x", "../x", "/etc/passwd", "a\0b", "a\nb", "\ud800", "é" * 300, "0" * 100_000, "~", "\x00", [], {}, [[]],
    [None], [[[[[]]]]], {"": {}}, {"size": [2, 2], "counts": "4"}, {"size": [2**32, 64], "counts": "0"},
    {"size": [4, 4], "counts": [16]}, {"size": [9999, 9999], "counts": [1]}, {"size": [-1, 4], "counts": []},
    [0, 0, 1e9, 0, 1e9, 1e9], [[0, 0, float("nan"), 0, 5, 5]], [[1, 2, 3, 4]], [1, 2, 3], list(range(1000)),
]  # fmt: skip
"""What takes the place of a value."""


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a JSON's content."""
    found, level = [], [content]
    while level:
        parent = level.pop()
        keys = list(parent) if isinstance(parent, dict) else range(len(parent))
        for key in keys:
            found.append((parent, key))
            if isinstance(parent[key], dict | list):
                level.append(parent[key])
    return found


def change(content: Any, rng: random.Random) -> Any:
    """A copy of a JSON's content with one to three places changed."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        known = places(content)
        if not known:
            return rng.choice(VALUES)
        parent, key = rng.choice(known)
        match rng.randrange(6):
            case 0:
                del parent[key]
            case 1:
                parent[key] = [parent[key]]
            case 2 if isinstance(parent, list):
                parent.extend([copy.deepcopy(parent[key])] * rng.choice((1, 2, 300)))
            case 2:
                parent[rng.choice(("../x", "/a", "", "a\nb", "x" * 5000, "-1", "1e5"))] = parent.pop(key)
            case 3 if isinstance(parent[key], str):
                parent[key] = change_text(parent[key], rng)
            case 3 if isinstance(parent[key], int | float):
                # a huge whole number cannot be halved
                factors = (-1, 0, 0.5, 2, 1000, 10**9) if abs(parent[key]) < 1e300 else (-1, 0, 2)
                parent[key] = parent[key] * rng.choice(factors)
            case _:
                parent[key] = copy.deepcopy(rng.choice(VALUES))
    return content


def change_text(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return rng.choice((text[:at], text[at:], text[:at] + rng.choice('0o~\0é"\\/.\n') + text[at:], text * 50))


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON file damaged in what it says, in how it says it, or both."""
    if rng.random() < 0.75:
        data = json.dumps(change(json.loads(data), rng)).encode("utf-8", "surrogatepass")
    match rng.randrange(12):
        case 0:
            return mutated_bytes(data, rng)
        case 1:
            return data.decode(errors="replace").encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")), "replace")
        case 2:
            depth = rng.choice((50, 100, 5_000, 200_000))
            return rng.choice((b"[" * depth + data + b"]" * depth, b'{"a":' * depth + data + b"}" * depth))
        case 3:
            return data.replace(b":", b":" + rng.choice((b"NaN,", b"1e999,", b"9" * 5000, b"-Infinity", b'"')), 1)
    return data


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """A file cut short, with bytes changed, put in, taken out or repeated."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                del changed[at : at + rng.randrange(1, 9)]
            case 2:
                changed[at:at] = rng.choice((b"\0", b"\xff", b"-1", b"9" * 12, b"nan", b"\r\n", b",", b'"', b"../"))
            case 3:
                changed[at:at] = changed[max(0, at - 20) : at] * 3
            case _ if at < len(changed):
                changed[at] = rng.randrange(256)
    return bytes(changed)
