"""What every generative method has to do with what is seen and with seeds, for the tests of each."""

import cv2
import numpy as np

import unocclude
from support.small_clip import make
from unocclude.cli import main
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.methods import get_method
from unocclude.methods.base import RunSettings
from unocclude.scene import Scene


def completes(method, small):
    """`complete(world, weights, frames, visible, **options)` by a method whose options are `small` where not given."""

    def complete(world, weights, frames=None, visible=None, **options):
        kind = {key: options.pop(key) for key in ("seed", "hypotheses", "pad") if key in options}
        clip = Clip.from_frames(world.frames if frames is None else frames)
        track = MaskTrack.from_masks(world.visible if visible is None else visible)
        return unocclude.complete(
            clip, track, method=method, options=small | options, weights=str(weights), pictures=False, **kind
        )

    return complete


def arrays(result):
    """Amodal masks, RGBA and provenance of all frames."""
    return np.stack(list(result.amodal_masks)), np.stack(list(result.rgba)), np.stack(list(result.provenance))


def assert_seen_stays(world, result):
    """What is seen stays as it is, the rest is generated."""
    amodal, rgba, provenance = arrays(result)
    visible = np.stack(world.visible)
    assert (amodal | visible == amodal).all()
    assert set(np.unique(provenance[amodal & ~visible])) <= {3} and (provenance[visible] == 1).all()
    opaque = visible & (rgba[..., 3] == 255)
    assert np.array_equal(rgba[opaque][:, :3], np.stack(world.frames)[opaque])
    assert opaque.sum() > 0.5 * visible.sum()


def assert_within_the_completion_mask(world, complete):
    """`within=completion` takes away what lies where nothing can hide, and nothing else."""
    anywhere, within = complete(), complete(within="completion")
    scene = Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))
    frames = range(len(world))
    for i in frames:
        allowed = scene.completion_mask(i) | world.visible[i]
        assert np.array_equal(within.amodal_masks[i], anywhere.amodal_masks[i] & allowed)
    assert any((anywhere.amodal_masks[i] & ~scene.completion_mask(i)).any() for i in frames)
    assert any((within.amodal_masks[i] & ~world.visible[i]).any() for i in frames)


def assert_seeds_decide(complete):
    """`complete(seed=, hypotheses=)`: a seed decides all, and hypothesis k is what seed + k gives."""
    first, again = (arrays(complete(seed=3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    several = complete(seed=2, hypotheses=2)
    assert np.array_equal(arrays(several.hypotheses[1])[1], first[1])
    assert np.array_equal(arrays(several.hypotheses[0])[1], arrays(complete(seed=2))[1])
    disagreement = cv2.imread(str(several.folder / "disagreement" / "00002.png"), 0)
    masks = [h.amodal_masks[2] for h in several.hypotheses]
    assert np.array_equal(disagreement == 255, masks[0] ^ masks[1])


def assert_short_portrait_and_hidden(complete, count):
    """Odd sizes, portrait, a frame in which nothing is seen, one pixel of it."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (61, 37, 3), np.uint8) for _ in range(count + 1)]
    visible = [np.zeros((61, 37), bool) for _ in range(count + 1)]
    visible[0][0, 36] = True
    result = complete(frames, visible)
    assert len(result) == count + 1 and result.amodal_masks[0][0, 36]


def assert_nothing_is_made_without_the_object(world, complete, monkeypatch):
    """Of two shots the second does not show it."""
    monkeypatch.setattr(Clip, "shots", property(lambda self: [range(3), range(3, 6)]))
    visible = world.visible[:3] + [np.zeros((72, 96), bool)] * 3
    result = complete(visible=visible)
    assert all(not result.amodal_masks[i].any() for i in range(3, 6)) and result.amodal_masks[1].any()


def assert_it_may_leave_the_frame(result):
    """`result`: of a world of 96x72, with pad=0.25."""
    assert result.info["canvas"] == {"width": 144, "height": 108, "offset": [24, 18]}
    assert result.amodal_masks[0].shape == (108, 144)


def assert_the_tail_is_the_same(world, whole, name, small, weights):
    """Frames from 4 on, asked for alone, are those of the `whole` result."""
    method = get_method(name)
    scene = Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))
    tail = method(method.Options(**small), RunSettings(weights=str(weights))).complete(scene, 4)
    assert np.array_equal([result.rgba for result in tail], arrays(whole)[1][4:])


def assert_it_says_what_to_put_where(method, parts, tmp_path, monkeypatch, capsys):
    """Without weights: one line that names the parts, exit code 2, nothing written."""
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))
    clip = make(tmp_path / "clip")
    args = ["complete", str(clip / "frames"), "-o", str(tmp_path / "out"), "--masks", str(clip / "visible_masks")]
    assert main([*args, "--method", method]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts) and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
