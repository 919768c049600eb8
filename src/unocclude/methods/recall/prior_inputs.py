"""Inputs of the shape prior: a square view around the object's expected box, with the image, masks and occlusion labels
of the frame, and masks of other frames mapped into it box to box."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.motion.camera import shift
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL
from unocclude.motion.trajectory import Trajectory

SIDE = 96
"""Side of a view in pixels."""
MARGIN = 0.3
"""Margin of a view around the box on every side, relative to the box size."""
NEAR = (-3, -1, 1, 3)
"""Offsets of neighbouring frames that are always used."""
BEST = 3
"""Number of well-visible frames used on each side."""
REACH = 24
"""Maximum distance of these in frames."""
CONTEXT = len(NEAR) + 2 * BEST
PICTURE = 3
PLANES = 5 + CONTEXT + PICTURE
"""Number of input planes. Of the frame: visible, foreign, background, still, canvas. Of each context frame one plane:
1 object, negative not object, 0 unknown. Last the image, RGB in -1..1."""
NUMBERS = 2 * CONTEXT
"""Number of input scalars: visible fraction of each context frame, and its distance in time relative to `REACH`."""

CONTEXT_VALUES = np.zeros(4, np.float32)
"""Value of each occlusion label in the plane of a context frame."""
CONTEXT_VALUES[[BACKGROUND, STILL]] = -1.0, -0.5


@dataclass(frozen=True)
class ObjectFrames:
    """Access to an object's frames at working resolution.

    picture(i): (H, W, 3) uint8 RGB. visible(i): (H, W) bool. labels(i): (h, w) uint8, occlusion labels of `window(i)`.
    """

    trajectory: Trajectory
    picture: Callable[[int], np.ndarray]
    visible: Callable[[int], np.ndarray]
    labels: Callable[[int], np.ndarray]
    window: Callable[[int], tuple[slice, slice]]


def object_box(frames: ObjectFrames, i: int) -> np.ndarray:
    """Bounding box (4,) of the expected box and the visible part; NaN if no object is expected."""
    box, seen = frames.trajectory.boxes[i], frames.trajectory.work.boxes[i]
    if frames.trajectory.work.areas[i] and np.isfinite(box).all():
        return np.concatenate([np.minimum(box[:2], seen[:2]), np.maximum(box[2:], seen[2:])])
    return box


def view_matrix(box: np.ndarray, zoom: float = 1.0, move: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """3x3 map from working pixels into the view around a box.

    zoom, move (relative to the box size): random disturbance, for augmentation.
    """
    size = max(8.0, float((box[2:] - box[:2]).max()))
    scale = zoom * SIDE / (size * (1 + 2 * MARGIN))
    middle = (box[:2] + box[2:] - 1) / 2 + size * np.array(move)
    return shift((SIDE - 1) / 2, (SIDE - 1) / 2) @ np.diag([scale, scale, 1.0]) @ shift(-middle[0], -middle[1])


def context_frames(trajectory: Trajectory, i: int) -> list[int | None]:
    """Frames whose masks are mapped into frame i's view, None where there is none.

    First the neighbours, then the best-visible frames before and after, each nearest first.
    """
    shot = trajectory.work.whole_shot(i)
    chosen: list[int | None] = [i + k if i + k in shot else None for k in NEAR]
    for side in (range(max(shot.start, i - REACH), i)[::-1], range(i + 1, min(shot.stop, i + REACH + 1))):
        best = sorted(side, key=lambda s: (-min(float(trajectory.ratio[s]), 0.95), abs(s - i)))[:BEST]
        best = sorted((s for s in best if trajectory.work.areas[s]), key=lambda s: abs(s - i))
        chosen += [*best, *[None] * (BEST - len(best))]
    return chosen


def make_inputs(frames: ObjectFrames, i: int, view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs for frame i in `view` (see `view_matrix`): (PLANES, SIDE, SIDE) and (NUMBERS,) float32."""
    trajectory = frames.trajectory
    planes, numbers = np.zeros((PLANES, SIDE, SIDE), np.float32), np.zeros(NUMBERS, np.float32)
    visible, labels = frames.visible(i), frames.labels(i)
    window = frames.window(i)
    into = view @ shift(window[1].start, window[0].start)
    planes[0] = _warp(visible[window].astype(np.float32), into)
    seen = planes[0] > 0.5
    planes[4] = _warp(np.ones(visible.shape, np.float32), view)
    for k, label in ((1, FOREIGN), (2, BACKGROUND), (3, STILL)):
        planes[k] = _warp((labels == label).astype(np.float32), into) * ~seen
    # labels end at their window; outside the canvas anything may occlude
    planes[1][planes[4] < 0.5] = 1
    mine = trajectory.boxes[i]
    for k, s in enumerate(context_frames(trajectory, i)):
        if s is None or not np.isfinite(trajectory.boxes[s]).all():
            continue
        values = CONTEXT_VALUES[frames.labels(s)]
        window = frames.window(s)
        values[frames.visible(s)[window]] = 1
        motion = view @ box_to_box(trajectory.boxes[s], mine) @ shift(window[1].start, window[0].start)
        planes[5 + k] = _warp(values, motion)
        numbers[k] = min(1.0, float(trajectory.ratio[s]))
        numbers[CONTEXT + k] = np.clip((s - i) / REACH, -1, 1)
    planes[-PICTURE:] = _warp(frames.picture(i)[window].astype(np.float32) / 127.5 - 1, into).transpose(2, 0, 1)
    return planes, numbers


def box_to_box(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """3x3 map of a box's centre and area onto another's; the aspect ratio is kept."""
    scale = float(np.clip(np.sqrt(np.prod(target[2:] - target[:2]) / np.prod(source[2:] - source[:2])), 0.5, 2))
    move = (target[:2] + target[2:] - 1) / 2 - scale * (source[:2] + source[2:] - 1) / 2
    return shift(*move) @ np.diag([scale, scale, 1.0])


def _warp(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Warp (h, w) or (h, w, 3) float32 into the view; 0 outside."""
    if not image.size:
        return np.zeros((SIDE, SIDE, *image.shape[2:]), np.float32)
    shrunk = 1 / float(np.sqrt(abs(np.linalg.det(motion[:2, :2]))))
    if shrunk > 2:  # antialiasing
        image = cv2.blur(image, (2 * int(shrunk / 2) + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(image, motion[:2], (SIDE, SIDE), flags=cv2.INTER_LINEAR)
