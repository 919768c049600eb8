"""A small clip of two objects, of which one crosses in front of the other, with exact truth; and its layers."""

import cv2
import numpy as np

from unocclude import Clip, MaskTrack
from unocclude.media.images import write_png

HEIGHT, WIDTH, COUNT = 64, 97, 10


def frames_and_masks(count=COUNT, seed=0):
    """Frames (H, W, 3) uint8, and per object visible and amodal masks: object 1 crosses in front of object 2."""
    rng = np.random.default_rng(seed)

    def texture(height, width, low, high):
        noise = cv2.GaussianBlur(rng.uniform(0, 1, (height, width, 3)), (0, 0), 1.5)
        noise = (noise - noise.min()) / np.ptp(noise)
        return (low + (high - low) * noise).astype(np.uint8)

    ground = texture(HEIGHT, WIDTH, 0, 110)
    skins = texture(30, 22, 120, 255), texture(40, 20, 60, 200)
    frames, visible, amodal = [], [[], []], [[], []]
    for i in range(count):
        frame = ground.copy()
        boxes = [(22, 4 + 7 * i, skins[0]), (8, 44, skins[1])]
        masks = [np.zeros((HEIGHT, WIDTH), bool) for _ in boxes]
        for k in (1, 0):
            y, x, skin = boxes[k]
            part = skin[:, : max(0, WIDTH - x)]
            frame[y : y + part.shape[0], x : x + part.shape[1]] = part
            masks[k][y : y + part.shape[0], x : x + part.shape[1]] = True
        for k in (0, 1):
            amodal[k].append(masks[k])
            visible[k].append(masks[k] if k == 0 else masks[k] & ~masks[0])
        frames.append(frame)
    return frames, visible, amodal, ground


def clip_and_tracks(count=COUNT):
    frames, visible, _, _ = frames_and_masks(count)
    return Clip.from_frames(frames, shots=[range(count)]), [MaskTrack.from_masks(masks) for masks in visible]


def write_ids(folder, count=COUNT):
    """frames/ and ids/, in which the objects are 1 and 2."""
    frames, visible, _, _ = frames_and_masks(count)
    for name in ("frames", "ids"):
        (folder / name).mkdir(parents=True)
    for i, frame in enumerate(frames):
        write_png(folder / "frames" / f"shot_{i:03d}.png", frame)
        write_png(folder / "ids" / f"shot_{i:03d}.png", (visible[0][i] + 2 * visible[1][i]).astype(np.uint8))
    return folder
