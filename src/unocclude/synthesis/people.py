"""Figures of people who do not walk: standing, holding something, or riding a bicycle."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.synthesis.figures import FAR, BodyPart, Figure, Generator, Texture, plain, sheet
from unocclude.synthesis.paint import plate, scaled, shifted


def _wave(frames: int, reach: float, rng: Generator) -> np.ndarray:
    """A smooth oscillation, (T,) radians."""
    time = np.arange(frames) / 24
    slow, fast = rng.uniform(0.2, 0.8), rng.uniform(0.8, 2)
    turns = 2 * np.pi * rng.uniform(size=2)
    return reach * (
        0.75 * np.sin(2 * np.pi * slow * time + turns[0]) + 0.25 * np.sin(2 * np.pi * fast * time + turns[1])
    )


def poser(frames: int, rng: Generator) -> Figure:
    """A standing person seen from the front, moving arms, legs, trunk and head; some hold a board, a stick or a
    ball."""
    s, tone = rng.uniform(0.8, 1.3), rng.uniform(0.35, 1.0)
    skin = plain((235 * tone, 190 * tone, 160 * tone))
    top = sheet(rng.uniform(), rng.uniform(0.1, 0.9), rng)
    legs = sheet(rng.uniform(), rng.uniform(0, 0.5), rng, rng.uniform(0.05, 0.4), rng.uniform(0.5, 1))
    hair = plain(tuple(np.array([120, 80, 45]) * rng.uniform(0.15, 1.5)))
    coat = rng.uniform() < 0.3
    parts = {
        "torso": BodyPart("", (0, 0), -np.pi / 2, 0.29,
                          [(0, 0.085 * s), (0.4, 0.075 * s), (0.85, 0.115 * s), (1, 0.07 * s)], top, 50),
        "neck": BodyPart("torso", (0.29, 0), 0, 0.08, [(0, 0.034), (1, 0.03)], skin, 45),
        "head": BodyPart("neck", (0.085, 0), 0, 0.095, [(0, 0.045), (0.4, 0.062), (1, 0.052)], skin, 52),
        "hair": BodyPart("head", (0.06, 0), 0, 0.055, [(0, 0.045), (0.5, 0.066), (1, 0.05)], hair, 53),
    }  # fmt: skip
    if coat:
        parts["coat"] = BodyPart(
            "", (0, -0.03), np.pi / 2, rng.uniform(0.1, 0.3), [(0, 0.08 * s), (1, 0.12 * s)], top, 49
        )
    angles = {"torso": _wave(frames, 0.1, rng), "neck": _wave(frames, 0.12, rng), "head": _wave(frames, 0.15, rng)}
    for side, sign, depth in (("left", -1, 40), ("right", 1, 42)):
        apart = sign * rng.uniform(0.02, 0.25)
        parts |= {
            f"{side} thigh": BodyPart("", (sign * 0.045 * s, 0), np.pi / 2 - apart, 0.235,
                                      [(0, 0.062 * s), (1, 0.042 * s)], legs, depth),
            f"{side} shank": BodyPart(f"{side} thigh", (0.235, 0), rng.uniform(-0.1, 0.1), 0.225,
                                      [(0, 0.04 * s), (0.3, 0.04 * s), (1, 0.026)], legs, depth - 1),
            f"{side} foot": BodyPart(f"{side} shank", (0.225, 0), -sign * rng.uniform(0.2, 1.2), 0.05,
                                     [(0, 0.026), (1, 0.02)], plain(tuple(rng.uniform(20, 220, 3))), depth),
        }  # fmt: skip
        above = depth + 20 if rng.uniform() < 0.6 else depth - 20
        lifted = rng.choice([rng.uniform(0.1, 0.5), rng.uniform(0.5, 2.6)])
        parts |= {
            f"{side} arm": BodyPart("torso", (0.25, sign * 0.095 * s), np.pi - sign * lifted, 0.155,
                                    [(0, 0.042 * s), (1, 0.03 * s)], top, above),
            f"{side} forearm": BodyPart(f"{side} arm", (0.155, 0), -sign * rng.uniform(-0.4, 1.9), 0.14,
                                        [(0, 0.028 * s), (1, 0.019)], skin if rng.uniform() < 0.5 else top, above + 1),
            f"{side} hand": BodyPart(f"{side} forearm", (0.145, 0), 0, 0.04, [(0, 0.02), (1, 0.018)], skin, above + 2),
        }  # fmt: skip
        angles |= {
            f"{side} thigh": _wave(frames, rng.uniform(0, 0.15), rng),
            f"{side} shank": _wave(frames, rng.uniform(0, 0.25), rng),
            f"{side} arm": _wave(frames, rng.uniform(0.05, 0.8), rng),
            f"{side} forearm": _wave(frames, rng.uniform(0.05, 0.9), rng),
        }
    if rng.uniform() < 0.45:
        hand = str(rng.choice(["left hand", "right hand"]))
        shape = int(rng.integers(3))
        length, half = [(rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.12)), (rng.uniform(0.4, 1.0), 0.012),
                        (0.02, rng.uniform(0.06, 0.14))][shape]  # fmt: skip
        parts["held"] = BodyPart(hand, (0.02 - 0.3 * length * (shape < 2), 0), rng.uniform(-1.6, 1.6), length,
                                 [(0, 0.6 * half), (0.5, half), (1, 0.6 * half)], sheet(rng.uniform(), 0.8, rng),
                             int(rng.choice([10, 70])))  # fmt: skip
        angles["held"] = _wave(frames, 0.2, rng)
    still = np.zeros(frames)
    return Figure("person", "poser", parts, angles, ["left foot", "right foot"], still, still, (0, 0.5), slides=True)


@dataclass
class Wheel(BodyPart):
    """A tyre with spokes; `length` is its radius, the joint its hub."""

    spokes: int = 12

    def paint(self, density: float) -> tuple[np.ndarray, np.ndarray]:
        radius = self.length * density
        side = 2 * int(np.ceil(radius)) + 5
        middle, fine = (side - 1) / 2, 16
        coverage = np.zeros((side, side), np.uint8)
        centre = (round(middle * fine), round(middle * fine))
        for k in range(self.spokes):
            a = 2 * np.pi * k / self.spokes
            end = (round((middle + radius * np.cos(a)) * fine), round((middle + radius * np.sin(a)) * fine))
            cv2.line(coverage, centre, end, 150, 1, cv2.LINE_AA, 4)
        thick = max(1, round(2 * self.widths[0][1] * density))
        cv2.circle(coverage, centre, round((radius - thick / 2) * fine), 255, thick, cv2.LINE_AA, 4)
        cv2.circle(coverage, centre, round(max(1.0, 0.1 * radius) * fine), 255, -1, cv2.LINE_AA, 4)
        image = plate(self.look(side, side).astype(np.float32) * self.light, coverage)
        return image, scaled(1 / density, 1 / density) @ shifted(-middle - 1, -middle - 1)


def _off(point: np.ndarray, x: float, y: float) -> np.ndarray:
    return point + np.array([x, y])


def rider(frames: int, rng: Generator) -> Figure:
    """A cyclist in side view, pedalling."""
    radius, base = rng.uniform(0.17, 0.23), rng.uniform(0.26, 0.32)
    crank, pedal = np.array([rng.uniform(-0.06, 0.0), -radius]), 0.075
    saddle, bar = np.array([-0.12, -radius - 0.36]), np.array([base - 0.06, -radius - rng.uniform(0.28, 0.4)])
    steel, rubber = plain(tuple(rng.uniform(20, 240, 3))), plain((35, 35, 38))
    tube = rng.uniform(0.008, 0.014)

    def bar_between(a: np.ndarray, b: np.ndarray, depth: int, look: Texture = steel, half: float = tube) -> BodyPart:
        along = b - a
        return BodyPart("", (float(a[0]), float(a[1])), float(np.arctan2(along[1], along[0])), float(np.hypot(*along)),
                        [(0, half), (1, half)], look, depth)  # fmt: skip

    rear, front = np.array([-base, -radius]), np.array([base, -radius])
    parts: dict[str, BodyPart] = {
        "rear wheel": Wheel("", (-base, -radius), 0, radius, [(0, rng.uniform(0.008, 0.02))], rubber, 30),
        "front wheel": Wheel("", (base, -radius), 0, radius, [(0, rng.uniform(0.008, 0.02))], rubber, 30),
        "chain stay": bar_between(rear, crank, 31),
        "seat stay": bar_between(rear, saddle, 31),
        "seat tube": bar_between(crank, saddle, 32),
        "down tube": bar_between(crank, bar, 32),
        "top tube": bar_between(_off(saddle, 0, 0.05), _off(bar, 0, 0.04), 32),
        "fork": bar_between(bar, front, 33),
        "bar": bar_between(bar, _off(bar, 0.05, -0.03), 34),
        "saddle": bar_between(_off(saddle, -0.05, -0.01), _off(saddle, 0.05, -0.01), 34, rubber, 0.018),
    }
    person = _seated(_off(saddle, 0, -0.02), _off(bar, 0.03, -0.03), crank, pedal, frames, rng)
    parts |= person[0]
    pace = rng.uniform(0.01, 0.06)
    turn = pace / radius * np.arange(frames)
    angles = {"rear wheel": turn, "front wheel": turn, **person[1]}
    still = np.zeros(frames)
    return Figure("rider", "rider", parts, angles, [], still, still, (0, 0.5), pace=pace)


def _seated(
    hip: np.ndarray, grip: np.ndarray, crank: np.ndarray, pedal: float, frames: int, rng: Generator
) -> tuple[dict[str, BodyPart], dict[str, np.ndarray]]:
    """The body of a cyclist sitting at `hip`, holding on at `grip` and pedalling around `crank`: parts and angles."""
    tone, s = rng.uniform(0.35, 1.0), rng.uniform(0.85, 1.2)
    skin = plain((235 * tone, 190 * tone, 160 * tone))
    top, legs = sheet(rng.uniform(), rng.uniform(0.1, 0.9), rng), sheet(rng.uniform(), 0.3, rng, 0.2, 0.7)
    lean = rng.uniform(-1.35, -0.8)
    shoulder = hip + 0.26 * np.array([np.cos(lean), np.sin(lean)])
    phase = 2 * np.pi * rng.uniform(0.7, 1.6) * np.arange(frames) / 24 + rng.uniform(0, 6)
    parts = {
        "torso": BodyPart("", tuple(hip.tolist()), lean, 0.29,
                          [(0, 0.075 * s), (0.45, 0.068 * s), (0.85, 0.085 * s), (1, 0.05 * s)], top, 50),
        "neck": BodyPart("torso", (0.29, 0.01), 0.25, 0.07, [(0, 0.032), (1, 0.028)], skin, 45),
        "head": BodyPart("neck", (0.075, 0), -0.2, 0.095, [(0, 0.045), (0.4, 0.066), (1, 0.055)], skin, 52),
        "hat": BodyPart("head", (0.065, -0.01), 0, 0.05, [(0, 0.05), (0.5, 0.072), (1, 0.05)],
                    sheet(rng.uniform(), 0.8, rng), 53),
    }  # fmt: skip
    angles: dict[str, np.ndarray] = {"torso": 0.04 * np.sin(2 * phase)}
    for side, depth, light, later in (("far", 20, FAR, np.pi), ("near", 60, 1.0, 0.0)):
        foot = crank[None] + pedal * np.stack([np.cos(phase + later), np.sin(phase + later)], -1)
        thigh, shank = _reach(hip[None], foot, 0.235, 0.225, -1)
        parts |= {
            f"{side} thigh": BodyPart("", tuple(hip.tolist()), 0, 0.235, [(0, 0.06 * s), (1, 0.042 * s)], legs, depth,
                                  light),
            f"{side} "
            f"shank": BodyPart(f"{side} thigh", (0.235, 0), 0, 0.225, [(0, 0.04 * s), (1, 0.024)], legs, depth - 1,
                                  light),
            f"{side} foot": BodyPart(f"{side} shank", (0.225, 0), -1.3, 0.07, [(0, 0.024), (1, 0.016)],
                                 plain((40, 40, 45)), depth, light),
        }  # fmt: skip
        angles |= {f"{side} thigh": thigh, f"{side} shank": shank}
        arm, forearm = _reach(shoulder[None], grip[None].repeat(frames, 0), 0.155, 0.15, 1)
        parts |= {
            f"{side} "
            f"arm": BodyPart("", tuple(shoulder.tolist()), 0, 0.155, [(0, 0.04 * s), (1, 0.028 * s)], top, depth + 2,
                                light),
            f"{side} "
            f"forearm": BodyPart(f"{side} arm", (0.155, 0), 0, 0.15, [(0, 0.027 * s), (1, 0.018)], skin, depth + 3,
                                    light),
        }  # fmt: skip
        angles |= {f"{side} arm": arm, f"{side} forearm": forearm}
    return parts, angles


def _reach(root: np.ndarray, goal: np.ndarray, upper: float, lower: float, bend: int) -> tuple[np.ndarray, np.ndarray]:
    """Inverse kinematics: angles (T,) of two bones from `root` (1, 2) that end at `goal` (T, 2); the second is
    relative."""
    way = goal - root
    far = np.clip(np.hypot(way[:, 0], way[:, 1]), abs(upper - lower) + 1e-3, upper + lower - 1e-3)
    inner = np.arccos((upper**2 + far**2 - lower**2) / (2 * upper * far))
    knee = np.pi - np.arccos((upper**2 + lower**2 - far**2) / (2 * upper * lower))
    return np.arctan2(way[:, 1], way[:, 0]) + bend * inner, -bend * knee
