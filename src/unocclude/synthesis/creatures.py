"""Walking creatures of physics worlds: articulated bodies driven by sine waves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np

from unocclude.synthesis.bodies import Generator, Skins, put, solid


@dataclass
class Gait:
    """Control of a creature: the target of actuator k is `offset + swing * wave(2 pi rate t + phase)`, where the wave
    is a sine or, for knees, its positive half."""

    rate: float
    names: list[str] = field(default_factory=list)
    rows: list[tuple[float, float, float, bool]] = field(default_factory=list)  # offset, swing, phase, half

    def add(self, name: str, offset: float, swing: float, phase: float, half: bool = False) -> None:
        self.names.append(name)
        self.rows.append((offset, swing, phase, half))

    def targets(self, time: float) -> np.ndarray:
        """Target angles (n,) of all actuators in radians at a time in seconds."""
        offset, swing, phase, half = np.array(self.rows, float).T
        wave = np.sin(2 * np.pi * self.rate * time + phase)
        return offset + swing * np.where(half > 0, np.maximum(wave, 0), wave)


def creature(body: Element, actuators: Element, name: str, skins: Skins, rng: Generator) -> tuple[Gait, float, float]:
    """Build a creature that walks along its x axis: torso, neck, head, tail, and two, four or six legs of two parts
    each.

    Springs keep the torso upright, because sine waves do not balance. Returns its gait, the height of its torso in
    metres, and its walking speed in metres per second.
    """
    pairs = int(rng.choice([1, 2, 2, 2, 3]))
    half = rng.uniform(0.1, 0.16) if pairs == 1 else rng.uniform(0.24, 0.36)  # relative to the torso's length
    girth, thigh, shin = rng.uniform(0.13, 0.19), rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.28)
    limb = rng.uniform(0.045, 0.065)
    mass = 12.0
    height = thigh + shin + limb
    gait = Gait(rate=rng.uniform(1.2, 1.7))
    stride = rng.uniform(0.3, 0.4)
    stiff = (24 if pairs == 1 else 12) * mass * height

    for k, axis in enumerate(np.eye(3)):
        put(body, "joint", name=f"{name}.{'xyz'[k]}", type="slide", axis=axis, damping=0.0)
    put(body, "joint", name=f"{name}.yaw", axis=(0, 0, 1), stiffness=stiff / 4, damping=stiff / 12)
    put(body, "joint", name=f"{name}.pitch", axis=(0, 1, 0), stiffness=2 * stiff, damping=stiff / 6)
    put(body, "joint", name=f"{name}.roll", axis=(1, 0, 0), stiffness=2 * stiff, damping=stiff / 6)
    if pairs == 1:
        solid(body, "ellipsoid", (half + 0.04, girth, 0.27), skins[0], pos=(0, 0, 0.2), mass=mass)
    elif rng.uniform() < 0.5:
        solid(body, "capsule", girth, skins[0], fromto=(-half, 0, 0, half, 0, 0), mass=mass)
    else:
        solid(body, "ellipsoid", (half + girth, girth, 1.15 * girth), skins[0], mass=mass)

    def hinge(parent: Element, part: str, pos: object, axis: tuple[int, int, int], strength: float) -> Element:
        child = put(parent, "body", name=f"{name}.{part}", pos=pos)
        put(child, "joint", name=f"{name}.{part}", axis=axis, damping=0.2, armature=0.01)
        put(actuators, "position", name=f"{name}.{part}", joint=f"{name}.{part}", kp=strength, dampratio=1.0)
        return child

    strength = 60 * mass * height / pairs
    for pair in range(pairs):
        x = 0.0 if pairs == 1 else half * (1 - 2 * pair / (pairs - 1))
        for side in (-1, 1):
            part = f"leg{pair}{'lr'[side > 0]}"
            phase = np.pi * ((pair + (side > 0)) % 2)  # diagonally opposite legs step together
            upper = hinge(body, part, (x, side * girth * 0.8, -0.02), (0, 1, 0), strength)
            solid(upper, "capsule", limb * 1.25, skins[1], fromto=(0, 0, 0, 0, 0, -thigh), mass=0.5)
            lower = hinge(upper, f"{part}.knee", (0, 0, -thigh), (0, 1, 0), strength / 2)
            solid(lower, "capsule", limb, skins[1], fromto=(0, 0, 0, 0, 0, -shin), mass=0.3)
            foot = (limb * 1.7, limb * 1.1, limb)
            solid(lower, "ellipsoid", foot, skins[2], pos=(limb * 0.6, 0, -shin), mass=0.1)
            # a positive angle swings a leg back; the leg is bent while it moves forward
            gait.add(f"{name}.{part}", -0.12, -stride, phase)
            gait.add(f"{name}.{part}.knee", 0.15, 0.9, phase + np.pi / 2, half=True)

    _head(hinge, body, pairs, half, girth, name, gait, skins, rng)
    tail, at, length = body, (-(half + 0.7 * girth), 0.0, 0.05), rng.uniform(0.12, 0.2)
    for k in range(3):
        tail = hinge(tail, f"tail{k}", at, (0, 0, 1), 3.0)
        ends = (0, 0, 0, -length, 0, 0.3 * length)
        solid(tail, "capsule", 0.045 - 0.009 * k, skins[(k + 1) % 3], fromto=ends, mass=0.08)
        gait.add(f"{name}.tail{k}", 0.0, 0.45, -0.9 * k)
        at = (-length, 0.0, 0.3 * length)
    return gait, height, 3.5 * stride * (thigh + shin) * gait.rate


def _head(
    hinge: Callable[..., Element], body: Element, pairs: int, half: float, girth: float, name: str, gait: Gait,
    skins: Skins, rng: Generator,
) -> None:  # fmt: skip
    up = 0.42 if pairs == 1 else 0.3 * girth
    neck = hinge(body, "neck", (0.0 if pairs == 1 else half + 0.4 * girth, 0, up), (0, 1, 0), 12.0)
    reach = np.array([0.06, 0, 0.12]) if pairs == 1 else np.array([rng.uniform(0.1, 0.2), 0, rng.uniform(0.08, 0.28)])
    skull = rng.uniform(0.11, 0.15)
    solid(neck, "capsule", 0.06, skins[0], fromto=(0, 0, 0, *reach), mass=0.2)
    solid(neck, "ellipsoid", (1.2 * skull, skull, skull), skins[2], pos=reach, mass=0.3)
    nose = reach + skull * np.array([1.15, 0, -0.25])
    solid(neck, "capsule", 0.4 * skull, skins[1], fromto=(*reach, *nose), mass=0.05)
    for side in (-1, 1):
        ear = reach + skull * np.array([-0.2, side * 0.6, 0.9])
        solid(neck, "ellipsoid", (0.03, 0.05, rng.uniform(0.06, 0.12)), skins[1], pos=ear, mass=0.02)
        eye = reach + skull * np.array([0.85, side * 0.55, 0.45])
        put(neck, "geom", type="sphere", size=0.028, pos=eye, mass=0.01, rgba=(0.05, 0.05, 0.05, 1))
    gait.add(f"{name}.neck", 0.0, 0.15, 0.0)
