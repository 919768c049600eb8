"""How quick the page of `unocclude app` is: its server on this machine, without a browser.

    python benchmarks/app.py CLIP [--x X --y Y]

Prints the milliseconds from a click to its mask (wall clock and CPU), to a frame while scrubbing at 30 steps a second
(the share that is in time), the seconds until the first completed frame, and the size of the built page in kB.
"""

import argparse
import gzip
import tempfile
import threading
import time
from importlib.resources import files
from pathlib import Path

import httpx
import numpy as np

from unocclude.app.project import Project
from unocclude.app.server import make_server
from unocclude.app.session import Session

CLICKS, STEPS, RATE = 12, 90, 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument("--x", type=int, help="where to click; the middle by default")
    parser.add_argument("--y", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Project(Path(folder) / "project", given.clip))
        server = make_server(session)
        threading.Thread(target=server.serve_here, daemon=True).start()
        base = server.address.partition("/?")[0]
        client = httpx.Client(base_url=base, timeout=600, headers={"Origin": base})
        client.get("/", params={"token": server.token})
        try:
            measure(client, session, given.x, given.y)
        finally:
            server.should_exit = True
            session.close()
    built = [path for path in Path(str(files("unocclude.app") / "page")).rglob("*") if path.is_file()]
    sizes = [(len(data), len(gzip.compress(data))) for data in (item.read_bytes() for item in built)]
    print(f"page: {sum(a for a, _ in sizes) / 1000:.0f} kB, {sum(b for _, b in sizes) / 1000:.0f} kB with gzip")


def measure(client: httpx.Client, session: Session, x: int | None, y: int | None) -> None:
    clip = session.clip
    x, y = clip.width // 2 if x is None else x, clip.height // 2 if y is None else y
    print(f"{len(clip)} frames of {clip.width}x{clip.height}")
    item = {"id": 1, "name": "object", "cues": [{"frame": 0, "points": [[x, y, 1]]}]}
    walls, cpus = [], []
    for k in range(CLICKS):
        item["cues"] = [{"frame": k % len(clip), "points": [[x, y, 1]]}]
        wall, cpu = time.perf_counter(), time.process_time()
        client.post("/api/segment", json={"frame": k % len(clip), "object": item}).raise_for_status()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"click to mask: first {1000 * walls[0]:.0f} ms, then median {1000 * np.median(walls[2:]):.0f} ms", end="")
    print(f" (CPU {1000 * np.median(cpus[2:]):.0f} ms)")

    number, late = clip.fingerprint, 0
    begin = time.perf_counter()
    for step in range(STEPS):
        client.get(f"/api/clips/{number}/frames/{step % len(clip)}.webp").raise_for_status()
        due = begin + (step + 1) / RATE
        late += time.perf_counter() > due
        time.sleep(max(0.0, due - time.perf_counter()))
    print(f"scrub at {RATE} steps a second: {STEPS - late} of {STEPS} frames in time")

    item["cues"] = [{"frame": 0, "points": [[x, y, 1]]}]
    revision = client.get("/api/project").json()["revision"]
    client.put("/api/objects", json={"revision": revision, "objects": [item]}).raise_for_status()
    begin = time.perf_counter()
    job = client.post("/api/jobs/complete").json()
    while not any(ready > 0 for run in session.results.runs() for ready in run.ready.values()):
        time.sleep(0.02)
    print(f"first completed frame: {time.perf_counter() - begin:.1f} s after Complete, tracking included")
    client.delete(f"/api/jobs/{job['id']}")


if __name__ == "__main__":
    main()
