"""Detect shots with PySceneDetect, frame by frame."""

from itertools import pairwise

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, FrameTimecode

from unocclude.types import Frames

WIDTH = 256  # pixels: frames are downscaled to this width, similar to PySceneDetect's default
WINDOW = 2  # neighbouring frames on either side that a cut is compared with
RETURN_SECONDS = 1.0  # a picture that returns within this time was covered, not cut
# A picture has returned if its difference to the frame before the cut is below this fraction of the difference at the
# cut. In real clips, later frames of another shot stay above 0.75; of one shot that returns after seven frames, nine
# frames in ten are below 0.32.
BACK = 0.5
_THUMBNAIL = (8, 8)  # so coarse that motion within a shot has little effect


def find_shots(clip: Frames) -> list[range]:
    """Split a clip at hard cuts; returns consecutive frame ranges from 0 to T.

    A cut is a frame that differs from the one before far more than its neighbours do (PySceneDetect's
    AdaptiveDetector). It is ignored if the earlier picture returns within a second, as after an occluder, a flash or a
    brief insert. A single-frame shot at either end of a clip is found only if there is little motion.
    """
    count = len(clip)
    detector = AdaptiveDetector(min_scene_len=1, window_width=WINDOW)
    height = max(1, round(clip.height * min(1.0, WIDTH / clip.width)))
    thumbnails = np.empty((count, *_THUMBNAIL, 3), np.uint8)
    cuts: list[int] = []
    # The detector needs WINDOW neighbours on both sides, so the clip is mirrored at its ends.
    for step in range(-WINDOW, count + WINDOW):
        i = min(max(count - 1 - abs(count - 1 - abs(step)), 0), count - 1)
        small = cv2.resize(clip[i], (min(clip.width, WIDTH), height), interpolation=cv2.INTER_AREA)
        thumbnails[i] = cv2.resize(small, _THUMBNAIL, interpolation=cv2.INTER_AREA)
        time = FrameTimecode(step + WINDOW, fps=float(clip.fps))
        cuts += [cut.frame_num - WINDOW for cut in detector.process_frame(time, small[..., ::-1].copy())]
    span = max(1, round(RETURN_SECONDS * clip.fps))
    ends = [0, *_lasting(cuts, thumbnails, span), count]
    return [range(start, end) for start, end in pairwise(ends)]


def _lasting(cuts: list[int], thumbnails: np.ndarray, span: int) -> list[int]:
    """The cuts after which the earlier picture does not return within `span` frames.

    thumbnails: (T, h, w, 3). Both cuts around a brief cover are dropped.
    """
    kept: list[int] = []
    covered_until = 0
    for cut in cuts:
        if cut <= covered_until or not 0 < cut < len(thumbnails):
            continue
        before = thumbnails[cut - 1]
        apart = _difference(thumbnails[cut], before)
        later = [_difference(frame, before) for frame in thumbnails[cut + 1 : cut + 1 + span]]
        back = [k for k, difference in enumerate(later, start=cut + 1) if difference < BACK * apart]
        if back:
            covered_until = back[0]
        else:
            kept.append(cut)
    return kept


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.int16) - b).mean())
