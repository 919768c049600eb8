"""Image preprocessing: resizing and normalisation as in each published model, without torchvision.

uint8 images are resized with Pillow, which antialiases. Depth Anything and InstaOrder resize floats with OpenCV
instead, which differs by several grey levels; they do so in their own modules.
"""

import numpy as np

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of RGB in 0..1: SAM, SAM 2, Grounding DINO, Depth Anything, InstaOrder, RAM++."""

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and standard deviation for CLIP."""

HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and standard deviation for SAM 3."""

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]


def normalised(image: np.ndarray, colours: Colours = IMAGENET) -> np.ndarray:
    """Normalise (H, W, 3) RGB, uint8 in 0..255 or float in 0..1, to (3, H, W) float32: (x - mean) / deviation."""
    values = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    mean, deviation = (np.array(part, np.float32) for part in colours)
    return np.ascontiguousarray(((values - mean) / deviation).transpose(2, 0, 1))


def resized(image: np.ndarray, size: tuple[int, int], filter: str = "BILINEAR") -> np.ndarray:
    """Resize (H, W, 3) uint8 to `size` (height, width) with a Pillow filter (BILINEAR, BICUBIC, ...)."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling[filter]))


def longest_side(height: int, width: int, longest: int) -> tuple[int, int]:
    """(height, width) with the longer side scaled to `longest`, aspect ratio kept (SAM's ResizeLongestSide)."""
    scale = longest / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def shortest_side(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """(height, width) with the shorter side scaled to `shortest`, or less if the longer side would exceed `longest`.

    The aspect ratio is kept (the rule of DETR and Grounding DINO).
    """
    low, high = min(height, width), max(height, width)
    if high / low * shortest > longest:
        shortest = max(1, round(longest * low / high))
    other = int(shortest * high / low)
    return (shortest, other) if height <= width else (other, shortest)


def centre_crop(image: np.ndarray, side: int) -> np.ndarray:
    """CLIP's preprocessing: scale the shorter side to `side` (bicubic) and crop the centre, (side, side, 3) uint8."""
    reach = 8 * min(image.shape[:2])  # crop very long images first, which saves memory
    middle = (slice(max(0, length // 2 - reach), length // 2 + reach) for length in image.shape[:2])
    image = image[tuple(middle)]
    height, width = image.shape[:2]
    size = (side, int(side * width / height)) if height <= width else (int(side * height / width), side)
    image = resized(image, size, "BICUBIC")
    top, left = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return image[top : top + side, left : left + side]
