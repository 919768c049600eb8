"""Which outlines stick to the scene: a textured object that slides behind a post, and before it."""

import numpy as np
import pytest

from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.methods.recall.sticking import sticking
from unocclude.scene import Scene

COUNT, HEIGHT, WIDTH, SIDE = 25, 80, 200, 40
POST = slice(90, 116)
AT = 10
"""A frame in which the object is half behind the post, in `scene_of("behind")`."""


def scene_of(kind):
    """A square slides to the right, by 4 pixels a frame: `behind` a post, in `front` of it, or it stands `still`."""
    rng = np.random.default_rng(0)

    def texture(height, width):
        return np.kron(rng.integers(0, 256, (height // 4, width // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)

    ground, skin = texture(HEIGHT, WIDTH), texture(SIDE, SIDE)
    frames, masks = [], []
    for i in range(COUNT):
        frame, mask = ground.copy(), np.zeros((HEIGHT, WIDTH), bool)
        x = POST.start - SIDE // 2 + (0 if kind == "still" else 4 * (i - AT))
        whole = np.s_[20 : 20 + SIDE, x : x + SIDE]
        mask[whole] = True
        if kind != "front":
            mask[:, POST] = False  # the post looks like the ground
        frame[whole] = np.where(mask[whole][..., None], skin, frame[whole])
        frames.append(frame)
        masks.append(mask)
    return Scene(Clip.from_frames(frames, shots=[range(COUNT)]), MaskTrack.from_masks(masks))


def beside(scene):
    """The mean to the right and to the left of the object in frame `AT`."""
    evidence = scene.evidence
    assert (evidence.work.width, evidence.work.height) == (WIDTH, HEIGHT)
    found: np.ndarray = np.zeros((HEIGHT, WIDTH), np.float32)
    found[evidence.window(AT)] = sticking(evidence, AT)
    xs = np.flatnonzero(evidence.work.visible[AT].any(0))
    return found[25:55, xs[-1] + 1 : xs[-1] + 6].mean(), found[25:55, xs[0] - 5 : xs[0]].mean()


def test_the_edge_of_a_post_sticks_to_the_scene_and_the_objects_own_edge_does_not():
    right, left = beside(scene_of("behind"))
    assert right > 0.5 and left < -0.5


def test_before_the_post_all_edges_move_with_the_object():
    right, left = beside(scene_of("front"))
    assert right < -0.5 and left < -0.5


def test_an_object_at_rest_says_nothing():
    assert beside(scene_of("still")) == pytest.approx((0, 0), abs=0.1)


def test_one_frame_and_nothing_visible():
    frames = np.zeros((3, 20, 20, 3), np.uint8)
    masks = np.zeros((3, 20, 20), bool)
    masks[0, 5:12, 5:12] = True
    evidence = Scene(Clip.from_frames(frames, shots=[range(1), range(1, 3)]), MaskTrack.from_masks(masks)).evidence
    assert not sticking(evidence, 0).any()
    assert not sticking(evidence, 1).any()
