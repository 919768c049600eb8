"""A scene that knows other objects: those in front hide this one, those behind are background."""

import numpy as np
import pytest

from support.small_layers import COUNT, clip_and_tracks
from unocclude import InputError, MaskTrack, Scene
from unocclude.motion.camera import SharedCamera
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL
from unocclude.scene import BEHIND, IN_FRONT, UNDECIDED, OtherObject


def scene_with(side):
    clip, (crossing, standing) = clip_and_tracks()
    others = [OtherObject(crossing, np.full(COUNT, side, np.int8))]
    return Scene(clip, standing, others=others, camera=SharedCamera(clip, [crossing, standing])), crossing


@pytest.mark.parametrize(("side", "label"), [(IN_FRONT, FOREIGN), (BEHIND, BACKGROUND)])
def test_labels_follow_the_known_order(side, label):
    scene, other = scene_with(side)
    window = scene.evidence.window(5)
    there = scene.evidence.work.shrink(other[5])[window]
    assert there.any() and (scene.evidence.labels[5][there] == label).all()


def test_what_stands_still_is_background_where_the_objects_are_known():
    scene, _ = scene_with(UNDECIDED)
    clip, (_, standing) = clip_and_tracks()
    alone = Scene(clip, standing)
    assert (alone.evidence.labels[1] == STILL).any()
    assert not (scene.evidence.labels[1] == STILL).any() and (scene.evidence.labels[1] == BACKGROUND).any()


def test_the_completion_mask_covers_what_is_in_front_and_not_what_is_behind():
    for side, covers in ((IN_FRONT, True), (BEHIND, False)):
        scene, other = scene_with(side)
        window = np.zeros((scene.height, scene.width), bool)
        window[scene.evidence.window(5)] = True
        inside = scene.completion_mask(5)[other[5] & window]
        assert inside.size and (inside.all() if covers else not inside.any())


def test_occluders_and_background_are_told_apart():
    for side in (IN_FRONT, UNDECIDED, BEHIND):
        scene, other = scene_with(side)
        assert scene.occluder(5).any() == (side == IN_FRONT)
        assert scene.behind(5).any() == (side == BEHIND)
        assert np.array_equal(scene.other_objects(5), other[5])


def test_masks_of_another_size_are_refused():
    clip, tracks = clip_and_tracks()
    wrong = OtherObject(MaskTrack.from_masks(np.ones((COUNT, 3, 3))), np.zeros(COUNT, np.int8))
    with pytest.raises(InputError, match="other object"):
        Scene(clip, tracks[0], others=[wrong])
