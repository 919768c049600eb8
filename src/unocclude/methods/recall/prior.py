"""The shape prior: two small networks, trained on generated clips, predict amodal masks from masks over time and the
image."""

import cv2
import numpy as np

from unocclude.methods.recall import prior_inputs, weights
from unocclude.motion.camera import shift
from unocclude.motion.evidence import Evidence
from unocclude.weights.shipped import session

NETWORKS = {
    "shape_prior.onnx": prior_inputs.PLANES,
    "shape_prior_masks.onnx": prior_inputs.PLANES - prior_inputs.PICTURE,
}
"""Files of the networks, and their number of input planes: all, or all but the image."""
NOWHERE = -6.0
"""Logit outside the view."""


class ShapePrior:
    """Runs the networks in `weights/` on frames of a scene; `model_cards/recall/` documents them.

    Each network predicts, in a square view of the frame (`prior_inputs.view_matrix`), logits of the amodal mask and a
    factor of their covariance: logits + factors . z, with z standard normal, is a sample.
    """

    def __init__(self, evidence: Evidence):
        work = evidence.work
        self.frames = prior_inputs.ObjectFrames(
            evidence.trajectory,
            evidence.picture,
            lambda i: work.visible[i],
            lambda i: evidence.labels[i],
            evidence.window,
        )

    def logits(self, i: int, draws: int = 0, seed: int = 0) -> np.ndarray | None:
        """Logits of frame i's amodal mask in its window, (1 + draws, h, w) float32: the mean, and random samples.

        Sample k uses the same z in all frames, so that it is consistent over time. None if no object is expected.
        """
        box = prior_inputs.object_box(self.frames, i)
        window = self.frames.window(i)
        size = (window[1].stop - window[1].start, window[0].stop - window[0].start)
        if not np.isfinite(box).all() or not min(size):
            return None
        view = prior_inputs.view_matrix(box)
        planes, numbers = prior_inputs.make_inputs(self.frames, i, view)
        # average over a mirrored copy and both networks: one is better on real clips, the other on generated ones
        both, numbers = np.stack([planes, planes[..., ::-1]]), np.stack([numbers, numbers])
        answers = [
            session(weights.__name__, file).run(None, {"planes": both[:, :count], "numbers": numbers})[0]
            for file, count in NETWORKS.items()
        ]
        answer = answers[0][0]
        maps = [np.mean([(seen[0] + mirrored[0, :, ::-1]) / 2 for seen, mirrored in answers], axis=0)]
        for k in range(draws):
            normal = np.random.default_rng([seed, k]).normal(size=len(answer) - 1)
            maps.append(maps[0] + np.tensordot(normal.astype(np.float32), answer[1:], 1))
        into = (view @ shift(window[1].start, window[0].start))[:2]
        way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.stack([
            cv2.warpAffine(logits, into, size, flags=way, borderMode=cv2.BORDER_CONSTANT, borderValue=NOWHERE)
            for logits in maps
        ])  # fmt: skip
