"""Make the clip of `make demo`: a textured object turns behind a pole and a passer-by while the camera moves.

    python benchmarks/demo_clip.py demo/input

Writes a GT folder (frames/, visible_masks/, amodal_masks/, amodal_rgb/, meta.json) and clip.mp4, the same
frames as nearly lossless H.264. The images are the same every time; the bytes of the video are not.
"""

import argparse
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from unocclude.media.files import atomic_write
from unocclude.synthesis import World, rigid_world, write_world

SEED, FRAMES, WIDTH, HEIGHT = 3, 48, 480, 320


def demo_world() -> World:
    return rigid_world(SEED, "camera", FRAMES, WIDTH, HEIGHT, size=0.66, occluders=["pole", "blob"], noise=1.5, fps=24)


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, crf: int = 6, preset: str = "fast") -> None:
    """RGB frames of even size as H.264, whole or not at all; BT.601, which is what untagged video of this
    size is taken for."""
    with atomic_write(path) as part, av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf), "preset": preset}
        for i, frame in enumerate(frames):
            if i == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUTDIR")
    out = parser.parse_args().out
    world = demo_world()
    write_world(world, out)
    write_video(out / "clip.mp4", world.frames, world.fps)
    hidden = max(world.occlusion_rate)
    print(f"{out}: {len(world)} frames of {WIDTH}x{HEIGHT}, the object up to {hidden:.0%} hidden")


if __name__ == "__main__":
    main()
