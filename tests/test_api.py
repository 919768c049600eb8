"""The Python interface: arrays in, arrays out; parts of clips; frames as they become ready."""

import numpy as np
import pytest

import unocclude
from unocclude import Clip, InputError
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
