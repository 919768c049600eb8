"""What is written to the terminal. Names, messages and answers come from files and servers: none may steer it."""

import sys
import unicodedata

import typer

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that show nothing themselves: they move the cursor, turn the text round, or cannot be
encoded."""


def escape(text: object, lines: bool = False) -> str:
    """The text with such characters written out, as `\\x1b`. lines: ends of lines stay."""
    return "".join(map(_shown, str(text))) if not lines else "\n".join(map(escape, str(text).split("\n")))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in HIDDEN:
        return character
    return character.encode("ascii", "backslashreplace").decode() if ord(character) > 126 else _escaped(character)


def _escaped(character: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{ord(character):02x}")


def echo(text: object, *, err: bool = False) -> None:
    """Write a text, and a new line; a path stands on one line, a str may have several."""
    typer.echo(escape(text, lines=isinstance(text, str)), err=err)


def escape_unencodable() -> None:
    """What the terminal's encoding does not have is written out, too, instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
