"""Published checkpoints: which there are, where they lie, what each needs.

A checkpoint lies in the folder of its id under `$UNOCCLUDE_WEIGHTS`, or under the platform's cache where that is not
set. Nothing here looks anything up on a hub.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from unocclude.errors import InputError

VARIABLE = "UNOCCLUDE_WEIGHTS"


@dataclass(frozen=True)
class Part:
    """What lies in one sub-folder of a checkpoint, or, named "", in the folder itself.

    files: what must be there, as glob patterns; `a|b` where either does. source: where to get it.
    """

    name: str
    files: tuple[str, ...]
    source: str

    def missing(self, folder: Path) -> list[str]:
        """Patterns of the files that are not there."""
        folder = folder / self.name
        return [files for files in self.files if not any(any(folder.glob(pattern)) for pattern in files.split("|"))]


@dataclass(frozen=True)
class Checkpoint:
    """One row of the table: an id, what it is for, and its parts."""

    id: str
    purpose: str
    parts: tuple[Part, ...]

    def check(self, folder: Path) -> None:
        """Raise InputError, saying what to put where, unless all parts are in `folder`."""
        wanted = [
            f"{' and '.join(f.replace('|', ' or ') for f in lacking)} ({part.source})"
            + (f" into {part.name}/" if part.name else "")
            for part in self.parts
            if (lacking := part.missing(folder))
        ]
        if wanted:
            state = "is incomplete" if folder.is_dir() else "is missing"
            raise InputError(
                f"{self.purpose} needs the checkpoint {self.id}; {folder} {state}: put {'; '.join(wanted)} there"
            )


def _transformers(source: str, *more: str) -> Part:
    return Part("", ("config.json", "model*.safetensors|pytorch_model*.bin", *more), source)


def _diffusers(name: str, source: str) -> Part:
    return Part(name, ("model_index.json",), source)


CHECKPOINTS = {
    checkpoint.id: checkpoint
    for checkpoint in (
        Checkpoint(
            "lpips-alex",
            "LPIPS",
            (
                Part("", ("alexnet-owt-*.pth",), "download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
                Part("", ("alex.pth",), "github.com/richzhang/PerceptualSimilarity, lpips/weights/v0.1"),
            ),
        ),
        Checkpoint(
            "lpips-vgg",
            "LPIPS",
            (
                Part("", ("vgg16-*.pth",), "download.pytorch.org/models/vgg16-397923af.pth"),
                Part("", ("vgg.pth",), "github.com/richzhang/PerceptualSimilarity, lpips/weights/v0.1"),
            ),
        ),
        Checkpoint(
            "clip-vit-base-patch32",
            "CLIP similarity",
            (_transformers("huggingface.co/openai/clip-vit-base-patch32", "preprocessor_config.json"),),
        ),
        Checkpoint(
            "blip2-opt-2.7b",
            "captioning",
            (_transformers("huggingface.co/Salesforce/blip2-opt-2.7b", "preprocessor_config.json", "tokenizer.json"),),
        ),
        Checkpoint(
            "depth-anything-v2-large",
            "depth",
            (_transformers("huggingface.co/depth-anything/Depth-Anything-V2-Large-hf"),),
        ),
        Checkpoint(
            "diffusion-vas",
            "Diffusion-VAS",
            (
                Part(
                    "amodal-segmentation",
                    ("model_index.json",),
                    "huggingface.co/kaihuac/diffusion-vas-amodal-segmentation",
                ),
                Part(
                    "content-completion",
                    ("model_index.json",),
                    "huggingface.co/kaihuac/diffusion-vas-content-completion",
                ),
            ),
        ),
        Checkpoint(
            "tgvac",
            "TGVAC",
            (
                Part(
                    "",
                    (
                        "unet/config.json",
                        "vae/config.json",
                        "text_encoder/config.json",
                        "tokenizer/tokenizer_config.json",
                        "scheduler/scheduler_config.json",
                    ),
                    "what recipe tgvac-motion writes as pipeline/; nobody has published any",
                ),
            ),
        ),
        Checkpoint(
            "pix2gestalt",
            "pix2gestalt",
            (Part("", ("*.ckpt",), "huggingface.co/cvlab/pix2gestalt-weights, epoch=000005.ckpt"),),
        ),
        Checkpoint(
            "i3d-kinetics-400",
            "FVD",
            (Part("", ("i3d_pretrained_400.pt",), "github.com/SongweiGe/TATS, tats/fvd"),),
        ),
    )
}
"""All checkpoints by id; a method adds its own row."""


def home() -> Path:
    """Where checkpoints lie: `$UNOCCLUDE_WEIGHTS`, else `unocclude/weights` in the platform's cache."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        cache = "~/Library/Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "unocclude" / "weights"


def find(id_or_dir: str | Path, need: str | None = None) -> Path:
    """The folder of a checkpoint, all of whose parts are there.

    id_or_dir: an id of `CHECKPOINTS`, or a folder of the user's own. need: the id of the checkpoint whose parts that
    folder must hold; without it a folder of the user's own is taken as it is.

    Raises InputError, one line that says what is missing and where to put it.
    """
    if str(id_or_dir) in CHECKPOINTS:
        folder = home() / id_or_dir
        CHECKPOINTS[str(id_or_dir)].check(folder)
    else:
        folder = Path(id_or_dir).expanduser()
        if not folder.is_dir():
            known = ", ".join(CHECKPOINTS)
            raise InputError(f"weights {id_or_dir}: neither a folder nor a known checkpoint; known are {known}")
    if need is not None:
        CHECKPOINTS[need].check(folder)
    return folder


def part_file(folder: Path, pattern: str) -> Path:
    """The one file in `folder` that a pattern of `Part.files` names; the first by name where several do."""
    found = sorted(path for alternative in pattern.split("|") for path in folder.glob(alternative))
    if not found:
        raise InputError(f"{folder}: no {pattern.replace('|', ' or ')} there")
    return found[0]
