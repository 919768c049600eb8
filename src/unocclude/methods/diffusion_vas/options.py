"""Options of Diffusion-VAS."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from unocclude.methods.checkpoint_method import SampledMaskOptions

THRESHOLD = 600
THRESHOLD_SAYS = (
    "a pixel is object where its three channels, 0 to 255, sum to more; 600 as published (section A.1), 382 is middle "
    "grey, which suits a VAE whose edges are less sharp"
)


class DiffusionVASOptions(SampledMaskOptions):
    conditioning_order: Literal["aligned", "parity"] = Field(
        "aligned", description="parity: as the published code conditions its network, quirks and all"
    )
    framing: Literal["object", "squeeze"] = Field(
        "object", description="object: a crop around it, aspect kept; squeeze: the whole frame, as published"
    )
    pixels: int = Field(256 * 512, ge=32 * 32, description="pixels of the picture that the networks see")
    steps: int = Field(25, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(1.5, ge=0, le=20, description="scale of classifier-free guidance, off up to 1")
    window: int = Field(25, ge=1, description="frames that are denoised together")
    overlap: int = Field(8, ge=0, description="frames by which windows overlap")
    threshold: int = Field(THRESHOLD, ge=0, lt=765, description=THRESHOLD_SAYS)
    depth: Literal["auto", "anything", "layers"] = Field(
        "auto",
        description="anything: Depth Anything V2; layers: what lies in front, by recall's evidence; auto: the former "
        "where its weights are",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the networks; auto: fp16 on a GPU, else fp32"
    )
    compile: bool = Field(False, description="compile the networks first: minutes once, then faster steps")
    boxes: Path | None = Field(
        None,
        description="JSON list of the object's amodal box in every frame, [x0, y0, x1, y1]: each is cropped to it",
    )
