"""Options of open-world."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from unocclude.methods.base import MethodOptions
from unocclude.perception.text_prompt import MOST_CHARACTERS


class OpenWorldOptions(MethodOptions):
    rules: Literal["repaired", "parity", "progressive"] = Field(
        "repaired", description="rules of the iteration: repaired; parity: as published; progressive: as in k8xu/amodal"
    )
    words: str = Field(
        "", max_length=MOST_CHARACTERS, description="description of the object; by default the text prompt"
    )
    steps: int | None = Field(None, ge=1, le=1000, description="denoising steps; by default the pipeline's own")
    guidance: float | None = Field(None, ge=0, le=100, description="guidance scale; by default the pipeline's own")
    size: int | None = Field(
        None,
        ge=64,
        le=2048,
        multiple_of=8,
        description="side of the square network input in pixels; by default the model's own",
    )
    wallpaper: Path | None = Field(None, description="first background of the object; plain grey by default")

    @field_validator("words")
    @classmethod
    def _printable(cls, words: str) -> str:
        return " ".join("".join(c if c.isprintable() else " " for c in words).split())
