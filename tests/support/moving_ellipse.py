"""Small clips of a textured ellipse that moves over a textured ground, with exact masks."""

from collections.abc import Callable

import cv2
import numpy as np

from unocclude.clip import Clip

HEIGHT, WIDTH = 97, 161  # odd on purpose


def texture(height: int, width: int, seed: int, colour: tuple[int, int, int], contrast: float = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(height, width, 3)).astype(np.float32), (0, 0), 2.0)
    return np.clip(np.array(colour) + contrast * noise / noise.std() * 0.4, 0, 255).astype(np.uint8)


def scene(
    path: Callable[[int], tuple[int, int]],
    count: int,
    occluder: Callable[[int], slice | None] = lambda t: None,
    looks: Callable[[int], int] = lambda t: 2,
) -> tuple[Clip, list[np.ndarray]]:
    """A textured ellipse of 40 x 28 px, moving over a textured ground, and perhaps a bar in front of it.

    looks: seed of the object's texture in a frame; each has a colour of its own.
    """
    ground = texture(HEIGHT, WIDTH, 1, (90, 110, 100))
    colours = {2: (190, 80, 60), 5: (60, 160, 200)}
    things = {seed: texture(HEIGHT * 3, WIDTH * 3, seed, colours[seed]) for seed in {looks(t) for t in range(count)}}
    bar = texture(HEIGHT, WIDTH, 3, (50, 60, 150))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frames, masks = [], []
    for t in range(count):
        cx, cy = path(t)
        mask = ((x - cx) / 20.0) ** 2 + ((y - cy) / 14.0) ** 2 < 1
        oy, ox = HEIGHT - cy + HEIGHT // 2, WIDTH - cx + WIDTH // 2
        frame = np.where(mask[..., None], things[looks(t)][oy : oy + HEIGHT, ox : ox + WIDTH], ground)
        columns = occluder(t)
        if columns is not None:
            frame[:, columns], mask[:, columns] = bar[:, columns], False
        frames.append(frame.astype(np.uint8))
        masks.append(mask)
    return one_shot(frames), masks


def one_shot(frames: list[np.ndarray]) -> Clip:
    clip = Clip.from_frames(frames)
    clip.__dict__["shots"] = [range(len(frames))]
    return clip


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, x + width, y + height


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def scores(masks: object, truth: list[np.ndarray]) -> np.ndarray:
    return np.array([iou(a, b) for a, b in zip(masks, truth, strict=True)])  # type: ignore[call-overload]
