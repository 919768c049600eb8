"""Options of TGVAC."""

from typing import Literal

from pydantic import Field

from unocclude.methods.checkpoint_method import SampledMaskOptions
from unocclude.methods.network_inputs import NEARLY_WHITE


class TGVACOptions(SampledMaskOptions):
    description: str = Field("", description="description of the whole object, as in 'a red striped ball'")
    text: bool = Field(True, description="false: ignore the description (table 3)")
    motion: bool = Field(True, description="false: frame by frame, without motion modules (table 3)")
    window: int = Field(0, ge=0, description="frames denoised together; 0: as in training")
    stride: int = Field(
        4,
        ge=1,
        description="stride between windows in frames (table 4); equal to window: no temporal diffusion (table 3)",
    )
    together: int = Field(1, ge=1, description="windows per call of the network; more is faster on a GPU")
    steps: int = Field(30, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(7.5, ge=0, le=50, description="classifier-free guidance scale; 1: off")
    white: float = Field(
        NEARLY_WHITE, gt=0, le=1, description="a pixel of the output belongs to the object if any channel, 0 to 1, is "
        "below this; a lower value suits small networks, whose edges are soft",
    )  # fmt: skip
    framing: Literal["object", "follow"] = Field(
        "object", description="object: one crop around it in all frames; follow: a crop that follows it"
    )
    side: int = Field(0, ge=0, le=2048, description="side of the square network input in pixels; 0: as in training")
