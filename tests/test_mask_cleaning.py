"""What a run says of the masks that it cleaned."""

from pathlib import Path

import numpy as np
import pytest

import unocclude
from unocclude.errors import InputError
from unocclude.scene import check_masks

H, W, T = 48, 64, 6
ys, xs = np.mgrid[:H, :W]
MASKS = [(xs - 15 - 4 * t) ** 2 + (ys - 24) ** 2 < 100 for t in range(T)]
FRAMES = np.array([np.where(m[..., None], (200, 60, 40), (60, 90, 120)) for m in MASKS], np.uint8)


def dirty() -> list[np.ndarray]:
    result = [mask.copy() for mask in MASKS]
    for t in (1, 3):
        result[t][2, 60] = True
    return result


def test_cleaning_is_in_the_result_and_the_report(tmp_path: Path) -> None:
    result = unocclude.complete(FRAMES, dirty(), method="modal", out=tmp_path / "out")
    assert result.info["mask_cleaning"] == {"pixels": 2, "frames": 2}
    assert any("2 of 6 masks had specks" in note for note in result.info["notes"])
    assert np.array_equal(list(result.visible_masks), MASKS)
    assert result.frames[1]["visible_area"] == MASKS[1].sum() and result.frames[1]["occlusion_rate"] == 0
    assert "2 pixels in 2 frames" in (tmp_path / "out" / "report.html").read_text()
    clean = unocclude.complete(FRAMES, MASKS, method="modal", out=tmp_path / "clean")
    assert clean.info["mask_cleaning"] == {"pixels": 0, "frames": 0} and clean.info["notes"] == []
    assert "masks cleaned" not in (tmp_path / "clean" / "report.html").read_text()


def test_streamed_results_are_of_cleaned_masks() -> None:
    found = [result.amodal for result in unocclude.stream(FRAMES, dirty(), method="modal")]
    assert np.array_equal(found, MASKS)


def test_specks_cost_recall_nothing() -> None:
    """One stray pixel in each mask, far from the object."""
    masks, rng = [mask & ~(np.abs(xs - 32) < 4) for mask in MASKS], np.random.default_rng(0)
    stray = [mask.copy() for mask in masks]
    for mask in stray:
        mask[rng.integers(0, 6), rng.integers(0, W)] = True
    plain, other = ([r.amodal for r in unocclude.stream(FRAMES, given)] for given in (masks, stray))
    assert np.array_equal(plain, other)


def test_a_variable_frame_rate_is_named_as_the_cause_of_a_wrong_count() -> None:
    class Uneven:
        height, width, fps = H, W, 10.0
        times = (0.0, 0.1, 0.4, 0.5, 0.9, 1.0)

        def __len__(self) -> int:
            return T

        def read(self, i: int) -> np.ndarray:
            return FRAMES[i].copy()

    track = unocclude.MaskTrack.from_masks(MASKS[:4])
    uneven, even = unocclude.Clip(Uneven()), unocclude.Clip.from_frames(FRAMES)
    for clip, words in ((uneven, "4 masks for 6 frames; the clip has a variable rate"), (even, "one for every")):
        with pytest.raises(InputError, match=words):
            check_masks(clip, track)
