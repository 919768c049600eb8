"""Re-identification: find an object again by appearance after an occlusion or a cut."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.geometry import box_iou
from unocclude.types import Box

_LONG_SIDE = 28  # pixels along the longer side of a template
_SCALES = (0.7, 0.85, 1.0, 1.2, 1.4)


@dataclass(frozen=True)
class Template:
    """A Lab thumbnail of the object in one frame, its mask, and the frame pixels per thumbnail pixel."""

    lab: np.ndarray  # (h, w, 3) float32
    mask: np.ndarray  # (h, w) float32, 0 or 1
    zoom: float


@dataclass(frozen=True)
class Match:
    """A match of a template: its box in frame pixels, its mask and the RMS colour difference."""

    box: Box
    mask: np.ndarray
    difference: float

    def silhouette(self, shape: tuple[int, int]) -> np.ndarray:
        """The match's mask in a frame of `shape` (height, width): (H, W) float32, 0 or 1."""
        x, y, x1, y1 = (round(v) for v in self.box)
        patch = cv2.resize(self.mask, (max(1, x1 - x), max(1, y1 - y)), interpolation=cv2.INTER_NEAREST)
        canvas = np.zeros(shape, np.float32)
        left, top = max(x, 0), max(y, 0)
        part = patch[top - y : shape[0] - y, left - x : shape[1] - x]
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        return canvas


class TemplateMemory:
    """Templates of the object from frames that show it well: the first and the most recent ones.

    most: number of templates kept. every: use every n-th frame offered.
    """

    def __init__(self, most: int = 4, every: int = 5):
        self._templates: list[Template] = []
        self._most, self._every, self._seen = most, every, 0

    def add(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Offer a frame (H, W, 3) RGB and the object's mask (H, W) bool as a new template."""
        self._seen += 1
        if self._seen % self._every != 1 and self._every > 1:
            return
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        if w < 4 or h < 4:
            return
        zoom = max(w, h) / _LONG_SIDE
        size = (max(3, round(w / zoom)), max(3, round(h / zoom)))
        rgb = cv2.resize(np.ascontiguousarray(frame[y : y + h, x : x + w]), size, interpolation=cv2.INTER_AREA)
        inside = cv2.resize(mask[y : y + h, x : x + w].astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.6
        if inside.sum() < 8:
            return
        self._templates.append(Template(_features(rgb), inside.astype(np.float32), zoom))
        if len(self._templates) > self._most:
            del self._templates[1]

    def search(self, frame: np.ndarray, near: tuple[float, float], reach: float, most: int = 3) -> list[Match]:
        """The best matches in (H, W, 3) RGB `frame`, at most `most` of them, best first.

        Masked template matching over templates and scales. At `reach` pixels from `near` the colour difference must be
        half of that at `near` to rank equally.
        """
        matches: list[tuple[float, Match]] = []
        for template in self._templates:
            for scale in _SCALES:
                zoom = template.zoom * scale
                size = (round(frame.shape[1] / zoom), round(frame.shape[0] / zoom))
                h, w = template.mask.shape
                if size[0] < w or size[1] < h or max(size) > 1600:
                    continue
                image = _features(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
                mask = np.repeat(template.mask[..., None], 3, 2)
                error = cv2.matchTemplate(image, template.lab, cv2.TM_SQDIFF, mask=mask)
                rms = np.sqrt(np.maximum(error, 0) / template.mask.sum())
                x = (np.arange(rms.shape[1]) + w / 2) * zoom - near[0]
                y = (np.arange(rms.shape[0]) + h / 2) * zoom - near[1]
                cost = rms * (1.0 + np.hypot(x[None], y[:, None]) / max(reach, 1.0)) * (1 + 0.1 * abs(np.log(scale)))
                _, _, at, _ = cv2.minMaxLoc(cost)
                box = (at[0] * zoom, at[1] * zoom, (at[0] + w) * zoom, (at[1] + h) * zoom)
                matches.append((float(cost[at[1], at[0]]), Match(box, template.mask, float(rms[at[1], at[0]]))))
        chosen: list[Match] = []
        for _, match in sorted(matches, key=lambda item: item[0]):
            if all(box_iou(match.box, other.box) < 0.5 for other in chosen):
                chosen.append(match)
            if len(chosen) == most:
                break
        return chosen


def _features(rgb: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] *= 0.6  # lightness varies more than colour
    return cv2.GaussianBlur(lab, (3, 3), 0)
