"""The mini checkpoints that ship: whole, small, and better than convex-r on worlds that training never saw."""

import functools
from pathlib import Path

import numpy as np
import pytest

import unocclude
from unocclude import InputError, methods
from unocclude.clip import Clip
from unocclude.datasets import captions
from unocclude.datasets.base import Truth
from unocclude.evaluation import evaluate
from unocclude.masks import MaskTrack
from unocclude.training import get_recipe, read_config
from unocclude.training.sources import ClipSource

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
torch.set_num_threads(1)

MINIS = sorted(Path(unocclude.__file__).parent.glob("methods/*/mini"))
IDS = [folder.parent.name.replace("_", "-") for folder in MINIS]
CARDS = Path(__file__).parents[2] / "model_cards"
HELD_OUT = "synth:worlds?count=3&seed=9903&frames=8&size=160x120"


@pytest.mark.parametrize(("folder", "name"), list(zip(MINIS, IDS, strict=True)), ids=IDS)
def test_it_is_whole_and_small_and_says_how_it_was_made(folder, name):
    assert methods.get_method(name).checkpoint_folder("mini") == folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 20e6
    documents = CARDS / name
    card = (documents / "MODEL_CARD.md").read_text()
    logs = list(documents.glob("*.jsonl"))
    assert logs and all(path.name in card for path in [*logs, *documents.glob("*.toml")])
    for config in documents.glob("*.toml"):
        read_config(config, get_recipe(config.read_text().split("unocclude train ")[1].split()[0]))


def test_no_other_method_has_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"none ships for pix2gestalt.*there are: {', '.join(IDS)}"):
        methods.get_method("pix2gestalt").checkpoint_folder("mini")


@functools.cache
def held_out(scene):
    """The worlds of one scene, one of each of its objects."""
    return ClipSource(HELD_OUT).make(scene)


# the second scene's first object alone tells a mini that is broken; all ten worlds tell which may ship
@pytest.mark.parametrize(
    "chosen", [pytest.param([(1, 0)], id="one"), pytest.param(None, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", IDS)
def test_it_beats_convex_r_on_worlds_it_never_saw(chosen, name):
    pytest.importorskip("mujoco")
    worlds = [held_out(i)[k] for i, k in chosen] if chosen else [world for i in range(3) for world in held_out(i)]
    found = {}
    method_class = methods.get_method(name)
    for method, checkpoint in ((name, "mini"), ("convex-r", None)):
        rows = []
        for world in worlds:
            track = MaskTrack.from_masks(world.visible)
            amodal = MaskTrack.from_masks(world.amodal)
            truth = Truth("a world", track, amodal, rgb=lambda i, world=world: world.amodal_rgb[i])
            said = captions.caption(world.about, zip(world.amodal_rgb, world.amodal, strict=True))
            result = unocclude.complete(
                Clip.from_frames(world.frames), track, method=method, weights=checkpoint, pictures=False,
                options=methods.with_description(method_class, {}, said) if checkpoint else {},
            )  # fmt: skip
            figures = evaluate(result, truth)
            rows.append([figures[key] for key in ("miou", "miou_occ")])
        found[method] = np.nanmean(rows, axis=0)
    assert (found[name] > found["convex-r"]).all()
