"""Run lengths and polygons: what pycocotools would decode wrongly, endlessly or not at all never reaches it."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media import rle

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 33), st.integers(1, 33)))


def lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed form, from its definition: column by column, starting with the zeros."""
    counts, last = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != last:
            counts.append(0)
            last = pixel
        counts[-1] += 1
    return counts


def text(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


@settings(max_examples=100, deadline=None)
@given(MASKS)
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
@example(np.zeros((7, 13), bool))
@example(np.ones((13, 7), bool))
def test_every_form_of_a_mask_is_the_same_code(mask: np.ndarray) -> None:
    assert rle.parse_counts(text(mask)).tolist() == lengths(mask)
    size = list(mask.shape)
    for counts in (text(mask), text(mask).encode(), lengths(mask), [float(n) for n in lengths(mask)]):
        code = rle.to_compressed_rle({"size": size, "counts": counts}, mask.shape)
        assert code["counts"] == text(mask).encode() and np.array_equal(coco.decode(code), mask)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**32), 2**32), max_size=40))  # a difference has seven digits at most
def test_numbers_of_any_length_are_understood(runs: list[int]) -> None:
    digits = []
    for i, run in enumerate(runs):
        value, more = run - (runs[i - 2] if i > 2 else 0), True
        while more:
            digit, value = value & 31, value >> 5
            more = value != (-1 if digit & 16 else 0)
            digits.append(chr(digit + 32 * more + 48))
    assert rle.parse_counts("".join(digits)).tolist() == runs


@settings(max_examples=100, deadline=None)
@given(MASKS, st.data())
def test_empty_runs_change_nothing(mask: np.ndarray, data: st.DataObject) -> None:
    runs = lengths(mask)
    if len(runs) + 2 > mask.size + 2:
        return
    at = data.draw(st.integers(0, len(runs) - 1))
    part = data.draw(st.integers(0, runs[at]))
    runs[at : at + 1] = [part, 0, runs[at] - part]
    track = MaskTrack.from_rles([{"size": list(mask.shape), "counts": runs}])
    assert np.array_equal(track[0], mask) and track.fingerprint == MaskTrack.from_masks([mask]).fingerprint


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_what_passes_decodes_to_its_size(counts: str, height: int, width: int) -> None:
    try:
        code = rle.to_compressed_rle({"size": [height, width], "counts": counts})
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert coco.decode(code).shape == (height, width)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("text", "a str, not an object"),
        ({"size": [4, 4]}, "counts missing"),
        ({"size": [4], "counts": []}, "two numbers"),
        ({"size": [2**32, 64], "counts": "0"}, "within the limits of an image"),
        ({"size": [float("nan"), 64], "counts": "0"}, "within the limits of an image"),
        ({"size": [20_000, 20_000], "counts": "0"}, "over the limit of 100 megapixels"),
        ({"size": [4, 4], "counts": [True, 15]}, "other than numbers"),
        ({"size": [4, 4], "counts": [10**400]}, "too large"),
        ({"size": [4, 4], "counts": [0.5, 15.5]}, "not whole numbers"),
        ({"size": [4, 4], "counts": [float("inf")]}, "not whole numbers"),
        ({"size": [4, 4], "counts": None}, "a NoneType, not text or a list"),
        ({"size": [4, 4], "counts": "\ud800"}, "in its counts"),
        ({"size": [4, 4], "counts": "oooooooo0"}, "too long"),
        ({"size": [1, 1], "counts": [0] * 99 + [1]}, "100 runs for 1x1"),
        ({"size": [4, 4], "counts": []}, "cover 0 of 4x4"),
    ],
)
def test_what_is_no_run_lengths(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rle.to_compressed_rle(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "0 polygons"),
        ([[]], "polygon 0 has 0 numbers"),
        ([0, 0, 4, 4], "polygon 0 has 4 numbers"),
        ([[0, 0, 4, 0, 4, 4, 0]], "has 7 numbers"),
        ([[0, 0, 4, 0, 4, "4"]], "no list of numbers"),
        ([[0, 0, float("nan"), 0, 5, 5]], "has a coordinate beyond"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], "has a coordinate beyond"),
        ([[0, 0, 2**63, 0, 1, 1]], "has a coordinate beyond"),
        ([0, 0, 10**400, 0, 1, 1], "too large"),
        ([[0, 0, 9e5, 0] * 10], "longer than"),
        ([[0, 0, 1, 0, 1, 1]] * 2000, "2000 polygons"),
        ({"size": [5, 5], "counts": [25]}, "it is 5x5, the image 8x6"),
    ],
)
def test_what_is_no_outline(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rle.segmentation_to_rle(given, (6, 8))


def test_outlines_are_drawn_as_pycocotools_draws_them() -> None:
    polygons = [[1, 1, 6, 1, 6, 4, 1, 4], [-3.5, 2, 2, 2, 2, 9]]
    want = coco.decode(coco.merge(coco.frPyObjects(polygons, 6, 8)))
    assert np.array_equal(coco.decode(rle.segmentation_to_rle(polygons, (6, 8))), want) and want.any()


def test_a_megabyte_of_counts_takes_no_time() -> None:
    begun = time.perf_counter()
    for character in "01oPp":
        with pytest.raises(ValueError):
            rle.to_compressed_rle({"size": [1000, 1000], "counts": character * 1_000_000})
    assert time.perf_counter() - begun < 5


def test_a_track_checks_what_it_is_given() -> None:
    with pytest.raises(InputError, match="mask 1 is not a COCO RLE"):
        MaskTrack([text(np.eye(4)).encode(), b"~~"], 4, 4)
    with pytest.raises(InputError, match="masks of sizes 3x3, 4x4 in one clip"):
        MaskTrack.from_rles([{"size": [n, n], "counts": [n * n]} for n in (3, 4)])
    with pytest.raises(InputError, match="over 100000 masks"):
        MaskTrack.from_rles([None] * 200_000)
    hidden = MaskTrack.from_rles([None, {"size": [2, 3], "counts": [1, 5]}])
    assert hidden.areas.tolist() == [0, 5]
