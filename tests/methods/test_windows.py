"""Windows of frames and their blend, against a plain loop over frames."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")
from unocclude.methods.windows import blend, split_windows, triangular_weights, uniform_weights  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("count", [1, 2, 13, 14, 15, 25, 26, 60, 300])
@pytest.mark.parametrize(("length", "stride"), [(14, 4), (25, 17), (1, 1), (5, 5)])
def test_every_frame_is_covered_and_no_window_is_longer_or_repeated(count, length, stride):
    parts = split_windows(count, length, stride)
    assert {i for part in parts for i in part} == set(range(count))
    assert all(len(part) == min(length, count) for part in parts)
    assert len(set(parts)) == len(parts)
    assert all(b.start - a.start <= stride for a, b in pairwise(parts))


@pytest.mark.parametrize("weights", [uniform_weights, triangular_weights])
@pytest.mark.parametrize("count", [1, 7, 8, 23])
def test_blend_is_the_weighted_mean_of_each_frame(weights, count):
    parts = split_windows(count, 7, 3)
    generator = torch.Generator().manual_seed(0)
    answers = {part: torch.randn(1, len(part), 2, 3, generator=generator) for part in parts}
    blended = blend(answers.__getitem__, count, parts, weights)
    for i in range(count):
        said = [(weights(len(part))[i - part.start], answers[part][0, i - part.start]) for part in parts if i in part]
        plain = sum(w * value for w, value in said) / sum(w for w, _ in said)
        torch.testing.assert_close(blended[0, i], plain)
        if len(said) == 1:
            assert torch.equal(blended[0, i], said[0][1])


def test_a_ramp_is_highest_in_the_middle():
    assert (
        triangular_weights(5).tolist() == [1, 2, 3, 2, 1]
        and triangular_weights(4).tolist() == [1, 2, 2, 1]
        and triangular_weights(1).tolist() == [1]
    )
