"""The shape prior at work: what a small network, trained on generated clips, makes of an object's masks over time."""

import cv2
import numpy as np

from unocclude.methods.recall import view as views
from unocclude.methods.recall.weights import session
from unocclude.motion.camera import shift
from unocclude.motion.evidence import Evidence

FILE = "shape_prior.onnx"
NOWHERE = -6.0
"""Logit beyond the view."""


class ShapePrior:
    """Runs `weights/shape_prior.onnx` on frames of a scene; see the model card beside it.

    The network gives, in a view of the frame (`views.place`), logits of the whole silhouette and the factors of their
    covariance: logits + factors . z, z normal, is a draw of the silhouette.
    """

    def __init__(self, evidence: Evidence):
        work = evidence.work
        self.sight = views.Sight(
            evidence.trajectory, lambda i: work.visible[i], lambda i: evidence.labels[i], evidence.window
        )

    def logits(self, i: int, draws: int = 0, seed: int = 0) -> np.ndarray | None:
        """(1 + draws, h, w) float32 logits of frame i's silhouette in its window: the mean, and draws around it.

        A draw of a number is the same way of being different in all frames. None where nothing is expected.
        """
        box = views.whole_box(self.sight, i)
        window = self.sight.window(i)
        size = (window[1].stop - window[1].start, window[0].stop - window[0].start)
        if not np.isfinite(box).all() or not min(size):
            return None
        view = views.place(box)
        planes, numbers = views.look(self.sight, i, view)
        [[answer]] = [session(FILE).run(None, {"planes": planes[None], "numbers": numbers[None]})[0]]
        maps = [answer[0]]
        for k in range(draws):
            normal = np.random.default_rng([seed, k]).normal(size=len(answer) - 1)
            maps.append(answer[0] + np.tensordot(normal.astype(np.float32), answer[1:], 1))
        into = (view @ shift(window[1].start, window[0].start))[:2]
        way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.stack([
            cv2.warpAffine(logits, into, size, flags=way, borderMode=cv2.BORDER_CONSTANT, borderValue=NOWHERE)
            for logits in maps
        ])  # fmt: skip
