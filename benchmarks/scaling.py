"""What a second worker brings: seconds and CPU seconds of a batch and of one clip with 1 and 2 workers.

    python benchmarks/scaling.py [--rows 8] [--frames 200] [--repeat 1] [--workers 1 2]

The clips are those of speed.py, 854x480; the rows of the batch have 25 frames each. Each run is a process with its
children. Where other programs use the machine, compare the CPU seconds: the speed-up on idle cores is at least

    all CPU seconds with 1 worker / (those of the driver + those of the workers / N)

as if the workers waited whenever the driver works.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speed import make


def timed(arguments: list[str]) -> dict[str, float]:
    """Wall seconds of a command, and CPU seconds of it and of its workers."""
    code = (
        "import resource, sys; from unocclude.cli import main\n"
        "if __name__ == '__main__':\n"
        "    code = main(sys.argv[1:])\n"
        "    own, others = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))\n"
        "    print(own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime)\n"
        "    sys.exit(code)"
    )
    started = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    own, others = map(float, run.stdout.split()[-2:])
    return {"wall": time.perf_counter() - started, "driver_cpu": own, "workers_cpu": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, [25, options.frames])
        rows = folder / "rows.jsonl"
        row = {"input": str(folder / "25.mp4"), "masks": str(folder / "25")}
        rows.write_text("\n".join(json.dumps({**row, "name": f"row{k}"}) for k in range(options.rows)))
        clip = ("complete", folder / f"{options.frames}.mp4", "--masks", folder / str(options.frames))
        for what, arguments in (("batch", ("batch", rows)), ("clip", clip)):
            for workers in options.workers:
                for k in range(options.repeat):
                    more = ("-o", folder / f"{what}{workers}-{k}", "--workers", workers, "--quiet")
                    found = timed([*map(str, (*arguments, *more))])
                    print(json.dumps({"what": what, "workers": workers, **{n: round(v, 1) for n, v in found.items()}}))
    print(f"load after: {os.getloadavg()}, peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10} MiB",
          file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    main()
