"""Inpainting with any inpainting pipeline of diffusers."""

import inspect
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unocclude import weights as checkpoints
from unocclude.errors import InputError, UnoccludeError
from unocclude.methods.checkpoint_kind import check_method
from unocclude.networks import device_for
from unocclude.networks.configuration import read_json

DEFAULT = "stable-diffusion-2-inpainting"
INDEX = "model_index.json"


class Inpainter:
    """Inpaints the masked part of a picture from a prompt.

    weights: a checkpoint's id, or a folder with an inpainting pipeline of diffusers: StableDiffusion(XL)
    InpaintPipeline, FluxFillPipeline or any other that takes `image`, `mask_image` and `prompt`. Only that folder is
    read. steps, guidance: None for the pipeline's defaults. size: side in pixels of the square network input, None for
    the size in training. On CUDA it runs in half precision, and offloads components if its weights do not fit.

    Raises InputError if the folder holds no such pipeline or some of its weights are missing.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        *,
        steps: int | None = None,
        guidance: float | None = None,
        size: int | None = None,
    ):
        folder = checkpoint_folder(weights)
        self.pipeline = load_pipeline(folder, device_for("open-world", device, transformers=True, extra="diffusion"))
        self.overrides = {"num_inference_steps": steps, "guidance_scale": guidance}
        self.size = size or own_size(self.pipeline)

    def __call__(
        self, picture: np.ndarray, mask: np.ndarray, prompt: str, seed: int, resample: str = "LANCZOS"
    ) -> np.ndarray:
        """Inpaint `mask`; returns the pipeline's output (h, w, 3) uint8, which may differ everywhere.

        picture: (h, w, 3) uint8 RGB. mask: (h, w) bool. resample: Pillow filter that resizes the picture to the
        pipeline's square; masks use nearest neighbour, results bicubic. The aspect ratio is not kept. Raises
        UnoccludeError if the pipeline's safety checker withholds the result.
        """
        import torch

        square = (self.size, self.size)
        asked = {key: value for key, value in self.overrides.items() if value is not None}
        result = self.pipeline(
            prompt=prompt,
            image=Image.fromarray(picture).resize(square, Image.Resampling[resample]),
            mask_image=Image.fromarray(mask.astype(np.uint8) * 255).resize(square, Image.Resampling.NEAREST),
            height=self.size,
            width=self.size,
            generator=torch.Generator("cpu").manual_seed(seed),  # the same noise on every device
            **asked,
        )
        if any(getattr(result, "nsfw_content_detected", None) or ()):
            raise UnoccludeError("the pipeline's safety checker withheld a completion; another --seed may help")
        drawn = result.images[0].convert("RGB").resize(picture.shape[1::-1], Image.Resampling.BICUBIC)
        return np.asarray(drawn)


def checkpoint_folder(weights: str | Path | None) -> Path:
    """The folder of a checkpoint with a pipeline; raises InputError saying what is missing."""
    folder = checkpoints.resolve_checkpoint(DEFAULT if weights is None else weights)
    check_method(folder, "open-world")
    read_index(folder)
    return folder


def read_index(folder: Path) -> dict[str, Any]:
    """Read a pipeline's model_index.json and check that its class can inpaint."""
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder} holds no {INDEX}; give the folder of an inpainting pipeline of diffusers")
    try:
        index = read_json(folder / INDEX)
    except InputError as error:
        raise InputError(f"{folder / INDEX} is no index of a diffusers pipeline; fetch it again") from error
    name = index.get("_class_name")
    if not isinstance(name, str) or not ("Inpaint" in name or "Fill" in name):
        raise InputError(f"{folder} holds a {name}, which does not inpaint; give an inpainting pipeline of diffusers")
    for part, where in index.items():
        if isinstance(where, list) and where and where[0] is not None:
            _check_origin(folder, part, where)
    return index


def _check_origin(folder: Path, part: str, where: list[Any]) -> None:
    """Raise InputError unless a part is a class of diffusers or transformers: of other libraries none is imported, and
    code that lies in the folder is not run."""
    if len(where) != 2 or not all(isinstance(word, str) and word.isidentifier() for word in (part, *where)):
        raise InputError(f"{folder / INDEX} does not say what {part!r} is; fetch it again")
    if where[0] == "transformers" and where[1].startswith("Auto"):  # would look for a class that the folder names
        raise InputError(f"{folder / INDEX} does not say which class of transformers {part!r} is; fetch it again")
    if where[0] not in ("diffusers", "transformers") and not _is_pipeline_module(where[0]):
        raise InputError(f"{folder} takes {part} from {where[0]}, which is not imported; give a pipeline of diffusers")


def _is_pipeline_module(name: str) -> bool:
    """Whether diffusers itself has a folder of this name, such as that of Stable Diffusion's safety checker."""
    spec = find_spec("diffusers")  # found, not imported: that would take seconds
    return any((Path(root) / "pipelines" / name).is_dir() for root in (spec and spec.submodule_search_locations) or ())


@lru_cache(maxsize=1)
def load_pipeline(folder: Path, device: str) -> Any:
    """The pipeline in a folder, ready on a device; the last one is kept for whoever asks next."""
    import torch
    from diffusers.utils import logging

    from unocclude.networks.loading import checked_loading, dtype_for, load_pretrained

    index = read_index(folder)
    kind = _pipeline_class(folder, index["_class_name"])
    dtype = dtype_for(device)
    parts = {}
    for name, where in index.items():
        if isinstance(where, list) and where and where[0]:
            _check_part(folder / name)
        part = getattr(import_module(where[0]), where[1], None) if _is_library(where) else None
        if hasattr(part, "get_input_embeddings") or hasattr(part, "enable_gradient_checkpointing"):  # a network
            parts[name] = load_pretrained(part, folder / name, where[1], dtype=dtype)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with checked_loading(folder, f"whole {kind.__name__}"):
            pipeline = kind.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, dtype=dtype, **parts
            )
    finally:
        if bars:
            logging.enable_progress_bar()
    pipeline.set_progress_bar_config(disable=True)
    if device == "cpu":
        return pipeline
    size = sum(value.nbytes for part in parts.values() for value in part.parameters())
    if size < 0.7 * torch.cuda.mem_get_info()[0]:
        return pipeline.to(device)
    pipeline.enable_model_cpu_offload(device=device)
    return pipeline


def _pipeline_class(folder: Path, name: str) -> Any:
    import diffusers

    from unocclude.networks.loading import checked_loading

    with checked_loading(folder, name):  # transformers warns about torchvision when a pipeline is imported
        kind = getattr(diffusers, name, None)
    if kind is None or not {"image", "mask_image", "prompt"} <= inspect.signature(kind.__call__).parameters.keys():
        raise InputError(f"{folder} needs {name}, with which this diffusers does not inpaint")
    return kind


def _check_part(folder: Path) -> None:
    """Raise InputError if a component's files are missing; the libraries would create an empty tokenizer."""
    words = ("tokenizer.json", "vocab.json", "spiece.model")
    if not folder.is_dir() or (folder.name.startswith("tokenizer") and not any((folder / w).is_file() for w in words)):
        raise InputError(f"{folder} is missing or incomplete; fetch the pipeline again")


def _is_library(where: Any) -> bool:
    return isinstance(where, list) and bool(where) and where[0] in ("diffusers", "transformers")


def own_size(pipeline: Any) -> int:
    """Side in pixels of a pipeline's default square input."""
    latents = getattr(pipeline, "default_sample_size", None) or pipeline.unet.config.sample_size
    return int(latents * pipeline.vae_scale_factor)
