"""Options of open-world."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from unocclude.methods.base import MethodOptions

LONGEST_WORDS = 300
"""Maximum length of the description in characters."""


class OpenWorldOptions(MethodOptions):
    rules: Literal["repaired", "parity", "progressive"] = Field(
        "repaired", description="repaired; parity: as published; progressive: as its ancestor k8xu/amodal"
    )
    words: str = Field(
        "", max_length=LONGEST_WORDS, description="what the object is, for the generator; by default the text prompt's"
    )
    steps: int | None = Field(None, ge=1, le=1000, description="denoising steps; the pipeline's own by default")
    guidance: float | None = Field(None, ge=0, le=100, description="guidance scale; the pipeline's own by default")
    size: int | None = Field(
        None, ge=64, le=2048, multiple_of=8, description="pixels of the square it draws on; the model's own by default"
    )
    wallpaper: Path | None = Field(None, description="picture behind the object at first; plain grey by default")

    @field_validator("words")
    @classmethod
    def _printable(cls, words: str) -> str:
        return " ".join("".join(c if c.isprintable() else " " for c in words).split())
