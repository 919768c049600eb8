"""Options of IC-Amodal."""

from typing import Literal

from pydantic import Field

from unocclude.methods.base import MethodOptions


class ICAmodalOptions(MethodOptions):
    ablation: Literal["a1", "a2", "a3", "full"] = Field(
        "full",
        description="ablations of the paper: a1 each frame alone; a2 beside an exemplar; a3 beside an exemplar "
        "rectified by a second frame; full: a3 with attention modulation",
    )
    cell: int = Field(512, ge=16, le=2048, description="sub-images have as many pixels as a square of this side")
    steps: int = Field(50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(30.0, ge=0, description="guidance scale of guidance-distilled networks")
    lambda_up: float = Field(1.5, ge=0, description="factor of attention to the completed exemplar")
    lambda_down: float = Field(0.7, ge=0, description="factor of attention to both left sub-images")
    mode: Literal["unnormalised", "renormalised"] = Field(
        "unnormalised",
        description="unnormalised: attention weights are multiplied and the others stay unchanged, as published; "
        "renormalised: they sum to one afterwards",
    )
    blocks: Literal["double", "all"] = Field(
        "double", description="blocks to modulate; double: the multimodal ones; all: the single-stream ones as well"
    )
    queries: Literal["cell", "hole"] = Field(
        "cell", description="tokens whose attention is modulated: the whole sub-image, or its hole"
    )
    completion: Literal["auto", "networks", "evidence", "wide"] = Field(
        "auto",
        description="where the object may continue; networks: occluders by RAM++, Grounding DINO, SAM and InstaOrder, "
        "as published; evidence: what no frame shows to be background, near recall's silhouette; wide: all of that; "
        "auto: networks if their weights are present, else evidence",
    )
    skip: bool = Field(
        True, description="false: generate every frame, also those in which nothing is hidden, as the tables need"
    )
    blend: Literal["exact", "soft"] = Field(
        "exact",
        description="ic-amodal-plus; soft: as in the open-world system, also adapts the completion's colours near the "
        "visible pixels",
    )
    apart: float = Field(
        0.2, ge=0, le=1, description="minimum distance of exemplar and collaborator, as a fraction of the shot"
    )
    ground: Literal["auto", "black", "white", "grey"] = Field(
        "auto", description="background of objects; auto: the one least similar to the object (paper: black)"
    )
    prompt: str = Field(
        "",
        description="description of the object; by default BLIP-2's caption if its weights are present, else 'object'",
    )
    text_tokens: int = Field(512, ge=1, le=512, description="number of tokens the prompt is padded to")
    recall: bool = Field(False, description="use recall's silhouette and pixels; generate only what no frame shows")
    strength: float = Field(
        1.0, gt=0, le=1, description="with recall: start denoising recall's completion at this noise level"
    )
    reuse: bool = Field(
        False, description="compute the exemplar's keys and values once per step for several frames; faster, not exact"
    )
    offload: Literal["auto", "none", "model", "sequential"] = Field(
        "auto", description="offload components to main memory, whole or block by block; auto: by the GPU's memory"
    )
    storage: Literal["auto", "full", "float8"] = Field(
        "auto", description="float8: store the transformer's weights in 8 bits; auto: on GPUs with less than 32 GB"
    )
