"""Write to the terminal. Text from files and servers is escaped, so that it cannot control the terminal."""

import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

import typer

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of invisible characters: they move the cursor, change the text direction, or cannot be encoded."""


def escape(text: object, lines: bool = False) -> str:
    """Escape invisible characters, for example as `\\x1b`. lines: keep line breaks."""
    return "".join(map(_shown, str(text))) if not lines else "\n".join(map(escape, str(text).split("\n")))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in HIDDEN:
        return character
    return character.encode("ascii", "backslashreplace").decode() if ord(character) > 126 else _escaped(character)


def _escaped(character: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{ord(character):02x}")


def echo(text: object, *, err: bool = False) -> None:
    """Print `text` and a line break. A str may have several lines; anything else, such as a path, is printed on one."""
    typer.echo(escape(text, lines=isinstance(text, str)), err=err)


def notes_of(*sources: Any) -> list[str]:
    """What a user should know of a clip, masks or a prompt, each note once; None has no notes."""
    return list(dict.fromkeys(note for source in sources if source is not None for note in source.notes))


def print_notes(notes: Iterable[str]) -> None:
    """Print what was assumed, left out or may be wrong, one line each, to stderr."""
    for note in notes:
        echo(f"note: {escape(note)}", err=True)


def say(text: str, *, err: bool = False) -> None:
    """`echo`, unless there is nothing to say."""
    if text:
        echo(text, err=err)


def escape_unencodable() -> None:
    """Escape characters that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
