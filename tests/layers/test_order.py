import numpy as np
import pytest

from unocclude import Clip, InputError, MaskTrack
from unocclude.layers import order
from unocclude.scene import BEHIND, IN_FRONT, UNDECIDED

SIZE = 60


def crossing(front_until=None, count=24):
    """A square that crosses a standing one; until frame `front_until` the crossing one is in front."""
    front_until = count if front_until is None else front_until
    walker, post = np.zeros((2, count, SIZE, 80), bool)
    for i in range(count):
        x = 2 + 2 * i
        walker[i, 20:40, x : x + 18] = True
        post[i, 14:42, 30:44] = True
        if i < front_until:
            post[i] &= ~walker[i]
        else:
            walker[i] &= ~post[i]
    clip = Clip.from_frames(np.zeros((count, SIZE, 80, 3), np.uint8), shots=[range(count)])
    return clip, [MaskTrack.from_masks(walker), MaskTrack.from_masks(post)]


def ids_at(clip, tracks, **more):
    ranges = order.ordered(order.relations(clip, tracks, **more), [1, 2], tracks)
    assert [r.start for r in ranges] == [0, *(r.end for r in ranges[:-1])] and ranges[-1].end == len(clip)
    return [r.ids for r in ranges for _ in range(r.start, r.end)]


@pytest.mark.parametrize("front_until", [24, 0])
def test_what_hides_the_other_is_in_front(front_until):
    clip, tracks = crossing(front_until)
    in_front = 1 if front_until else 2
    assert {ids[-1] for ids in ids_at(clip, tracks)} == {in_front}


def test_the_user_is_above_the_evidence():
    clip, tracks = crossing(0)
    assert {ids[-1] for ids in ids_at(clip, tracks, in_front_of=[(0, 1)])} == {1}
    said = order.relations(clip, tracks, [(0, 1)])
    assert (said.sides(1)[0] == IN_FRONT).all() and (said.sides(0)[1] == BEHIND).all()


def test_an_order_that_changes_is_two_ranges():
    first, second = crossing(24), crossing(0)
    masks = [[*a, *b] for a, b in zip(first[1], second[1], strict=True)]
    clip = Clip.from_frames(np.zeros((48, SIZE, 80, 3), np.uint8), shots=[range(48)])
    found = ids_at(clip, [MaskTrack.from_masks(m) for m in masks])
    changes = [i for i in range(1, 48) if found[i] != found[i - 1]]
    assert found[0][-1] == 1 and found[-1][-1] == 2
    assert len(changes) == 1 and 15 <= changes[0] <= 35


def test_settled_votes_ignore_a_few_frames_that_disagree():
    votes = np.array([1, 1, 1, -1, -1, 1, 1, 1], np.float32)
    assert (order.settled(votes) == votes.sum()).all()
    long = np.repeat([1, -1], 10).astype(np.float32)
    assert (np.sign(order.settled(long)) == long).all()
    assert not order.settled(np.array([0.1, -0.1, 0], np.float32)).any()


def test_cycles_are_broken_at_the_weakest_relation_and_told():
    votes = np.zeros((3, 3, 2), np.float32)
    for back, front, strength in ((0, 1, 5), (1, 2, 4), (2, 0, 1)):  # 2 behind 0 is the weakest
        votes[back, front], votes[front, back] = strength, -strength
    tracks = [MaskTrack.from_masks(np.ones((2, 4, 4)))] * 3
    (only,) = order.ordered(order.Relations(votes), [7, 8, 9], tracks)
    assert only.ids == (7, 8, 9) and [set(cycle) for cycle in only.cycles] == [{7, 8, 9}]


def test_a_user_who_contradicts_himself_is_told():
    clip, tracks = crossing()
    with pytest.raises(InputError, match="circle"):
        order.relations(clip, tracks, [(0, 1), (1, 0)])


def test_objects_that_never_meet_are_ordered_by_where_they_stand():
    masks = np.zeros((2, 3, SIZE, 80), bool)
    masks[0, :, 40:58, 2:10], masks[1, :, 5:12, 60:70] = True, True
    clip = Clip.from_frames(np.zeros((3, SIZE, 80, 3), np.uint8), shots=[range(3)])
    tracks = [MaskTrack.from_masks(m) for m in masks]
    assert set(ids_at(clip, tracks)) == {(2, 1)}
    assert (order.relations(clip, tracks).sides(0)[1] == UNDECIDED).all()


def test_a_single_frame_uses_the_hull():
    bite = np.zeros((1, SIZE, 80), bool)
    bite[0, 10:50, 10:50] = True
    piece = np.zeros_like(bite)
    piece[0, 20:40, 35:60] = True
    bite &= ~piece
    clip = Clip.from_frames(np.zeros((1, SIZE, 80, 3), np.uint8))
    found = ids_at(clip, [MaskTrack.from_masks(bite), MaskTrack.from_masks(piece)])
    assert found == [(1, 2)]


def test_a_network_is_asked_where_objects_touch():
    clip, tracks = crossing(24)
    asked = []

    def cue(image, masks):
        asked.append(image.shape)
        return np.array([[False, False], [True, False]])

    order.relations(clip, tracks, cue=cue)
    assert 0 < len(asked) <= 2 * order.CUES


def test_relations_survive_json():
    clip, tracks = crossing(10)
    said = order.relations(clip, tracks, [(0, 1)])
    again = order.Relations.from_json(said.as_json(), 2, len(clip))
    assert np.array_equal(said.votes, again.votes)


def test_undecided_pairs_are_decided_by_the_completions():
    amodal = np.zeros((2, 3, 20, 20), bool)
    amodal[0, :, 2:12, 2:12], amodal[1, :, 6:16, 6:16] = True, True
    visible = amodal.copy()
    visible[0] &= ~amodal[1]
    found = order.from_completions(order.Relations(np.zeros((2, 2, 3), np.float32)), visible, amodal, [range(3)])
    assert (found.votes[0, 1] > 0).all() and (found.votes[1, 0] < 0).all()
