"""Find shot cuts with PySceneDetect, frame by frame."""

from itertools import pairwise

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, FrameTimecode

from unocclude.types import Frames

WIDTH = 256  # pixels: what frames are reduced to; PySceneDetect's own default is about this
WINDOW = 2  # frames on either side that a cut is compared with
RETURN_SECONDS = 1.0  # what comes back within this time was covered, not cut away
# Of the difference at a cut. Between real clips, later frames of the other shot stay above 0.75 of it; of one
# shot, nine frames in ten are below 0.32 of it when they return after seven.
BACK = 0.5
_THUMBNAIL = (8, 8)  # so coarse that motion within a shot matters little


def find_shots(clip: Frames) -> list[range]:
    """The shots of a clip: frame ranges that follow each other from 0 to T, split at hard cuts.

    A cut is a frame whose content differs from the one before far more than its neighbours do
    (PySceneDetect's AdaptiveDetector). It does not count when within a second the picture from before is
    back: then something covered it for a moment, an occluder, a flash or a brief insert. A shot of a single
    frame at either end of a clip is found only where little moves.
    """
    count = len(clip)
    detector = AdaptiveDetector(min_scene_len=1, window_width=WINDOW)
    height = max(1, round(clip.height * min(1.0, WIDTH / clip.width)))
    thumbnails = np.empty((count, *_THUMBNAIL, 3), np.uint8)
    cuts: list[int] = []
    # The detector judges a frame by WINDOW neighbours on both sides; the clip is mirrored at its ends, so
    # that there are some everywhere, and they move as the clip does.
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
    """The cuts after which the picture from before does not come back within `span` frames.

    `thumbnails`: (T, h, w, 3). A cut into and the one out of what covered the frame both go.
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
