"""The options that name an object, and how they are read: `--masks`, `--box`, `--point`, `--objects`, `--text`, ..."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.perception.prompt_options import PromptOptions, as_prompt

__all__ = ["PromptOptions", "as_prompt"]

Masks = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        metavar="PATH",
        help="The object's visible masks: a folder of PNGs (one per frame), one PNG (the mask in --frame, "
        "tracked from there), a mask video, or JSON with COCO RLEs or in SA-V's format.",
    ),
]
Box = Annotated[
    list[str] | None,
    typer.Option("--box", metavar="X0,Y0,X1,Y1[@FRAME]", help="A box around the object, in pixels; repeatable."),
]
Point = Annotated[
    list[str] | None,
    typer.Option("--point", metavar="X,Y[@FRAME]", help="A point on the object, in pixels; repeatable."),
]
NotPoint = Annotated[
    list[str] | None,
    typer.Option("--not-point", metavar="X,Y[@FRAME]", help="A point that is not on the object; repeatable."),
]
Mask = Annotated[
    list[str] | None,
    typer.Option(
        "--mask",
        metavar="FILE[@FRAME]",
        help="The object's visible mask in one frame; an empty one says that it is hidden there; repeatable.",
    ),
]
Hidden = Annotated[
    list[int] | None,
    typer.Option("--hidden", metavar="FRAME", help="A frame in which nothing of the object is visible; repeatable."),
]
Objects = Annotated[
    Path | None,
    typer.Option("--objects", metavar="FILE", help="JSON with several objects and their boxes, points and masks."),
]
Text = Annotated[
    str | None, typer.Option("--text", metavar="WORDS", help="A description of the object; needs downloaded weights.")
]
FrameNumber = Annotated[
    int, typer.Option("--frame", metavar="N", help="The frame of boxes, points, masks and text without @FRAME.")
]
ObjectId = Annotated[
    int | None,
    typer.Option("--object-id", metavar="K", help="The id of the object, if --masks or --objects holds several."),
]
