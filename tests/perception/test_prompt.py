"""Prompts: cues by frame, how they join, what is refused, and the file that holds those of several objects."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unocclude import Clip, InputError, Prompt
from unocclude.media.images import write_png
from unocclude.perception.objects import read_objects
from unocclude.perception.prompt import Cue, start_frame

CLIP = Clip.from_frames(np.zeros((5, 30, 40, 3), np.uint8), shots=[range(5)])
MASK = np.zeros((30, 40), bool)
MASK[4:9, 6:20] = True


def test_calls_chain_and_leave_the_first_prompt_alone() -> None:
    first = Prompt().box(1, 2, 11, 12)
    more = first.point(5, 6, frame=3, positive=False).point(7, 8, frame=3).hidden(frame=4)
    assert list(first.cues) == [0] and sorted(more.cues) == [0, 3, 4]
    cue = more.cues[3]
    assert (cue.inside, cue.outside, cue.signs) == ([(7, 8)], [(5, 6)], [0, 1])
    assert more.cues[4].hidden and list(more.cues[0].boxes) == [(1, 2, 11, 12)]
    more.check(CLIP)


def test_cues_of_one_frame_are_joined() -> None:
    cue = Prompt().box(1, 1, 5, 5).box(7, 7, 9, 20).point(3, 3).mask(MASK).cues[0]
    assert cue.bounds == (1, 1, 9, 20) and len(cue.boxes) == 2 and cue.inside == [(3, 3)]
    assert cue.mask is not None and (cue.mask == MASK).all()
    assert Prompt().mask(MASK).cues[0].bounds == (6, 4, 20, 9)


def test_an_empty_mask_says_hidden() -> None:
    assert Prompt().mask(np.zeros((30, 40)), frame=2).cues[2].hidden


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Prompt().hidden().point(1, 1), "hidden and marks it"),
        (lambda: Prompt().mask(MASK).mask(MASK), "two masks"),
        (lambda: Prompt().hidden().check(CLIP), "marks no object"),
        (lambda: Prompt().point(1, 1, positive=False).check(CLIP), "marks no object"),
        (lambda: Prompt().check(CLIP), "marks no object"),
        (lambda: Prompt().box(1, 1, 5, 5, frame=5).check(CLIP), "frame 5 does not exist"),
        (lambda: Prompt().box(1, 1, 5, 5).point(40, 1, frame=1).check(CLIP), "outside the 40x30 frame"),
        (lambda: Prompt().box(5, 1, 5, 9).check(CLIP), "is empty"),
        (lambda: Prompt().box(20, 20, 9, 5).check(CLIP), "not x,y,width,height"),
        (lambda: Prompt().box(0.1, 0.3, 0.5, 0.7).check(CLIP), "a fraction of the frame; give pixels"),
        (lambda: Prompt().point(0.2, 0.5).check(CLIP), "a fraction of the frame; give pixels"),
        (lambda: Prompt().mask(np.ones((30, 41))).check(CLIP), "the mask is 41x30"),
        (lambda: Prompt().text("a dog").box(1, 1, 5, 5).check(CLIP), "not both"),
        (lambda: Cue(), "needs a box, a point or a mask"),
        (lambda: Cue(mask=np.zeros((3, 3))), "empty"),
        (lambda: Cue(points=[(1, 1)], labels=[True, True]), "2 labels for 1 points"),
    ],
)
def test_what_is_refused(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def test_tracking_starts_where_the_object_is_best_defined() -> None:
    point, box, hidden = Cue(points=[(1, 1)]), Cue(boxes=[(1, 1, 3, 3)]), Cue(hidden=True)
    assert start_frame({4: box, 2: box, 0: point}) == 2
    two = Cue(points=[(1, 1), (2, 2)])
    assert start_frame({0: point, 5: two, 7: two}) == 5 and start_frame({4: point, 2: point}) == 4
    assert start_frame({3: point, 1: hidden, 0: Cue(points=[(1, 1)], labels=[False])}) == 3


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 39), st.integers(0, 29), st.booleans()), max_size=9))
def test_points_keep_their_frame_and_sign(points: list[tuple[int, int, int, bool]]) -> None:
    prompt = Prompt()
    for frame, x, y, positive in points:
        prompt = prompt.point(x, y, frame=frame, positive=positive)
    got = [(i, *xy, bool(sign)) for i, c in prompt.cues.items() for xy, sign in zip(c.points, c.signs, strict=True)]
    assert sorted(got) == sorted(points)


# The file of several objects ------------------------------------------------------------------------------------


def write(folder, objects):
    path = folder / "objects.json"
    path.write_text(json.dumps({"objects": objects}))
    return path


def test_objects_of_a_file(tmp_path) -> None:
    write_png(tmp_path / "mask.png", MASK.astype(np.uint8) * 255)
    write_png(tmp_path / "none.png", np.zeros((30, 40), np.uint8))
    cues = [
        {"frame": 0, "box": [1, 2, 11.5, 12]},
        {"frame": 2, "points": [[3, 4, 1], [5, 6, 0], [7, 8]]},
        {"frame": 3, "mask": "mask.png"},
        {"frame": 4, "mask": "none.png"},
        {"frame": 2, "points": [[9, 9, 0]]},
    ]
    first, second = read_objects(
        write(tmp_path, [
            {"id": 7, "name": "dancer", "cues": cues, "in_front_of": [2]},
            {"id": 2, "cues": [{"frame": 1, "hidden": True}, {"box": [1, 1, 4, 4]}]},
        ])
    )  # fmt: skip
    assert (first.id, first.name, first.in_front_of) == (7, "dancer", (2,)) and second.name == "object 2"
    found = first.prompt.cues
    assert found[0].bounds == (1, 2, 11.5, 12)
    assert found[2].inside == [(3, 4), (7, 8)] and found[2].outside == [(5, 6), (9, 9)]
    assert (found[3].mask == MASK).all() and found[4].hidden
    assert second.prompt.cues[1].hidden and start_frame(second.prompt.cues) == 0


CUE = {"box": [1, 1, 4, 4]}


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([], "at least 1"),
        ([{"id": 1, "cues": []}], "objects.0.cues"),
        ([{"id": 0, "cues": [CUE]}], "objects.0.id"),
        ([{"id": "1", "cues": [CUE]}], "objects.0.id"),
        ([{"id": 1, "cues": [{"box": [1, 2, 3]}]}], "objects.0.cues.0.box"),
        ([{"id": 1, "cues": [{"frame": -1, **CUE}]}], "objects.0.cues.0.frame"),
        ([{"id": 1, "cues": [{"frame": 1}]}], "object 1: a cue needs"),
        ([{"id": 1, "cues": [{"hidden": True, **CUE}]}], "object 1: .* hidden and marks it"),
        ([{"id": 1, "cues": [{"mask": "gone.png"}]}], "gone.png"),
        ([{"id": 1, "colour": "red", "cues": [CUE]}], "colour"),
        ([{"id": 1, "cues": [CUE]}, {"id": 1, "cues": [CUE]}], "object 1 is given twice"),
        ([{"id": 1, "cues": [CUE], "in_front_of": [3]}], "in front of 3"),
        ([{"id": 1, "cues": [CUE], "in_front_of": [1]}], "in front of 1"),
    ],
)
def test_what_a_file_of_objects_may_not_hold(objects, words: str, tmp_path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_objects(write(tmp_path, objects))
    assert "objects.json" in str(caught.value) and "\n" not in str(caught.value)
