"""Options of IC-Amodal."""

from typing import Literal

from pydantic import Field

from unocclude.methods.base import MethodOptions


class ICAmodalOptions(MethodOptions):
    ablation: Literal["a1", "a2", "a3", "full"] = Field(
        "full",
        description="the paper's rows: a1 every frame alone; a2 beside an exemplar; a3 beside one that a second frame "
        "rectified; full, with attention modulated",
    )
    cell: int = Field(512, ge=16, le=2048, description="a sub-image has the pixels of a square with this side")
    steps: int = Field(50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(30.0, ge=0, description="guidance scale, of networks that are distilled for one")
    lambda_up: float = Field(1.5, ge=0, description="factor of attention on the exemplar's completion")
    lambda_down: float = Field(0.7, ge=0, description="factor of attention on both left sub-images")
    mode: Literal["renormalised", "unnormalised"] = Field(
        "renormalised", description="whether attention sums to one again once it is multiplied"
    )
    blocks: Literal["double", "all"] = Field(
        "double", description="double: modulate the multimodal blocks; all: the single-stream ones as well"
    )
    queries: Literal["cell", "hole"] = Field(
        "cell", description="modulate the attention of the whole sub-image, or of what is to be filled in it"
    )
    apart: float = Field(0.2, ge=0, le=1, description="share of the shot between the exemplar and its collaborator")
    ground: Literal["auto", "black", "white", "grey"] = Field(
        "auto", description="what objects stand on; auto: whichever of these is least like the object (paper: black)"
    )
    prompt: str = Field("", description="what the object is; else BLIP-2's caption where its weights are, or 'object'")
    text_tokens: int = Field(512, ge=1, le=512, description="tokens that the prompt is padded to")
    recall: bool = Field(
        False, description="take shape and pixels from recall where frames show them; generate only what no frame shows"
    )
    strength: float = Field(
        1.0, gt=0, le=1, description="with recall: begin at this share of the noise, from its own filling"
    )
    reuse: bool = Field(
        False, description="the exemplar's keys and values once a step for several frames; they see no frame then"
    )
    offload: Literal["auto", "none", "model", "sequential"] = Field(
        "auto", description="on a GPU: parts wait in main memory, whole or block by block; auto: by the GPU's memory"
    )
    storage: Literal["auto", "full", "float8"] = Field(
        "auto", description="float8: the transformer's weights rest in 8 bits; auto: on GPUs with less than 32 GB"
    )
