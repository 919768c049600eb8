"""Offscreen rendering of a MuJoCo scene: colour, depth and visible geom at the same samples."""

import os
import sys
from types import ModuleType
from typing import Any

import numpy as np

from unocclude.errors import InputError

NEAR, FAR = 0.1, 80.0
"""Clipping planes in metres; `physics.py` sets the same in the model."""
SHOWN, HIDDEN = 0, 5
"""Geom groups: MuJoCo renders the first and hides the second."""


def load_mujoco() -> ModuleType:
    """Import `mujoco`, with EGL unless MUJOCO_GL is set.

    Raises InputError if it or its OpenGL libraries are not installed.
    """
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise InputError(f"physics worlds need {error.name}: pip install 'unocclude[worlds]'") from error
    except Exception as error:  # PyOpenGL raises AttributeError if a library is missing
        raise _no_renderer(error) from error
    return mujoco


def gl_context(width: int, height: int) -> Any:
    """Create an OpenGL context and make it current; raises InputError if offscreen OpenGL is not available."""
    load_mujoco()
    try:
        if os.environ.get("MUJOCO_GL") == "egl":  # also if mujoco was imported before this was set
            from mujoco.egl import GLContext
        else:
            from mujoco.gl_context import GLContext
        context = GLContext(width, height)
        context.make_current()
    except Exception as error:
        raise _no_renderer(error) from error
    return context


def _no_renderer(error: Exception) -> InputError:
    why = " ".join(str(error).split()) or type(error).__name__
    return InputError(
        "physics worlds need offscreen OpenGL, which did not start"
        f" (MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}: {why[:120]});"
        " install EGL, on Debian: apt-get install libegl1 libgl1-mesa-dri"
    )


class Offscreen:
    """Renders a model at (height, width) samples; use as a context manager."""

    def __init__(self, model: Any, width: int, height: int):
        self._mujoco = load_mujoco()
        self._model, self._size = model, (height, width)
        self._gl = gl_context(width, height)
        m = self._mujoco
        try:
            self._context = m.MjrContext(model, m.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # there is a context, but no renderer
            self._gl.free()
            raise _no_renderer(error) from error
        m.mjr_setBuffer(m.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = m.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = m.MjvScene(model=model, maxgeom=2 * model.ngeom + 16)
        self._option = m.MjvOption()
        self._option.geomgroup[HIDDEN] = 0
        self._view = m.MjrRect(0, 0, width, height)

    def __enter__(self) -> "Offscreen":
        return self

    def __exit__(self, *_: object) -> None:
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def look(self, data: Any, camera: Any, shown: np.ndarray | None = None, sky: bool = True) -> None:
        """Set the state to render: geoms in `shown`, (geoms,) bool, or all; with or without a sky."""
        m = self._mujoco
        self._model.geom_group[:] = SHOWN if shown is None else np.where(shown, SHOWN, HIDDEN)
        m.mjv_updateScene(self._model, data, self._option, None, camera, m.mjtCatBit.mjCAT_ALL, self._scene)
        self._scene.flags[m.mjtRndFlag.mjRND_SKYBOX] = sky

    def colour(self) -> tuple[np.ndarray, np.ndarray]:
        """Colour (H, W, 3) uint8 and depth buffer (H, W) float32, larger is nearer, 0 where there is nothing."""
        return self._draw(labels=False)

    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Id of the visible geom, (H, W) int, -1 where there is none, and the depth buffer as in `colour`."""
        picture, buffer = self._draw(labels=True)
        code = picture[..., 0] + (picture[..., 1].astype(np.uint16) << 8)  # 0: nothing, else index in the list + 1
        geom = np.full(self._scene.ngeom + 1, -1)
        for drawn in self._scene.geoms[: self._scene.ngeom]:
            if drawn.segid >= 0 and drawn.objtype == self._mujoco.mjtObj.mjOBJ_GEOM:
                geom[drawn.segid + 1] = drawn.objid
        return geom[code], buffer

    def _draw(self, labels: bool) -> tuple[np.ndarray, np.ndarray]:
        m = self._mujoco
        for flag in (m.mjtRndFlag.mjRND_SEGMENT, m.mjtRndFlag.mjRND_IDCOLOR):
            self._scene.flags[flag] = labels
        self._gl.make_current()
        m.mjr_render(self._view, self._scene, self._context)
        picture, buffer = np.empty((*self._size, 3), np.uint8), np.empty(self._size, np.float32)
        m.mjr_readPixels(picture, buffer, self._view, self._context)
        return picture[::-1], buffer[::-1]  # rows in OpenGL start at the bottom


def metres(buffer: np.ndarray) -> np.ndarray:
    """Convert the (reversed) depth buffer to depth along the optical axis in metres, float32; inf where it is 0."""
    value = buffer.astype(np.float64)
    with np.errstate(divide="ignore"):
        depth = NEAR * FAR / (value * (FAR - NEAR) + NEAR)
    return np.where(value > 0, depth, np.inf).astype(np.float32)
