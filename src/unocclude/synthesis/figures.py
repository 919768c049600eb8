"""Articulated figures in side view, walking to the right: people, four-legged animals, birds.

A figure is a tree of parts. Each part is a flat plate along a bone, attached to its parent by a joint and moved by an
angle over time. Lengths are relative to the figure's height; y points down; an angle of 0 points to the right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.synthesis import gaits
from unocclude.synthesis.paint import cloth, plate, scaled, shifted, turned

FAR = 0.68
"""Brightness of limbs on the far side."""

Generator = np.random.Generator
Widths = list[tuple[float, float]]
Texture = Callable[[int, int], np.ndarray]
"""A function from height and width in pixels to the colours of a part, (h, w, 3) uint8."""


@dataclass
class BodyPart:
    """A plate along a bone.

    parent: name of the parent, "" for the root. joint: position in the parent's coordinates (along, across). rest:
    angle relative to the parent. length, widths: see `bone_plate`. depth: drawing order, from low to high.
    """

    parent: str
    joint: tuple[float, float]
    rest: float
    length: float
    widths: Widths
    look: Texture
    depth: int
    light: float = 1.0

    def paint(self, density: float) -> tuple[np.ndarray, np.ndarray]:
        """The plate at `density` pixels per unit, and the map (3, 3) from its pixels to the part's coordinates."""
        image, origin = bone_plate(self.length, self.widths, self.look, density)
        image[..., :3] = np.rint(image[..., :3] * self.light)
        return image, scaled(1 / density, 1 / density) @ shifted(-origin[0] - 1, -origin[1] - 1)


@dataclass
class Figure:
    """An articulated figure.

    parts: by name, parents first. angles: (T,) by name. feet: names of the parts that touch the ground. pitch: (T,) of
    the whole body. bounce: (T,), height above the ground. middle: centre relative to the standing point. pace: speed
    per frame of figures without feet. slides: steps do not move the figure forward.
    """

    kind: str
    name: str
    parts: dict[str, BodyPart]
    angles: dict[str, np.ndarray]
    feet: list[str]
    pitch: np.ndarray
    bounce: np.ndarray
    middle: tuple[float, float]
    pace: float = 0.0
    slides: bool = False

    def pose(self, density: float) -> tuple[list[tuple[np.ndarray, np.ndarray]], float]:
        """Plates, far ones first, with their maps (T, 3, 3) to coordinates around the figure's centre; and the speed.

        The lowest foot is on the ground. The speed is the distance per frame that keeps feet from sliding.
        """
        count = len(self.pitch)
        speed = self.pace
        lying: dict[str, np.ndarray] = {"": turned(self.pitch)}
        for name, part in self.parts.items():
            own = turned(part.rest + self.angles.get(name, np.zeros(count)))
            lying[name] = lying[part.parent] @ shifted(*part.joint) @ own
        down = np.zeros(count)
        if self.feet:
            ankles = np.stack([lying[foot] @ np.array([0, 0, 1]) for foot in self.feet])
            soles = np.array([self.parts[foot].widths[0][1] for foot in self.feet])
            x, down = ankles[..., 0], (ankles[..., 1] + soles[:, None]).max(0)
            # a foot that moves backwards stands on the ground and must not slide, so the figure moves forward as fast
            steps = -np.diff(x, axis=1)
            speed = float(steps[steps > 0].mean()) if (steps > 0).any() and not self.slides else 0.0
        lift = shifted(np.full(count, -self.middle[0]), -down - self.bounce)
        plates = []
        for name, part in sorted(self.parts.items(), key=lambda item: item[1].depth):
            if density * (part.length + 2 * part.widths[0][1]) < 1.5:
                continue  # too small to be seen
            image, inner = part.paint(density)
            plates.append((image, lift @ lying[name] @ inner))
        return plates, speed


def bone_plate(length: float, widths: Widths, look: Texture, density: float) -> tuple[np.ndarray, tuple[float, float]]:
    """A rounded, shaded, tapered plate, and the position of its joint in it (x, y in pixels, without the margin).

    widths: (fraction of the length, half width), interpolated smoothly; both ends are round.
    """
    along = np.array([w[0] for w in widths]) * length
    half = np.array([w[1] for w in widths])
    start, end = half[0], half[-1]
    u = np.arange(np.floor(-start * density) - 1, np.ceil((length + end) * density) + 2) / density
    widest = half.max()
    v = np.arange(np.floor(-widest * density) - 1, np.ceil(widest * density) + 2) / density
    # cosine instead of linear interpolation, because limbs have no corners
    inside = np.clip(u, 0, length)
    k = np.clip(np.searchsorted(along, inside, side="right") - 1, 0, len(along) - 2)
    t = (inside - along[k]) / np.maximum(along[k + 1] - along[k], 1e-9)
    w = half[k] + (half[k + 1] - half[k]) * (0.5 - 0.5 * np.cos(np.pi * np.clip(t, 0, 1)))
    flank = w  # round ends are shaded like the flanks, so that joints are not visible
    w = np.where(u < 0, np.sqrt(np.maximum(start**2 - u**2, 0)), w)
    w = np.where(u > length, np.sqrt(np.maximum(end**2 - (u - length) ** 2, 0)), w)
    gap = (w[None] - np.abs(v)[:, None]) * density
    coverage = np.clip(255 * (gap + 0.5), 0, 255).astype(np.uint8)
    across = np.clip(v[:, None] / np.maximum(flank[None], 0.5 / density), -1, 1)
    shade = (0.5 + 0.5 * np.sqrt(1 - 0.92 * across**2)).astype(np.float32)
    colour = np.clip(look(len(v), len(u)) * shade[..., None], 0, 255)
    return plate(colour, coverage), (-u[0] * density, -v[0] * density)


def sheet(hue: float, vivid: float, rng: Generator, contrast: float | None = None, tone: float = 1.0) -> Texture:
    """A texture shared by several parts."""
    sheet = np.clip(cloth(72, 72, hue, vivid, rng, contrast) * tone, 0, 255).astype(np.uint8)

    def look(height: int, width: int) -> np.ndarray:
        if height > 72 or width > 72:
            return cv2.resize(sheet, (max(width, 1), max(height, 1)), interpolation=cv2.INTER_LINEAR)
        return sheet[:height, :width]

    return look


def plain(colour: tuple[float, float, float]) -> Texture:
    """A texture of one colour."""
    return lambda height, width: np.full((height, width, 3), colour, np.float32)


def person(frames: int, rng: Generator) -> Figure:
    """A person who walks, strolls, marches or runs."""
    stout = rng.uniform(0.8, 1.35)
    tone = rng.uniform(0.35, 1.0)
    skin = plain((235 * tone, 190 * tone, 160 * tone))
    top = sheet(rng.uniform(), rng.uniform(0.1, 0.9), rng)
    legs = sheet(rng.uniform(), rng.uniform(0, 0.5), rng, rng.uniform(0.05, 0.4), rng.uniform(0.5, 1))
    shorts, short_sleeves, skirt = rng.uniform() < 0.3, rng.uniform() < 0.5, rng.uniform() < 0.22
    shoe = plain(tuple(rng.uniform(20, 220, 3)))
    hair = plain(tuple(np.array([120, 80, 45]) * rng.uniform(0.15, 1.5)))
    shank, forearm = (skin if shorts or skirt else legs), (skin if short_sleeves else top)
    s = stout
    down = np.pi
    parts = {
        "torso": BodyPart("", (0, 0), -np.pi / 2, 0.29,
                          [(0, 0.075 * s), (0.45, 0.066 * s), (0.85, 0.088 * s), (1, 0.05 * s)], top, 50),
        "neck": BodyPart("torso", (0.29, 0.005), 0.1, 0.08, [(0, 0.032), (1, 0.028)], skin, 45),
        "head": BodyPart("neck", (0.085, 0), 0.0, 0.095, [(0, 0.045), (0.4, 0.066), (1, 0.055)], skin, 52),
        "nose": BodyPart("head", (0.045, 0.055), np.pi / 2, 0.014, [(0, 0.013), (1, 0.009)], skin, 51),
        "hair": BodyPart("head", (0.06, -0.022), rng.uniform(-0.1, 0.25), 0.075, [(0, 0.03), (0.5, 0.056), (1, 0.042)],
                     hair, 53),
    }  # fmt: skip
    if rng.uniform() < 0.35:
        parts["tress"] = BodyPart("head", (0.06, -0.05), np.pi - 0.25, rng.uniform(0.08, 0.2), [(0, 0.035), (1, 0.02)],
                              hair, 54)  # fmt: skip
    if skirt:
        parts["skirt"] = BodyPart("", (0, -0.01), np.pi / 2, rng.uniform(0.12, 0.24),
                                  [(0, 0.07 * s), (1, rng.uniform(0.09, 0.13) * s)], top, 49)  # fmt: skip
    for side, depth, light in (("far", 10, FAR), ("near", 40, 1.0)):
        parts |= {
            f"{side} "
            f"thigh": BodyPart("torso", (0, 0), down, 0.235, [(0, 0.062 * s), (1, 0.042 * s)], legs, depth, light),
            f"{side} shank": BodyPart(f"{side} thigh", (0.235, 0), 0, 0.225,
                                      [(0, 0.04 * s), (0.3, 0.04 * s), (1, 0.024)], shank, depth - 1, light),
            f"{side} foot": BodyPart(f"{side} shank", (0.225, 0), -np.pi / 2, 0.075, [(0, 0.024), (1, 0.016)], shoe,
                                 depth, light),
        }  # fmt: skip
        above = depth + (20 if side == "near" else -8)
        parts |= {
            f"{side} "
            f"arm": BodyPart("torso", (0.255, 0), down, 0.155, [(0, 0.04 * s), (1, 0.028 * s)], top, above, light),
            f"{side} forearm": BodyPart(f"{side} arm", (0.155, 0), 0, 0.14, [(0, 0.027 * s), (1, 0.018)], forearm,
                                    above + 1, light),
            f"{side} hand": BodyPart(f"{side} forearm", (0.145, 0), 0, 0.035, [(0, 0.019), (1, 0.017)], skin, above + 2,
                                 light),
        }  # fmt: skip
    if rng.uniform() < 0.25:  # a bag or rucksack
        bag = sheet(rng.uniform(), 0.7, rng, 0.3)
        parts["bag"] = BodyPart(
            "torso", (0.06, -0.085 * s), rng.uniform(-0.15, 0.15), 0.17, [(0, 0.05), (1, 0.04)], bag, 48
        )
    angles, pitch, bounce = gaits.biped(frames, rng)
    return Figure("person", "person", parts, angles, ["near foot", "far foot"], pitch, bounce, (0, 0.5))


# name: body length, body half height, leg length, neck length, neck angle, head length, tail length, hue, vivid
ANIMALS = {
    "dog": (0.55, 0.12, 0.42, 0.16, -0.9, 0.18, 0.3, 0.07, 0.5),
    "cat": (0.55, 0.11, 0.30, 0.10, -0.6, 0.13, 0.45, 0.08, 0.4),
    "horse": (0.62, 0.15, 0.52, 0.34, -0.95, 0.24, 0.3, 0.06, 0.5),
    "cow": (0.72, 0.19, 0.36, 0.2, -0.35, 0.2, 0.35, 0.05, 0.25),
    "giraffe": (0.42, 0.12, 0.46, 0.52, -1.15, 0.15, 0.22, 0.1, 0.7),
    "elephant": (0.6, 0.24, 0.38, 0.12, -0.3, 0.22, 0.22, 0.6, 0.08),
    "pig": (0.62, 0.19, 0.2, 0.08, -0.2, 0.18, 0.1, 0.0, 0.4),
    "lizard": (0.6, 0.07, 0.14, 0.1, -0.2, 0.14, 0.6, 0.32, 0.8),
}


def animal(frames: int, rng: Generator) -> Figure:
    """A four-legged animal that walks, trots or gallops; proportions vary around those of a real species."""
    name = str(rng.choice(list(ANIMALS)))
    body, thick, leg, neck, lift, head, tail, hue, vivid = ANIMALS[name]
    body, thick, leg, neck, tail = (v * rng.uniform(0.88, 1.14) for v in (body, thick, leg, neck, tail))
    fur = sheet(hue + rng.uniform(-0.04, 0.04), vivid * rng.uniform(0.3, 1.2), rng, rng.uniform(0.2, 1.0))
    dark = sheet(hue, vivid * 0.6, rng, 0.2, 0.5)
    eye = plain((15, 12, 12))
    slim = thick * rng.uniform(0.3, 0.42)
    parts = {
        "body": BodyPart("", (0, 0), 0, body, [(0, thick * 0.8), (0.45, thick * 0.9), (0.8, thick), (1, thick * 0.75)],
                     fur, 30),
        "neck": BodyPart("body", (body * 0.98, -thick * 0.25), lift, neck,
                         [(0, thick * 0.65), (1, max(0.4 * thick, head * 0.2))], fur, 32),
        "head": BodyPart("neck", (neck, 0), -lift * 0.75 + rng.uniform(0.15, 0.5), head,
                         [(0, head * 0.32), (0.35, head * 0.32), (1, head * 0.17)], fur, 35),
        "ear": BodyPart("head", (head * 0.02, -head * 0.24), -2.0 + rng.uniform(-0.4, 0.4),
                        head * rng.uniform(0.2, 0.5), [(0, head * 0.12), (1, head * 0.05)], dark, 36),
        "eye": BodyPart("head", (head * 0.3, -head * 0.1), 0, head * 0.02,
                        [(0, head * 0.05), (1, head * 0.05)], eye, 37),
    }  # fmt: skip
    if name == "elephant":
        parts["trunk"] = BodyPart("head", (head, 0.02), 0.9, 0.2, [(0, 0.045), (1, 0.03)], fur, 34)
        parts["trunk end"] = BodyPart("trunk", (0.2, 0), 0.5, 0.16, [(0, 0.03), (1, 0.02)], fur, 34)
        parts["ear"] = BodyPart("head", (0.0, -0.02), 2.0, head * 0.6, [(0, head * 0.3), (1, head * 0.25)], dark, 38)
    if name == "horse":
        parts["mane"] = BodyPart("neck", (0.02, -thick * 0.5), 0.05, neck, [(0, 0.03), (1, 0.03)], dark, 33)
    at, rest = (0.0, -thick * 0.3), np.pi - rng.uniform(0.1, 0.6)
    parent = "body"
    for k in range(3):
        width = slim * (0.7 - 0.15 * k) if name != "lizard" else thick * (0.6 - 0.17 * k)
        look = dark if name == "horse" or (k == 2 and name in ("cow", "giraffe", "elephant")) else fur
        parts[f"tail {k}"] = BodyPart(parent, at, rest, tail / 3, [(0, width), (1, width * 0.8)], look, 28)
        parent, at, rest = f"tail {k}", (tail / 3, 0), rng.uniform(-0.1, 0.3)
    upper, lower = leg * 0.52, leg * 0.48
    for side, depth, light in (("far", 10, FAR), ("near", 40, 1.0)):
        for pair, place in (("hind", 0.06), ("fore", 0.9)):
            n = f"{side} {pair}"
            wide = slim * (1.5 if pair == "hind" else 1.25)
            parts |= {
                f"{n} thigh": BodyPart("body", (body * place, thick * 0.45), np.pi / 2, upper,
                                       [(0, wide), (1, slim * 0.75)], fur, depth, light),
                f"{n} shank": BodyPart(f"{n} thigh", (upper, 0), 0, lower, [(0, slim * 0.72), (1, slim * 0.5)], fur,
                                   depth - 1, light),
                f"{n} foot": BodyPart(f"{n} shank", (lower, 0), -np.pi / 2 + 0.25, slim * 0.7,
                                      [(0, slim * 0.52), (1, slim * 0.4)], dark, depth, light),
            }  # fmt: skip
    angles, pitch, bounce = gaits.quadruped(frames, rng)
    feet = [name for name in parts if name.endswith("foot")]
    return Figure("animal", name, parts, angles, feet, pitch, bounce, (body / 2, 0.4))


def bird(frames: int, rng: Generator) -> Figure:
    """A flying bird with beating wings."""
    hue, vivid = rng.uniform(), rng.uniform(0.1, 0.9)
    feather, other = sheet(hue, vivid, rng, rng.uniform(0.2, 0.9)), sheet(hue + 0.4, vivid, rng, 0.5)
    beak = plain((225, 160, 50))
    long = rng.uniform(0.3, 0.48)
    parts = {
        "body": BodyPart("", (-long / 2, 0), 0, long, [(0, 0.05), (0.55, 0.1), (1, 0.06)], feather, 30),
        "tail": BodyPart("body", (0.02, 0), np.pi + 0.05, rng.uniform(0.12, 0.3), [(0, 0.04), (1, 0.07)], other, 25),
        "head": BodyPart("body", (long + 0.02, -0.04), -0.2, 0.09, [(0, 0.06), (0.5, 0.07), (1, 0.05)], feather, 34),
        "eye": BodyPart("head", (0.06, -0.015), 0, 0.004, [(0, 0.012), (1, 0.012)], plain((10, 10, 10)), 36),
        "beak": BodyPart("head", (0.11, 0.01), 0.1, rng.uniform(0.06, 0.14), [(0, 0.025), (1, 0.006)], beak, 33),
    }
    span = rng.uniform(0.25, 0.38)
    for side, depth, light in (("far", 10, FAR), ("near", 40, 1.0)):
        parts[f"{side} wing"] = BodyPart("body", (long * 0.6, -0.03), -np.pi / 2 - 0.35, span, [(0, 0.09), (1, 0.075)],
                                     other, depth, light)  # fmt: skip
        parts[f"{side} tip"] = BodyPart(f"{side} wing", (span, 0), -0.3, span * 0.9, [(0, 0.07), (1, 0.02)], feather,
                                    depth - 1, light)  # fmt: skip
    angles, pitch, bounce = gaits.wings(frames, rng)
    return Figure("bird", "bird", parts, angles, [], pitch, bounce, (0, 0))
