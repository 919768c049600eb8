"""The set on which recall is tuned: composites with exact truth, pasted from real clips, and generated clips.

    python benchmarks/tuning_set build CLIPS OUT [--fast] [--photos FOLDER]     CLIPS: the real development clips
    python benchmarks/tuning_set measure OUT LABEL [--half tune|report] [--fast]
    python benchmarks/tuning_set table OUT LABEL [LABEL ...] [--half tune|report] [--fast]
    python benchmarks/tuning_set compare OUT                   evidence on generated clips against composites
    python benchmarks/tuning_set sheet OUT FILE.png [--half tune|report] [--label LABEL]

The sources and seeds are split in two halves. Choose on `tune`; `report` and the development composites are for
figures. `--fast` takes the first 40 composites and 40 generated clips of both halves together. LABEL names a run of
the code as it is, to compare it with others. Clips are in OUT/clips, in the GT layout; given_masks/ has the masks with
errors, where a clip is to be completed from those.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import generated
import matrix
import numpy as np
import tables

COMPOSITES = 66
"""Composites in a half."""
FAST = 20
"""Composites, and generated clips, in a half with --fast."""
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name) for name in ("build", "measure", "table", "compare", "sheet")}
    made["build"].add_argument("clips", type=Path)
    made["build"].add_argument("--photos", type=Path, help="a folder of photographs, for textures of generated clips")
    for one in made.values():
        one.add_argument("out", type=Path)
        one.add_argument("--fast", action="store_true")
    for name in ("measure", "table", "sheet"):
        made[name].add_argument("--half", choices=matrix.HALVES)
    made["measure"].add_argument("label")
    made["table"].add_argument("labels", nargs="+", metavar="label")
    made["sheet"].add_argument("file", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    {"build": build, "measure": measure, "table": table, "compare": compare, "sheet": sheet}[options.command](options)


def names(half: str | None, fast: bool, kinds: tuple[str, ...] = ("composite", "generated")) -> list[str]:
    """Names of the clips of a half, or of both."""
    found = []
    for one in matrix.HALVES if half is None else (half,):
        if "composite" in kinds:
            found += [f"{one}-composite-{k:02d}" for k in range(FAST if fast else COMPOSITES)]
        if "generated" in kinds:
            clips = generated.names(one)[: FAST if fast else None]
            found += [f"{one}-{kind}-{k:02d}" for kind, k in clips]
    return found


def build(options: argparse.Namespace) -> None:
    from composites import composite

    from unocclude.synthesis.world import write_world

    for half in matrix.HALVES:
        cells = matrix.draw(half, COMPOSITES, SEED)
        for name in names(half, options.fast):
            folder = options.out / "clips" / name
            if (folder / "meta.json").exists():
                continue
            _, kind, number = name.split("-")
            if kind == "composite":
                write_composite(folder, composite(options.clips, cells[int(number)], int(number)), cells[int(number)])
            else:
                write_world(generated.make(half, kind, int(number), options.photos), folder)
            print(name, flush=True)


def write_composite(folder: Path, made, cell: matrix.Cell) -> None:
    """Write a composite in the GT layout, with its cell in meta.json; given_masks/ if its masks have errors."""
    parts = {
        "frames": made.frames,
        "visible_masks": made.visible.astype(np.uint8) * 255,
        "amodal_masks": made.amodal.astype(np.uint8) * 255,
        "amodal_rgb": made.whole * made.amodal[..., None],
    }
    if cell.masks == "perturbed":
        parts["given_masks"] = made.given.astype(np.uint8) * 255
    for part, pictures in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(pictures):
            cv2.imwrite(str(folder / part / f"{i:05d}.png"), picture)
    about = {"cell": {"kind": "composite", **cell.about()}, "source": made.source, "fps": 24.0}
    about["occlusion_rate"] = made.rates.round(4).tolist()
    (folder / "meta.json").write_text(json.dumps(about, indent=1) + "\n")


def measure(options: argparse.Namespace) -> None:
    import measure as figures

    started = time.perf_counter()
    for name in names(options.half, options.fast):
        file = options.out / "figures" / options.label / f"{name}.json"
        if not file.exists():
            figures.write(file, figures.measure(options.out / "clips" / name))
    print(f"{time.perf_counter() - started:.0f} s")
    options.labels = [options.label]
    table(options)


def table(options: argparse.Namespace) -> None:
    for label in options.labels:
        for kind in ("composite", "generated"):
            clips = tables.read(options.out, names(options.half, options.fast, (kind,)), label)
            if clips:
                print(f"\n{label}, {kind}, {options.half or 'both halves'}\n\n{tables.by_cell(clips)}")


def compare(options: argparse.Namespace) -> None:
    import evidence_report

    groups = {"composite": [], **{kind: [] for kind in generated.KINDS}}
    for name in names("tune", options.fast):
        groups[name.split("-")[1]].append(options.out / "clips" / name)
    print(evidence_report.compare(groups))


def sheet(options: argparse.Namespace) -> None:
    import sheets

    cv2.imwrite(str(options.file), sheets.sheet(options.out, names(options.half, options.fast)))


if __name__ == "__main__":
    main()
