"""Which networks a checkpoint has, and whether they can do what a run asks for."""

from dataclasses import dataclass
from pathlib import Path

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.methods.checkpoint_kind import CheckpointKind, read_kind
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.networks.configuration import read_json

SEGMENTATION, COMPLETION, DEPTH = "amodal-segmentation", "content-completion", "depth"
LATENTS = 4
"""Channels of a latent frame, and of each conditioning clip."""
METHOD = "diffusion-vas"
VIDEOMAE = "videomae"

PUBLISHED = {
    SEGMENTATION: CheckpointKind(
        recipe="vas-mask-depth", methods=(METHOD,), conditions=("visible", "depth"), target="amodal"
    ),
    COMPLETION: CheckpointKind(
        recipe="vas-content", methods=(METHOD,), conditions=("objects", "amodal"), target="wholes"
    ),
}
"""What the published checkpoints are; they do not say it themselves."""


@dataclass(frozen=True)
class Stage:
    """One network of a checkpoint."""

    folder: Path
    kind: CheckpointKind


@dataclass(frozen=True)
class Stages:
    """The networks of a checkpoint, None for those that it lacks.

    segmentation: predicts amodal masks. completion: predicts content; if amodal masks are not among its conditions, it
    is a one-stage network, whose masks are where its output is not white.
    """

    folder: Path
    segmentation: Stage | None
    completion: Stage | None

    @property
    def one_stage(self) -> bool:
        return self.completion is not None and "amodal" not in self.completion.kind.conditions


def check_folder(folder: Path) -> None:
    """Raise InputError if a folder holds neither networks that say what they are nor the published checkpoint."""
    if not any(read_kind(part) for part in (folder, folder / SEGMENTATION, folder / COMPLETION)):
        checkpoints.get_checkpoint(METHOD).check(folder)


def find_stages(folder: Path) -> Stages:
    """The networks in a checkpoint's folder: in its sub-folders, or the one that the folder itself is.

    Raises InputError if one is not what its place or its configuration says.
    """
    own = read_kind(folder)
    if own is not None:
        stage = Stage(folder, own)
        _check_channels(stage)
        return Stages(folder, *((stage, None) if own.target == "amodal" else (None, stage)))
    stages = [_stage(folder / name, name) for name in (SEGMENTATION, COMPLETION)]
    return Stages(folder, *stages)


def _stage(folder: Path, name: str) -> Stage | None:
    if not folder.is_dir():
        return None
    kind = read_kind(folder)
    if kind is None:
        return Stage(folder, PUBLISHED[name])
    if kind.target != PUBLISHED[name].target:
        right, found = (SEGMENTATION, "amodal masks") if kind.target == "amodal" else (COMPLETION, "content")
        raise InputError(
            f"{folder} is a checkpoint of recipe {kind.recipe}, which predicts {found}; move it to {right}/"
        )
    stage = Stage(folder, kind)
    _check_channels(stage)
    return stage


def _check_channels(stage: Stage) -> None:
    """Raise InputError if the network's input channels are not those of the conditions that its kind names."""
    if stage.kind.recipe == VIDEOMAE:
        return
    expected = input_channels(stage.kind)
    found = read_json(stage.folder / "unet" / "config.json").get("in_channels")
    if found != expected:
        raise InputError(
            f"{stage.folder}: kind.json names the conditions {', '.join(stage.kind.conditions)}, which take {expected} "
            f"input channels, but the network has {found}; use the kind.json that was saved with it"
        )


def input_channels(kind: CheckpointKind) -> int:
    """Input channels of a network: the noisy latents and those of each condition."""
    return LATENTS * (1 + len(kind.conditions))


def check_stages(stages: Stages, options: DiffusionVASOptions, hypotheses: int) -> None:
    """Raise InputError, one line, if the checkpoint cannot do what the options ask for."""
    given, inpainted = options.amodal_masks is not None, options.content == "inpaint"
    if stages.one_stage and (given or inpainted):
        asked = "amodal_masks" if given else "content=inpaint"
        raise InputError(
            f"{stages.folder} is a one-stage checkpoint, which predicts masks and content together; leave out {asked}"
        )
    if stages.segmentation is None and not (given or stages.one_stage):
        raise InputError(
            f"{stages.folder} predicts content only; give amodal_masks=PATH, or put a checkpoint that predicts amodal "
            f"masks into {SEGMENTATION}/ beside it"
        )
    if stages.completion is None and not inpainted:
        raise InputError(
            f"{stages.folder} predicts amodal masks only; set content=inpaint, or put a checkpoint that predicts "
            f"content into {COMPLETION}/ beside it"
        )
    kinds = used_kinds(stages, options)
    _check_sampling(kinds, options, hypotheses)
    if options.boxes is None and any(kind.crop == "amodal" for kind in kinds):
        raise InputError(f"{stages.folder} was trained on crops to amodal boxes; give them with boxes=FILE.json")


def used_kinds(stages: Stages, options: DiffusionVASOptions) -> list[CheckpointKind]:
    """The kinds of the networks that a run with these options uses."""
    segmentation = None if options.amodal_masks is not None or stages.one_stage else stages.segmentation
    completion = None if options.content == "inpaint" else stages.completion
    return [stage.kind for stage in (segmentation, completion) if stage is not None]


def _check_sampling(kinds: list[CheckpointKind], options: DiffusionVASOptions, hypotheses: int) -> None:
    if hypotheses > 1 and all(kind.one_step for kind in kinds):
        what = kinds[0].recipe if kinds else "inpainting given masks"
        raise InputError(f"{what} gives one result, without noise; leave out --hypotheses")
    masks = next((kind for kind in kinds if kind.target == "amodal"), None)
    if options.draws > 1 and (masks is None or masks.one_step):
        reason = "no amodal mask is sampled" if masks is None else f"{masks.recipe} predicts without noise"
        raise InputError(f"draws is {options.draws}, but {reason}; set draws=1")
