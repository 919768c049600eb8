"""A small clip with known truth, and methods to run on it, for the tests of what lies around the methods."""

import faulthandler
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
from pydantic import Field

from unocclude import methods
from unocclude.cli import main
from unocclude.completion import FrameResult
from unocclude.media.images import write_png
from unocclude.methods.base import Method, MethodOptions
from unocclude.methods.compose import compose

HEIGHT, WIDTH, COUNT = 36, 48, 6
PIXELS = ("visible_masks", "amodal_masks", "rgba", "provenance")  # what a run writes for every frame


def make(folder, count=COUNT, seed=0):
    """A textured square that moves behind a bar: frames/, visible_masks/, amodal_masks/, amodal_rgb/."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    texture = rng.integers(120, 255, (14, 14, 3)).astype(np.uint8)
    folder = Path(folder)
    for kind in ("frames", "visible_masks", "amodal_masks", "amodal_rgb"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for t in range(count):
        frame, amodal = ground.copy(), np.zeros((HEIGHT, WIDTH), bool)
        x = 2 + round(30 * t / max(count, 5))
        frame[10:24, x : x + 14] = texture
        amodal[10:24, x : x + 14] = True
        write_png(folder / "amodal_rgb" / f"{t:05d}.png", np.where(amodal[..., None], frame, 0).astype(np.uint8))
        visible = amodal.copy()
        visible[:, 26:32] = False
        frame[:, 26:32] = (20, 200, 20)
        write_png(folder / "frames" / f"{t:05d}.png", frame)
        write_png(folder / "visible_masks" / f"{t:05d}.png", visible.astype(np.uint8) * 255)
        write_png(folder / "amodal_masks" / f"{t:05d}.png", amodal.astype(np.uint8) * 255)
    return folder


class Drawing(Method):
    """Samples: each hypothesis is the visible mask grown to the right by a random amount."""

    name = "drawing"
    summary = "a method for tests"
    independent = True
    samples = True

    class Options(MethodOptions):
        reach: int = Field(6, ge=1, le=20, description="how far it may grow, in pixels")
        shout: bool = False
        dawdle: float = Field(0, ge=0, description="seconds to wait before every frame")

    def complete(self, scene, start=0):
        for i in range(start, len(scene)):
            time.sleep(self.options.dawdle)
            drawn = [self._draw(scene, i, k) for k in range(self.settings.hypotheses)]
            yield (drawn[0] if len(drawn) == 1 else FrameResult(**vars(drawn[0]) | {"hypotheses": tuple(drawn)}))

    def _draw(self, scene, i, k):
        # seeded by frame, so that a run that is resumed draws the same
        rng = np.random.default_rng([self.settings.seed, i, k])
        visible, amodal = scene.visible(i), scene.visible(i).copy()
        for _ in range(rng.integers(1, self.options.reach + 1)):
            amodal[:, 1:] |= amodal[:, :-1]
        colour = rng.integers(0, 256, (*visible.shape, 3)).astype(np.uint8)
        return compose(i, scene.frame(i), visible, amodal, colour, np.zeros_like(visible))


class Failing(Drawing):
    """Stops in the middle, as a bug would."""

    name = "failing"

    def complete(self, scene, start=0):
        for result in super().complete(scene, start):
            if result.index == 2:
                raise RuntimeError("a bug,\nover two lines")
            yield result


class Noting(Drawing):
    """Leaves a file with the number of each process that completes frames."""

    name = "noting"

    class Options(Drawing.Options):
        folder: str = "."

    def complete(self, scene, start=0):
        Path(self.options.folder, str(os.getpid())).touch()
        return super().complete(scene, start)


class Described(Drawing):
    """Takes a description of the object."""

    name = "described"
    text_option = "words"

    class Options(Drawing.Options):
        words: str = ""


class Crashing(Described):
    """Ends the process on the dog, and raises what nobody expects on the cat's second row."""

    name = "crashing"

    def complete(self, scene, start=0):
        if self.options.words == "a dog":
            faulthandler.disable()  # pytest's, which would print where
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.options.words == "the cat, again":
            raise MemoryError
        yield from super().complete(scene, start)


def register(monkeypatch):
    """Make the methods of this file known by name."""
    for cls in (Drawing, Failing, Noting, Described, Crashing):
        monkeypatch.setitem(methods.METHODS.table, cls.name, f"{__name__}:{cls.__name__}")


def run(capsys, *args):
    """Exit code, stdout and stderr of a command line."""
    code = main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out, err


def assert_one_line(err, *words):
    """An error message: one plain line that says these words."""
    lines = [
        line for line in err.splitlines() if not line.startswith(("tracking:", "completing:", "preview:", "note:"))
    ]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in err and not re.search("[\x1b│╭─]", err)
    for word in words:
        assert str(word) in lines[0], lines[0]


def contents(folder, *kinds):
    """Every file under the named sub-folders (all of it without names), as bytes by name."""
    roots = [Path(folder) / kind for kind in kinds] or [Path(folder)]
    return {
        str(p.relative_to(folder)): p.read_bytes() for root in roots for p in sorted(root.rglob("*")) if p.is_file()
    }
