"""What every generative method has to do with what is seen and with seeds, for the tests of each."""

import cv2
import numpy as np


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
