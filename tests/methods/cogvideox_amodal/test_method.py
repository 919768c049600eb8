"""CogVideoX-Amodal as a method, on tiny random weights."""

import json
from functools import partial

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
from unocclude import InputError
from unocclude.masks import MaskTrack
from unocclude.methods.framing import crop_around
from unocclude.methods.postprocess import paste_back
from unocclude.synthesis import rigid_world

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_cogvideox import write_checkpoint  # noqa: E402
from unocclude.methods.cogvideox_amodal.pipeline import AmodalCogVideoX  # noqa: E402

torch.set_num_threads(1)
SMALL = {"steps": 2, "description": "a red ball"}
complete = completes("cogvideox-amodal", SMALL)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "cogvideox", False, channels=12)


@pytest.fixture(scope="module")
def world():
    return rigid_world(4, "affine", 6, 96, 72, occluders=["pole"])


def test_windows_of_the_network_in_turn(world, weights):
    """Six frames in windows of five: the second window ends with the clip and gives only the last frame."""
    network = AmodalCogVideoX.from_pretrained(weights)
    framing = crop_around([tuple(box) for box in MaskTrack.from_masks(world.visible).boxes], (96, 72), 0, size=(32, 32))
    generator = torch.Generator().manual_seed(7)

    def batch(pictures):
        stacked = np.stack([framing.crop(picture, 255 if picture.ndim == 3 else 0) for picture in pictures])
        planes = stacked if stacked.ndim == 4 else np.stack([stacked] * 3, -1)
        return torch.tensor(planes[None]).permute(0, 1, 4, 2, 3) / 127.5 - 1

    outputs = [
        network(
            batch(world.frames[a : a + 5]), batch(world.visible[a : a + 5]), "a red ball", num_inference_steps=2,
            guidance_scale=6.0, generator=generator,
        ).numpy() for a in (0, 1)
    ]  # fmt: skip
    found = complete(world, weights, seed=7)
    for i in range(6):
        picture = outputs[0][i] if i < 5 else outputs[1][4]
        mask = picture.min(-1) < 0.9
        amodal, colour = paste_back(framing, mask, (255 * picture).round().astype(np.uint8))
        assert np.array_equal(found.amodal_masks[i], amodal | world.visible[i])
        inside = amodal & ~world.visible[i] & (found.rgba[i][..., 3] == 255)
        assert np.abs(found.rgba[i][inside][:, :3].astype(int) - colour[inside]).max(initial=0) <= 1
    assert any((found.amodal_masks[i] & ~world.visible[i]).any() for i in range(6))


def test_the_clip_the_masks_and_the_words_change_the_result(world, weights):
    whole = arrays(complete(world, weights))[1]
    silent = arrays(complete(world, weights, description=""))[1]
    visible = [mask & (np.arange(96) % 3 > 0) for mask in world.visible]
    other = arrays(complete(world, weights, visible=visible))[1]
    grey = arrays(complete(world, weights, frames=[frame // 2 for frame in world.frames]))[1]
    hidden = ~np.stack(world.visible)
    assert all(not np.array_equal(whole[hidden], one[hidden]) for one in (silent, other, grey))


def test_what_all_generative_methods_do(world, weights, monkeypatch, tmp_path, capsys):
    once = partial(complete, world, weights)
    assert_seen_stays(world, once())
    assert_within_the_completion_mask(world, once)
    assert_seeds_decide(once)
    assert_it_may_leave_the_frame(once(pad=0.25))
    assert_the_tail_is_the_same(world, once(), "cogvideox-amodal", SMALL, weights)
    assert_short_portrait_and_hidden(once, 1)
    assert_it_says_what_to_put_where("cogvideox-amodal", ("transformer",), tmp_path, monkeypatch, capsys)
    assert_nothing_is_made_without_the_object(world, once, monkeypatch)


def test_another_network_and_a_wrong_window_are_refused(world, weights, tmp_path):
    plain = write_checkpoint(tmp_path / "plain", False)
    with pytest.raises(InputError, match="has 4 input channels, CogVideoX-Amodal has 12; train it with recipe cog"):
        complete(world, plain)
    with pytest.raises(InputError, match="frames = 4; the VAE takes a multiple of 2, plus 1"):
        complete(world, weights, window=4)
    kind = {"recipe": "vas-mask", "methods": ["diffusion-vas"], "conditions": ["visible"], "target": "amodal"}
    (plain / "kind.json").write_text(json.dumps(kind))
    with pytest.raises(InputError, match=r"checkpoint of recipe vas-mask.*use --method diffusion-vas"):
        complete(world, plain)
