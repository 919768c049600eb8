"""The log of a study: one line of JSON per choice. Lines may be incomplete or written by other programs."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unocclude.errors import UnoccludeError

MAX_NAME = 100
MAX_LINE = 1 << 16
"""Maximum length of a line in bytes."""


class Choice(BaseModel):
    """One choice of one person. half: the half of the clips it belongs to. shown: the methods in the order shown."""

    model_config = ConfigDict(strict=True)

    time: float = 0
    person: str = Field(max_length=MAX_NAME)
    data: str
    clip: str
    half: Literal["easy", "hard"]
    shown: list[str] = Field(default_factory=list)
    chosen: str


def append(log: Path, line: dict[str, Any]) -> None:
    """Append a line and wait until it is on disk. If the last line is incomplete, it is terminated first.

    Raises UnoccludeError if the log cannot be written.
    """
    content = (json.dumps(line) + "\n").encode()
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(log, flags, 0o644)
        try:
            if _is_broken(file):
                content = b"\n" + content
            if os.write(file, content) != len(content):
                raise OSError("the disk is full")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise UnoccludeError(f"{log} cannot be written: {error.strerror or error}") from error


def _is_broken(file: int) -> bool:
    """Whether the last line has no line break."""
    if not os.fstat(file).st_size:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"


def read_choices(log: Path, methods: Sequence[str]) -> tuple[list[Choice], int]:
    """All choices of `methods`, and the number of other lines: incomplete, invalid, or of another study."""
    choices: list[Choice] = []
    skipped = 0
    if not log.exists():
        return choices, skipped
    with log.open("rb") as file:
        while line := file.readline(MAX_LINE):
            if not line.strip():
                continue
            try:
                choice = Choice.model_validate_json(line)
            except ValidationError:
                skipped += 1
                continue
            if choice.chosen in methods:
                choices.append(choice)
            else:
                skipped += 1
    return choices, skipped
