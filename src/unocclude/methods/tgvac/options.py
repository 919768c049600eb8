"""Options of TGVAC."""

from typing import Literal

from pydantic import Field

from unocclude.methods.checkpoint_method import SampledMaskOptions
from unocclude.methods.network_inputs import NEARLY_WHITE


class TGVACOptions(SampledMaskOptions):
    description: str = Field("", description="what the whole object is, in words, as in 'a red striped ball'")
    text: bool = Field(True, description="false: the description is left out (table 3)")
    motion: bool = Field(True, description="false: frame by frame, without the motion modules (table 3)")
    window: int = Field(0, ge=0, description="frames that the network sees together, 0: as it was trained")
    stride: int = Field(
        4, ge=1, description="frames by which windows are apart (table 4); as window: no temporal diffusion (table 3)"
    )
    together: int = Field(1, ge=1, description="windows a call of the network; more are faster on a GPU")
    steps: int = Field(30, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(7.5, ge=0, le=50, description="scale of classifier-free guidance by the words, off at 1")
    white: float = Field(
        NEARLY_WHITE, gt=0, le=1, description="of the answer, on white, a pixel is object where one of its channels, 0 "
        "to 1, is less; lower suits small networks, whose edges are soft",
    )  # fmt: skip
    framing: Literal["object", "follow"] = Field(
        "object", description="object: one crop around it in all frames; follow: a crop that goes along with it"
    )
    side: int = Field(0, ge=0, le=2048, description="pixels of the square picture's side, 0: as it was trained")
