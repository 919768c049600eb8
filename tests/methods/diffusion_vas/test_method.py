"""Diffusion-VAS from the command line, on tiny checkpoints in the published format."""

import json
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

import unocclude
from support.development_data import clip_folder, clip_names
from support.generative_cases import (
    arrays,
    assert_it_may_leave_the_frame,
    assert_it_says_what_to_put_where,
    assert_nothing_is_made_without_the_object,
    assert_seeds_decide,
    assert_seen_stays,
    assert_short_portrait_and_hidden,
    assert_the_tail_is_the_same,
    assert_within_the_completion_mask,
    completes,
)
from unocclude import InputError
from unocclude.cli import main
from unocclude.clip import Clip
from unocclude.completion import Completion
from unocclude.masks import MaskTrack
from unocclude.synthesis import rigid_world, write_world

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_diffusion_vas import write_checkpoint  # noqa: E402
from unocclude.methods.diffusion_vas import DiffusionVASPipeline  # noqa: E402

torch.set_num_threads(1)
SMALL = {"steps": 2, "pixels": 8192}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "vas"
    write_checkpoint(folder / "amodal-segmentation", 1)
    write_checkpoint(folder / "content-completion", 2)
    return folder


@pytest.fixture(scope="module")
def world():
    return rigid_world(4, "affine", 6, 96, 72, occluders=["pole"])


complete = completes("diffusion-vas", SMALL)


@pytest.mark.parametrize(("threshold", "draws"), [(600, 1), (382, 1), (382, 2)])
def test_squeezed_in_parity_it_is_the_published_two_stages(world, weights, threshold, draws):
    """A plain version of the published demo, at 128x64, with the layers' order for depth; masks of several draws."""
    size = (128, 64)
    bilinear = Image.Resampling.BILINEAR
    shrink = lambda image: np.asarray(Image.fromarray(image).resize(size, bilinear), np.float32) / 127.5 - 1  # noqa: E731
    scene = unocclude.scene.Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))
    depth = scene.depth(range(6))
    batch = lambda planes: torch.tensor(np.stack(planes)[None, :, None]).repeat(1, 1, 3, 1, 1)  # noqa: E731
    masks = [shrink(mask.astype(np.uint8) * 255) for mask in world.visible]
    generator = torch.Generator().manual_seed(5)
    pipes = [
        DiffusionVASPipeline.from_pretrained(weights / part) for part in ("amodal-segmentation", "content-completion")
    ]
    for pipe in pipes:
        pipe.set_progress_bar_config(disable=True)
    how = {"num_inference_steps": 2, "conditioning_order": "parity", "generator": generator}
    depths = batch([shrink(depth(i)) for i in range(6)])
    out = np.mean([pipes[0](batch(masks), depths, **how).frames[0].numpy() for _ in range(draws)], axis=0)
    amodal = ((out * 255).round().sum(-1) > threshold) | (np.stack(masks) > 0)
    rgb = np.stack([shrink(frame) for frame in world.frames]).transpose(0, 3, 1, 2)
    modal = (np.stack(masks) > 0)[:, None]
    first = torch.tensor(np.where(modal, rgb, 1.0), dtype=torch.float32)[None]
    out = pipes[1](first, batch([np.where(mask, 1.0, -1.0).astype(np.float32) for mask in amodal]), **how).frames[0]
    chosen = {"threshold": threshold, "draws": draws}
    found = complete(world, weights, framing="squeeze", conditioning_order="parity", seed=5, **chosen)
    for i in range(6):
        whole = cv2.resize(amodal[i].astype(np.float32), (96, 72), interpolation=cv2.INTER_AREA) > 0.5
        colour = (out[i].numpy() * 255).round().astype(np.uint8)
        colour = cv2.resize(colour, (96, 72), interpolation=cv2.INTER_AREA)
        assert np.array_equal(found.amodal_masks[i], whole | world.visible[i])
        inside = whole & ~world.visible[i] & (found.rgba[i][..., 3] == 255)
        assert np.abs(found.rgba[i][inside][:, :3].astype(int) - colour[inside]).max(initial=0) <= 1
    assert any((found.amodal_masks[i] & ~world.visible[i]).any() for i in range(6))


def test_within_the_completion_mask(world, weights):
    assert_within_the_completion_mask(world, partial(complete, world, weights))


def test_what_is_seen_stays_and_the_rest_is_generated(world, weights):
    assert_seen_stays(world, complete(world, weights))


def test_a_seed_decides_and_hypotheses_are_seeds(world, weights):
    assert_seeds_decide(partial(complete, world, weights))


def test_windows_reach_over_long_clips(world, weights):
    whole = arrays(complete(world, weights, window=6))
    assert np.array_equal(whole[1], arrays(complete(world, weights, window=40))[1])
    assert not np.array_equal(whole[1], arrays(complete(world, weights, window=3, overlap=1))[1])


@pytest.mark.parametrize("count", [1, 2])
def test_short_portrait_and_hidden(world, weights, count):
    assert_short_portrait_and_hidden(partial(complete, world, weights), count)


def test_nothing_is_made_of_a_shot_without_the_object(world, weights, monkeypatch):
    assert_nothing_is_made_without_the_object(world, partial(complete, world, weights), monkeypatch)


def test_amodal_boxes_bound_the_object(world, weights, tmp_path):
    boxes = []
    for mask in world.amodal:
        ys, xs = np.nonzero(mask)
        boxes.append([int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1])
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    result = complete(world, weights, boxes=str(tmp_path / "boxes.json"))
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        outside = result.amodal_masks[i].copy()
        outside[y0:y1, x0:x1] = False
        assert not outside.any()
    for bad, said in (
        ("[[0,0,1,1]]", "1 boxes for 6 frames"),
        ("x", "not a JSON list"),
        (json.dumps([[3, 3, 3, 5]] * 6), "no area"),
    ):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(InputError, match=said):
            complete(world, weights, boxes=str(tmp_path / "bad.json"))


def test_on_a_larger_canvas_it_may_leave_the_frame(world, weights):
    assert_it_may_leave_the_frame(complete(world, weights, pad=0.25))


def test_without_weights_it_says_what_to_put_where(tmp_path, monkeypatch, capsys):
    assert_it_says_what_to_put_where(
        "diffusion-vas", ("amodal-segmentation", "content-completion"), tmp_path, monkeypatch, capsys
    )


def test_a_checkpoint_says_which_options_suit_it(world, weights, tmp_path):
    """Those are the defaults; what the user sets goes before them, and result.json tells what was used."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for part in weights.iterdir():
        (folder / part.name).symlink_to(part)
    (folder / "options.json").write_text('{"steps": 1, "pixels": 4096, "threshold": 382}')
    used = completes("diffusion-vas", {"steps": 2})(world, folder).info["method"]["options"]
    assert (used["steps"], used["pixels"], used["threshold"]) == (2, 4096, 382)
    for wrong, said in (
        ('{"step": 1}', "options.json: method diffusion-vas has no option 'step'"),
        ("[", "no configuration"),
    ):
        (folder / "options.json").write_text(wrong)
        with pytest.raises(InputError, match=said):
            complete(world, folder)


def test_bench_measures_a_checkpoint(world, weights, tmp_path):
    write_world(world, tmp_path / "data" / "world")
    args = ["bench", f"one={tmp_path / 'data'}", "-o", str(tmp_path / "out"), "--methods", "diffusion-vas", "--quiet"]
    sets = ["--set", "diffusion-vas.steps=1", "--set", "diffusion-vas.pixels=4096"]
    assert main([*args, *sets, "--weights", f"diffusion-vas={weights}"]) == 0
    asked = json.loads((tmp_path / "out" / "bench.json").read_text())["asked"]
    assert asked["weights"] == {"diffusion-vas": str(weights)} and asked["methods"]["diffusion-vas"]["steps"] == 1
    assert "| diffusion-vas |" in (tmp_path / "out" / "table.md").read_text()


def test_depth_anything_is_asked_for_where_it_is_absent(world, weights):
    with pytest.raises(InputError, match="depth=anything needs Depth Anything V2"):
        complete(world, weights, depth="anything")


def test_starting_later_gives_the_same_tail(world, weights):
    assert_the_tail_is_the_same(world, complete(world, weights), "diffusion-vas", SMALL, weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", clip_names("real"))
def test_real_clips(name, weights, tmp_path):
    clip = clip_folder(name, tmp_path / "clip")
    args = ["complete", str(clip / "frames"), "-o", str(tmp_path / "out"), "--masks", str(clip / "visible_masks")]
    assert main([*args, "--method", "diffusion-vas", "--weights", str(weights), "--set", "steps=1", "--quiet"]) == 0
    assert len(Completion(tmp_path / "out")) > 20
