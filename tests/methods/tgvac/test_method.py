"""TGVAC from the command line, on a tiny checkpoint in the published format."""

import json
import re
from functools import partial

import cv2
import numpy as np
import pytest

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
from support.small_clip import make
from unocclude import InputError
from unocclude.cli import main
from unocclude.completion import Completion
from unocclude.masks import MaskTrack
from unocclude.methods import description
from unocclude.methods.framing import crop_around, crop_following
from unocclude.methods.postprocess import paste_back
from unocclude.synthesis import rigid_world

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_tgvac import write_checkpoint  # noqa: E402
from unocclude.methods.tgvac import TGVACPipeline  # noqa: E402

torch.set_num_threads(1)
SMALL = {"steps": 2, "description": "a red ball"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tgvac")


@pytest.fixture(scope="module")
def world():
    return rigid_world(4, "affine", 6, 96, 72, occluders=["pole"])


complete = completes("tgvac", SMALL)


@pytest.mark.parametrize(("draws", "white", "follow"), [(1, 0.9, False), (3, 0.9, False), (1, 0.6, True)])
def test_it_is_the_pipeline_on_a_square_around_the_object(world, weights, draws, white, follow):
    pipe = TGVACPipeline.from_pretrained(weights)
    pipe.set_progress_bar_config(disable=True)
    track = MaskTrack.from_masks(world.visible)
    boxes = [tuple(box) for box in track.boxes]
    framings = (
        crop_following(boxes, (96, 72), (32, 32)) if follow else [crop_around(boxes, (96, 72), 0, size=(32, 32))] * 6
    )
    batch = lambda pictures: torch.tensor(np.stack(pictures)[None]).permute(0, 1, 4, 2, 3) / 127.5 - 1  # noqa: E731
    masks = [framing.crop(mask) for framing, mask in zip(framings, world.visible, strict=True)]
    frames = [framing.crop(frame, 255) for framing, frame in zip(framings, world.frames, strict=True)]
    objects = [np.where(mask[..., None] > 127, frame, 255) for mask, frame in zip(masks, frames, strict=True)]
    generator = torch.Generator().manual_seed(5)
    drawn = [
        pipe(
            batch(objects), batch([np.dstack([mask] * 3) for mask in masks]), "a red ball", num_inference_steps=2,
            generator=generator,
        ).frames[0].numpy() for _ in range(draws)
    ]  # fmt: skip
    found = complete(world, weights, seed=5, draws=draws, white=white, framing="follow" if follow else "object")
    grown = 0
    for i, framing in enumerate(framings):
        has = [picture[i].min(-1) < white for picture in drawn]
        agreed = 2 * sum(map(np.float32, has)) >= draws
        some = np.ma.array([picture[i] for picture in drawn], mask=[np.dstack([~one] * 3) for one in has])
        amodal, colour = paste_back(framing, agreed, (255 * some.mean(0).filled(1)).round().astype(np.uint8))
        assert np.array_equal(found.amodal_masks[i], amodal | world.visible[i])
        inside = amodal & ~world.visible[i] & (found.rgba[i][..., 3] == 255)
        assert np.abs(found.rgba[i][inside][:, :3].astype(int) - colour[inside]).max(initial=0) <= 1
        grown += inside.sum()
    assert grown > 100


def test_within_the_completion_mask(world, weights):
    assert_within_the_completion_mask(world, partial(complete, world, weights))


def test_what_is_seen_stays_and_the_rest_is_generated(world, weights):
    assert_seen_stays(world, complete(world, weights))


def test_a_seed_decides_and_hypotheses_are_seeds(world, weights):
    assert_seeds_decide(partial(complete, world, weights))


def test_the_switches_of_tables_3_and_4(world, weights):
    whole = arrays(complete(world, weights))[1]
    silent = arrays(complete(world, weights, text=False))[1]
    assert np.array_equal(silent, arrays(complete(world, weights, description=""))[1])
    changed = [
        silent,
        arrays(complete(world, weights, motion=False))[1],
        arrays(complete(world, weights, description="a blue box"))[1],
        arrays(complete(world, weights, window=4, stride=1))[1],
        arrays(complete(world, weights, window=4, stride=4))[1],
    ]
    for k, other in enumerate(changed):
        assert not np.array_equal(whole, other)
        assert all(not np.array_equal(other, another) for another in changed[:k])
    assert np.array_equal(whole, arrays(complete(world, weights, window=14, stride=2, together=3))[1])


@pytest.mark.parametrize("count", [1, 2])
def test_short_portrait_and_hidden(world, weights, count):
    assert_short_portrait_and_hidden(partial(complete, world, weights), count)


def test_nothing_is_made_of_a_shot_without_the_object(world, weights, monkeypatch):
    assert_nothing_is_made_without_the_object(world, partial(complete, world, weights), monkeypatch)


def test_on_a_larger_canvas_it_may_leave_the_frame(world, weights):
    assert_it_may_leave_the_frame(complete(world, weights, pad=0.25, side=64))


def test_starting_later_gives_the_same_tail(world, weights):
    assert_the_tail_is_the_same(world, complete(world, weights), "tgvac", SMALL, weights)


def test_on_the_command_line(tmp_path, weights, capsys):
    clip = make(tmp_path / "clip")
    args = ["complete", str(clip / "frames"), "--masks", str(clip / "visible_masks"), "--method", "tgvac", "--quiet"]
    args += ["--weights", str(weights), "--set", "steps=1", "--set", "description=a red striped ball"]
    assert main([*args, "-o", str(tmp_path / "out")]) == 0
    assert main([*args, "-o", str(tmp_path / "out"), "--resume"]) == 0
    assert len(Completion(tmp_path / "out")) == len(list((clip / "frames").iterdir()))
    assert main([*args, "-o", str(tmp_path / "bad"), "--set", "window=15"]) == 2
    assert "motion modules take at most 14 frames" in capsys.readouterr().err


def test_bench_tells_it_what_each_object_is(tmp_path, weights):
    data = tmp_path / "data"
    for k, notes in enumerate(({"class": "ball"}, {"caption": "the blue box"}, {})):
        (make(data / str(k), 2, seed=k) / "meta.json").write_text(json.dumps(notes))
    args = ["bench", f"toys={data}", "--methods", "tgvac", "--weights", f"tgvac={weights}", "--quiet"]
    args += ["--set", "tgvac.steps=1"]
    assert main([*args, "-o", str(tmp_path / "out")]) == 0
    told = [
        Completion(tmp_path / f"out/runs/toys/{k}/tgvac").info["method"]["options"]["description"] for k in range(3)
    ]
    assert re.fullmatch("an? [a-z ]+ ball", told[0]) and told[1:] == ["the blue box", ""]
    assert main([*args, "--set", "tgvac.description=a cat", "-o", str(tmp_path / "other")]) == 0
    assert Completion(tmp_path / "other/runs/toys/1/tgvac").info["method"]["options"]["description"] == "a cat"


def test_without_weights_it_says_what_to_put_where(tmp_path, monkeypatch, capsys):
    assert_it_says_what_to_put_where("tgvac", ("unet/", "tgvac-motion"), tmp_path, monkeypatch, capsys)


def test_motion_is_asked_for_where_it_is_absent(world, tmp_path):
    alone = write_checkpoint(tmp_path / "alone", motion=False)
    with pytest.raises(InputError, match=r"has no motion/.*motion=false"):
        complete(world, alone)
    assert complete(world, alone, motion=False).amodal_masks[0].any()


def test_a_network_of_equation_5_sees_the_frames(world, tmp_path):
    """What is around the object changes nothing for the others, but does for this one."""
    near = [cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0 for mask in world.visible]
    frames = [np.where(n[..., None], frame, 255 - frame) for n, frame in zip(near, world.frames, strict=True)]
    for channels, sees in ((9, False), (12, True)):
        weights = write_checkpoint(tmp_path / str(channels), channels=channels)
        plain, other = (arrays(complete(world, weights, given))[1] for given in (world.frames, frames))
        assert np.array_equal(plain, other) != sees


def test_without_a_description_it_is_captioned_or_a_line_says_so(world, weights, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    silent = complete(world, weights, description="")
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "tgvac has no description" in said and "blip2-opt-2.7b" in said and "\n" not in said
    assert silent.info["method"]["report"] == {"description": ""}
    caplog.clear()
    assert complete(world, weights, text=False).info["method"]["report"] == {"description": ""} and not caplog.records
    seen = []

    class Captioner:
        def __init__(self, device):
            pass

        def __call__(self, picture):
            seen.append(picture)
            return "a red ball"

    monkeypatch.setattr(description.checkpoints, "is_present", lambda name: name == "blip2-opt-2.7b")
    monkeypatch.setattr(description.caption, "Captioner", Captioner)
    captioned = complete(world, weights, description="")
    assert captioned.info["method"]["report"] == {"description": "a red ball"}
    assert np.array_equal(arrays(captioned)[1], arrays(complete(world, weights))[1])
    best = int(np.argmax([mask.sum() for mask in world.visible]))
    rows, columns = np.nonzero(world.visible[best].any(1))[0], np.nonzero(world.visible[best].any(0))[0]
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    expected = np.where(world.visible[best][..., None], world.frames[best], 255)[box]
    assert np.array_equal(seen[0], expected)
