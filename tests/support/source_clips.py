"""Clips of discs over noise, as `synth composite` takes them."""

import json

import cv2
import numpy as np

from unocclude.media.images import write_png

COLOURS = ((220, 30, 30), (30, 220, 30), (40, 40, 230), (220, 220, 20), (20, 210, 210), (210, 20, 210))


def write_source(folder, k, frames=10, size=(64, 48), meta=None, rates=None, start=14):
    """A disc of a colour of its own that moves over noise; with `rates` its lower part is missing in visible_masks."""
    rng = np.random.default_rng(k)
    for i in range(frames):
        mask = np.zeros(size[::-1], np.uint8)
        cv2.circle(mask, (start + 3 * i, 22), 9 + k % 3, 255, -1)
        frame = rng.integers(60, 120, (*size[::-1], 3)).astype(np.uint8)
        frame[mask > 0] = COLOURS[k % 6]
        visible = mask.copy()
        if rates is not None:
            ys = np.flatnonzero(mask.any(1))
            visible[ys[round(len(ys) * (1 - rates[i]))] if rates[i] else 10**6 :] = 0
        for part, image in (("frames", frame), ("visible_masks", visible), ("amodal_masks", mask)):
            if part != "amodal_masks" or rates is not None:
                (folder / part).mkdir(parents=True, exist_ok=True)
                write_png(folder / part / f"{i:05d}.png", image)
    if meta is not None:
        (folder / "meta.json").write_text(json.dumps(meta))
