"""Options of Diffusion-VAS."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from unocclude.methods.checkpoint_method import SampledMaskOptions
from unocclude.methods.network_inputs import NEARLY_WHITE

THRESHOLD = 600
THRESHOLD_DESCRIPTION = (
    "a pixel belongs to the object if its three channels, 0 to 255, sum to more; 600 as published (section A.1); 382, "
    "middle grey, suits a VAE with less sharp edges"
)


class DiffusionVASOptions(SampledMaskOptions):
    conditioning_order: Literal["aligned", "parity"] = Field(
        "aligned", description="order of the conditioning; parity: exactly as in the published code"
    )
    framing: Literal["object", "follow", "squeeze"] = Field(
        "object",
        description="object: a crop around it, aspect ratio kept; follow: a crop that follows it; squeeze: the whole "
        "frame, as published",
    )
    pixels: int = Field(
        0,
        ge=0,
        description="maximum number of pixels of the network input; 0: the size of training or, for checkpoints that "
        "do not say it, 131072 (512x256)",
    )
    steps: int = Field(25, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(1.5, ge=0, le=20, description="classifier-free guidance scale; 1 or less: off")
    window: int = Field(25, ge=1, description="frames denoised together")
    overlap: int = Field(8, ge=0, description="overlap of consecutive windows in frames")
    threshold: int = Field(THRESHOLD, ge=0, lt=765, description=THRESHOLD_DESCRIPTION)
    binarise: Literal["before", "after"] = Field(
        "before",
        description="whether amodal masks are cut off before or after they are resized to the frame; published: before "
        "on SAIL-VOS, after on TAO-Amodal",
    )
    fps: int = Field(
        8, ge=1, le=120, description="frame rate that the networks are told; published: 8, and 2 on TAO-Amodal"
    )
    depth: Literal["auto", "anything", "layers"] = Field(
        "auto",
        description="anything: Depth Anything V2; layers: layer order from occlusion evidence; auto: Depth Anything V2 "
        "if its weights are present",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="precision of the networks; auto: fp16 on a GPU, else fp32"
    )
    compile: bool = Field(False, description="compile the networks: takes minutes once, then steps are faster")
    content: Literal["network", "inpaint"] = Field(
        "network",
        description="network: hidden content from stage 2; inpaint: stage 1 only, hidden colours are inpainted from "
        "the visible ones",
    )
    amodal_masks: Path | None = Field(
        None,
        description="amodal masks of all frames, in the formats of --masks; they replace stage 1, and only their "
        "content is completed",
    )
    white: float = Field(
        NEARLY_WHITE, gt=0, le=1, description="one-stage checkpoints: a pixel of the output belongs to the object if "
        "any channel, 0 to 1, is below this",
    )  # fmt: skip
    boxes: Path | None = Field(
        None,
        description="JSON list of the object's amodal box in every frame, [x0, y0, x1, y1]; frames are cropped to it; "
        "in `bench`, truth: the boxes of the ground truth",
    )
