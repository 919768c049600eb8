"""Options of CogVideoX-Amodal."""

from typing import Literal

from pydantic import Field

from unocclude.methods.checkpoint_method import SampledMaskOptions
from unocclude.methods.network_inputs import NEARLY_WHITE


class CogVideoXAmodalOptions(SampledMaskOptions):
    description: str = Field("", description="description of the whole object, as in 'a red striped ball'")
    window: int = Field(
        0,
        ge=0,
        description="frames denoised together, a multiple of the VAE's temporal factor (4) plus 1; 0: as in training",
    )
    steps: int = Field(50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(6.0, ge=0, le=50, description="classifier-free guidance scale; 1: off")
    white: float = Field(
        NEARLY_WHITE,
        gt=0,
        le=1,
        description="a pixel of the output belongs to the object if any channel, 0 to 1, is below this",
    )
    framing: Literal["object", "follow"] = Field(
        "object", description="object: one crop around it in all frames; follow: a crop that follows it"
    )
