"""Frames per second, time per stage, peak memory of `complete` at 854x480 on two cores; start of the command.

    python benchmarks/speed.py [--lengths 50 500 2000] [--method recall] [--profile] [--json FILE]

The clip is synthetic: 50 frames of a rigid world, to and fro. Every run is a process of its own, and this one
imports nothing large: Linux counts the parent's memory into a child's peak.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTH, HEIGHT, DISTINCT, CORES = 854, 480, 50, 2
LENGTHS = ("50", "500", "2000")
STARTS = 9


def make(folder: Path, lengths: list[int]) -> None:
    """For every length N: folder/N.mp4 and folder/N, visible masks."""
    from demo_clip import write_video

    from unocclude.media.images import write_png
    from unocclude.synthesis import rigid_world

    world = rigid_world(3, "camera", DISTINCT, WIDTH, HEIGHT, occluders=["pole", "blob"], noise=1.5)
    distinct = folder / "distinct"
    distinct.mkdir()
    for i, mask in enumerate(world.visible):
        write_png(distinct / f"{i}.png", mask.astype("uint8") * 255)
    for length in lengths:
        order = [DISTINCT - 1 - abs(DISTINCT - 1 - i % (2 * DISTINCT - 2)) for i in range(length)]
        frames = (world.frames[k] for k in order)
        write_video(folder / f"{length}.mp4", frames, world.fps, crf=16, preset="ultrafast")
        (folder / str(length)).mkdir()
        for i, k in enumerate(order):
            (folder / str(length) / f"{i:05d}.png").hardlink_to(distinct / f"{k}.png")


def measure(folder: Path, length: int, method: str, profile: bool) -> dict:
    """One run of `complete` in this process; seconds and bytes."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    import cProfile
    import pstats

    from unocclude.cli import main as unocclude

    profiler = cProfile.Profile()
    out = folder / f"{length}-{method}"
    started = time.perf_counter()
    if profile:
        profiler.enable()
    arguments = ["complete", folder / f"{length}.mp4", "--masks", folder / str(length), "-o", out, "--method", method]
    code = unocclude([*map(str, arguments), "--quiet"])
    seconds = time.perf_counter() - started
    if profile:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).strip_dirs().sort_stats("tottime").print_stats(10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if code:
        sys.exit(code)
    stages = json.loads((out / "result.json").read_text())["timings"]
    shutil.rmtree(out)
    return {
        "frames": length,
        "seconds": round(seconds, 3),
        "fps": round(length / seconds, 2),
        "peak_bytes": peak,
        "stages": {**stages, "other": round(seconds - sum(stages.values()), 3)},
    }


def child(*arguments: str) -> str:
    """Run this script in a process of its own; its standard output."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def start_seconds(*arguments: str) -> float:
    """Median time that a Python process takes."""
    times = []
    for _ in range(STARTS):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def table(figures: dict) -> str:
    stages = list(figures["runs"][0]["stages"])
    lines = [
        f"{figures['method']} at {WIDTH}x{HEIGHT} on {figures['cores']} cores",
        f"{'frames':>8}{'seconds':>10}{'fps':>8}{'peak MiB':>10}   " + "".join(f"{s:>12}" for s in stages),
    ]
    for run in figures["runs"]:
        shown = "".join(f"{seconds:>11.2f}s" for seconds in run["stages"].values())
        peak = run["peak_bytes"] / 2**20
        lines.append(f"{run['frames']:>8}{run['seconds']:>10.1f}{run['fps']:>8.2f}{peak:>10.0f}   {shown}")
    start = figures["start"]
    lines.append(
        f"unocclude --help {start['help_ms']:.0f} ms, bare Python {start['python_ms']:.0f} ms: "
        f"{start['help_ms'] - start['python_ms']:.0f} ms of our own"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="recall")
    parser.add_argument("--lengths", nargs="+", metavar="FRAMES", default=LENGTHS, help="default: 50 500 2000")
    parser.add_argument("--profile", action="store_true", help="the ten functions that took longest, of each run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    parser.add_argument("--make", nargs="+", metavar=("FOLDER", "LENGTH"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "LENGTH"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        return make(Path(args.make[0]), [int(length) for length in args.make[1:]])
    if args.measure:
        figures = measure(Path(args.measure[0]), int(args.measure[1]), args.method, args.profile)
        return print(json.dumps(figures))

    lengths = args.lengths
    extra = ["--method", args.method, *(["--profile"] if args.profile else [])]
    with tempfile.TemporaryDirectory(prefix="unocclude-speed-") as folder:
        child("--make", folder, *lengths)
        runs = []
        for length in lengths:
            print(f"{args.method}: {length} frames ...", file=sys.stderr, flush=True)
            runs.append(json.loads(child("--measure", folder, length, *extra)))
    figures = {
        "method": args.method,
        "width": WIDTH,
        "height": HEIGHT,
        "cores": min(CORES, os.cpu_count() or CORES),
        "runs": runs,
        "start": {
            "help_ms": 1000 * start_seconds("-m", "unocclude.cli", "--help"),
            "python_ms": 1000 * start_seconds("-c", "pass"),
        },
    }
    print(table(figures))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
