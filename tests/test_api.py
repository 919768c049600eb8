"""The Python interface: arrays in, arrays out; parts of clips; frames as they become ready."""

import base64
import gc
import io
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unocclude
from support import small_clip
from unocclude import Clip, InputError, MaskTrack
from unocclude.synthesis import rigid_world


@pytest.fixture(scope="module")
def world():
    return rigid_world(3, "affine", 6, 64, 48, occluders=["pole"])


def test_arrays_in_arrays_out(world):
    frames, masks = np.stack(world.frames), np.stack(world.visible)
    result = unocclude.complete(frames, masks, method="convex")
    same = unocclude.complete(
        Clip.from_frames(world.frames), unocclude.MaskTrack.from_masks(world.visible), method="convex"
    )
    for i in range(6):
        assert np.array_equal(result.amodal_masks[i], same.amodal_masks[i])
        assert np.array_equal(result.rgba[i], same.rgba[i])
        assert (result.amodal_masks[i] >= masks[i]).all()
    assert not (result.folder / "report.html").exists() and not (result.folder / "preview.mp4").exists()


def test_frames_come_as_they_become_ready(world):
    result = unocclude.complete(np.stack(world.frames), world.visible, method="convex")
    came = []
    for frame in unocclude.stream(np.stack(world.frames), world.visible, method="convex"):
        came.append(frame.index)
        assert np.array_equal(frame.rgba, result.rgba[frame.index])
        assert np.array_equal(frame.provenance, result.provenance[frame.index])
    assert came == list(range(6))


def test_bad_input_is_refused_before_the_first_frame(world):
    with pytest.raises(InputError, match="5 masks for 6 frames"):
        unocclude.stream(np.stack(world.frames), world.visible[:5])
    with pytest.raises(InputError, match="unknown method"):
        unocclude.stream(np.stack(world.frames), world.visible, method="none")


def test_a_part_of_a_clip_is_a_clip(world):
    clip = Clip.from_frames(world.frames, fps=10)
    part = clip[2:5]
    assert (len(part), part.height, part.width, part.fps) == (3, 48, 64, 10)
    assert all(np.array_equal(part[i], clip[i + 2]) for i in range(3))
    assert part.times == pytest.approx([0, 0.1, 0.2])
    every_second = clip[1::2]
    assert every_second.fps == 5 and np.array_equal(every_second[-1], clip[5])
    assert clip[:].fingerprint == clip.fingerprint != part.fingerprint
    for empty in (slice(4, 4), slice(9, 12), slice(None, None, -1)):
        with pytest.raises(InputError, match="at least one frame"):
            clip[empty]


def test_known_shots_are_taken_as_they_are(world):
    shots = [range(0, 2), range(2, 6)]
    assert Clip.from_frames(world.frames, shots=shots).shots == shots
    for wrong in ([range(0, 5)], [range(1, 6)], [range(0, 3), range(2, 6)], [], [range(0, 6, 2)]):
        with pytest.raises(InputError, match="follow each other"):
            Clip.from_frames(world.frames, shots=wrong)


def test_open_takes_arrays(world):
    clip = unocclude.open(np.stack(world.frames))
    assert (len(clip), clip.height, clip.width, clip.fps, clip.path) == (6, 48, 64, 24, None)
    assert all(np.array_equal(a, b) for a, b in zip(clip, world.frames, strict=True))
    assert unocclude.open(frame for frame in world.frames).fingerprint == clip.fingerprint
    assert len(unocclude.open(Image.fromarray(world.frames[0]))) == 1


def test_the_callers_arrays_stay_as_they_are(world):
    frames = [frame.copy() for frame in world.frames]
    clip = Clip.from_frames(frames)
    assert not clip[0].flags.writeable
    assert all(frame.flags.writeable for frame in frames)


FORMS = {
    "floats, probabilities": lambda f, m: (f / np.float32(255), m * 0.9),
    "channels first, axis of one": lambda f, m: (f.transpose(0, 3, 1, 2), m[:, None]),
    "(H, W, T)": lambda f, m: (f, m.transpose(1, 2, 0)),
    "lists": lambda f, m: (list(f), list(m)),
    "generators": lambda f, m: ((frame for frame in f), (mask for mask in m)),
    "PIL": lambda f, m: ([Image.fromarray(frame) for frame in f], [Image.fromarray(mask) for mask in m]),
}


@pytest.mark.parametrize("form", FORMS)
def test_complete_takes_what_people_have(form, world):
    frames, masks = np.stack(world.frames), np.stack(world.visible)
    expected = unocclude.complete(frames, masks, method="convex")
    result = unocclude.complete(*FORMS[form](frames, masks), method="convex")
    assert all(np.array_equal(a, b) for a, b in zip(result.rgba, expected.rgba, strict=True))


def test_a_track_in_the_wrong_order_is_told_with_the_remedy(world):
    turned = MaskTrack.from_masks(np.stack(world.visible).transpose(1, 2, 0))
    with pytest.raises(InputError, match=r"order \(H, W, T\).*masks.transpose\(2, 0, 1\)"):
        unocclude.complete(np.stack(world.frames), turned)


def test_one_mask_of_the_object_is_no_mask_of_all_frames(world):
    with pytest.raises(InputError, match=r"one mask for 6 frames.*unocclude\.track\(clip, mask="):
        unocclude.complete(world.frames, world.visible[0])


def test_open_leaves_a_clip_as_it_is(world):
    clip = Clip.from_frames(world.frames, fps=10)
    assert unocclude.open(clip) is clip


def test_a_prompt_takes_masks_in_all_forms(world):
    mask = world.visible[0]
    for given in (mask, mask * 0.9, mask[None], Image.fromarray(mask), mask.astype(np.uint8) * 255, mask.tolist()):
        assert np.array_equal(unocclude.Prompt().mask(given).cues[0].mask, mask)
    assert unocclude.Prompt().mask(np.full((48, 64), 0.2)).cues[0].hidden
    with pytest.raises(InputError, match="6 masks where one is needed"):
        unocclude.Prompt().mask(np.stack(world.visible))


def test_one_still_mask_of_an_occluder_stands_for_all_frames(world):
    frames, visible = np.stack(world.frames), np.stack(world.visible)
    still = np.zeros((48, 64), bool)
    still[:, 28:40] = True
    for_all = unocclude.complete(frames, visible, method="convex-r", occluders=np.stack([still] * 6))
    for given in (still, still[None], [still], Image.fromarray(still), MaskTrack.from_masks(still)):
        result = unocclude.complete(frames, visible, method="convex-r", occluders=given)
        assert all(np.array_equal(a, b) for a, b in zip(result.rgba, for_all.rgba, strict=True))
        assert result.info["arguments"] == for_all.info["arguments"]
    without = unocclude.complete(frames, visible, method="convex-r")
    assert any(not np.array_equal(a, b) for a, b in zip(without.amodal_masks, for_all.amodal_masks, strict=True))
    scene = unocclude.Scene(Clip.from_frames(frames), MaskTrack.from_masks(visible), MaskTrack.from_masks(still))
    assert all(np.array_equal(scene.occluder(i), still & ~visible[i]) for i in range(6))
    with pytest.raises(InputError, match="2 occluder masks for 6 frames"):
        unocclude.complete(frames, visible, occluders=np.stack([still] * 2))


def test_one_still_image_of_an_occluder_on_the_command_line(tmp_path, capsys):
    clip = small_clip.make(tmp_path / "clip")
    bar = np.zeros((small_clip.HEIGHT, small_clip.WIDTH), np.uint8)
    bar[:, 26:32] = 255
    Image.fromarray(bar).save(tmp_path / "bar.png")
    (tmp_path / "bars").mkdir()
    for i in range(small_clip.COUNT):
        Image.fromarray(bar).save(tmp_path / "bars" / f"{i}.png")
    for name, occluders in (("one", "bar.png"), ("all", "bars")):
        arguments = ["--masks", clip / "visible_masks", "--occluders", tmp_path / occluders, "--method", "convex-r"]
        code, _, err = small_clip.run(capsys, "complete", clip / "frames", "-o", tmp_path / name, *arguments)
        assert code == 0, err
    kinds = small_clip.PIXELS
    assert small_clip.contents(tmp_path / "one", *kinds) == small_clip.contents(tmp_path / "all", *kinds)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder in the place of the system's for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_without_out_nothing_is_left_behind(world, temporary):
    gc.collect()
    gc.disable()  # the folder must not wait for a search for cycles
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ResourceWarning)
            result = unocclude.complete(world.frames, world.visible, method="convex")
            assert [path.parent for path in temporary.iterdir()] == [temporary]
            kinds = {path.name for path in result.folder.iterdir()}
            assert kinds == {"visible_masks", "amodal_masks", "rgba", "provenance", "result.json"}
            rgba, first = result.rgba, result.rgba[0]
            del result
            assert np.array_equal(rgba[0], first)  # what is left of the result still reads
            del rgba
        assert not [warning for warning in told if warning.category is ResourceWarning]
        assert not list(temporary.iterdir())
    finally:
        gc.enable()


def test_nothing_is_left_behind_by_a_run_that_fails(world, temporary, monkeypatch):
    small_clip.register(monkeypatch)
    with pytest.raises(RuntimeError, match="a bug"):
        unocclude.complete(world.frames, world.visible, method="failing")
    with pytest.raises(InputError):
        unocclude.complete(world.frames, world.visible[:3], method="convex")
    gc.collect()
    assert not list(temporary.iterdir())


def test_hypotheses_of_a_temporary_result_outlive_it(world, temporary, monkeypatch):
    small_clip.register(monkeypatch)
    result = unocclude.complete(world.frames, world.visible, method="drawing", hypotheses=2)
    second = result.hypotheses[1]
    visible = result.visible_masks[3]
    del result
    gc.collect()
    assert second.rgba[3].shape == (48, 64, 4) and np.array_equal(second.visible_masks[3], visible)


def test_a_part_of_a_track_is_a_track(world):
    confidence = np.linspace(0, 1, 6)
    track = MaskTrack.from_masks(world.visible, "flow+cut", confidence=confidence)
    track.path = Path("masks")
    part = track[1:5]
    assert isinstance(part, MaskTrack) and len(part) == 4
    assert (part.origin, part.path, part.height, part.width) == ("flow+cut", Path("masks"), 48, 64)
    assert part.confidence.dtype == np.float32 and np.allclose(part.confidence, confidence[1:5])
    assert np.array_equal(list(part), world.visible[1:5]) and np.array_equal(part.areas, track.areas[1:5])
    assert np.array_equal(track[::2].boxes, track.boxes[::2]) and np.array_equal(track[-1], world.visible[-1])
    assert track[:].fingerprint == track.fingerprint and MaskTrack.from_masks(world.visible)[2:].confidence is None
    for empty in (slice(4, 4), slice(9, 12), slice(None, None, -1)):
        with pytest.raises(InputError, match="at least one frame"):
            track[empty]
    clip = Clip.from_frames(world.frames)
    result = unocclude.complete(clip[1:5], part, method="convex")
    assert [frame["confidence"] for frame in result.frames] == pytest.approx(confidence[1:5], abs=1e-4)


@pytest.mark.parametrize("confidence", [[0.5] * 5, [0.5] * 5 + [1.1], [0.5] * 5 + [np.nan], [[0.5]] * 6])
def test_confidence_is_one_number_for_each_mask(confidence, world):
    with pytest.raises(InputError, match="give one from 0 to 1 for each"):
        MaskTrack.from_masks(world.visible, confidence=confidence)


def test_what_they_say_of_themselves(world, tmp_path):
    small_clip.make(tmp_path / "clip.frames")
    assert repr(unocclude.open(tmp_path / "clip.frames" / "frames")) == "Clip('frames', 6 frames, 48x36, 24 fps)"
    assert repr(Clip.from_frames(world.frames, fps=24000 / 1001)) == "Clip(6 frames, 64x48, 23.976 fps)"
    masks = [*world.visible[:4], *np.zeros((2, 48, 64), bool)]
    assert repr(MaskTrack.from_masks(masks)) == "MaskTrack(6 masks, 64x48, visible in 4, given)"
    tracked = MaskTrack.from_masks(masks, "flow+cut")
    assert repr(tracked) == "MaskTrack(6 masks, 64x48, visible in 4, tracked by flow+cut)"
    result = unocclude.complete(world.frames, world.visible, method="convex", out=tmp_path / "out")
    assert repr(result) == "Completion('out', 6 frames, 64x48, by convex)"


def pictures(html):
    """The pictures of a contact sheet and their numbers."""
    assert html.count("<div") == html.count("</div>") and html.count("<figure") == html.count("</figure>")
    found = re.findall(r'src="data:image/png;base64,([^"]+)".*?<figcaption>(\d+)</figcaption>', html)
    return {int(number): np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data, number in found}


def test_they_show_themselves_in_notebooks(world):
    clip, track = Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible)
    shown = pictures(clip._repr_html_())
    assert list(shown) == list(range(6))
    assert all(np.array_equal(shown[i], clip[i]) for i in shown)  # small enough as they are
    assert all(np.array_equal(picture, world.visible[i] * 255) for i, picture in pictures(track._repr_html_()).items())
    result = unocclude.complete(clip, track, method="convex")
    assert all(np.array_equal(picture, result.rgba[i]) for i, picture in pictures(result._repr_html_()).items())
    long = Clip.from_frames(np.zeros((100, 300, 400, 3), np.uint8))
    assert list(pictures(long._repr_html_())) == [0, 20, 40, 59, 79, 99]
    assert all(picture.shape == (120, 160, 3) for picture in pictures(long._repr_html_()).values())
    named = unocclude.Clip(clip._source, Path("<b>.mp4"))
    assert "<b>" not in named._repr_html_() and "&lt;b&gt;.mp4" in named._repr_html_()


def test_everything_that_is_documented_is_there():
    assert set(unocclude.__all__) >= {
        "stream",
        "Prompt",
        "export",
        "evaluate",
        "track",
        "read_masks",
        "open",
        "complete",
    }
    assert all(hasattr(unocclude, name) for name in unocclude.__all__)
