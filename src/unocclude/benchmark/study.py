"""A preference study on the results of a benchmark, as in TGVAC (appendix B.1).

Input, ground truth and shuffled methods are shown side by side. A person chooses once per clip; half of the clips are
easy.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unocclude.benchmark.choices import append, read_choices
from unocclude.benchmark.state import read_state
from unocclude.completion import OCCLUDED, Completion
from unocclude.datasets import Sample, open_dataset
from unocclude.errors import InputError
from unocclude.layout import BENCH_FILE
from unocclude.media.layers import write_preview
from unocclude.report.draw import fit_size, on_checkerboard, shrink

LOG = "study.jsonl"
LONG_SIDE = 320
MARK, BEYOND = (255, 60, 60), 127
"""Colour of outlines, and grey level beyond the frame."""
HARD = 0.5
"""Mean occlusion rate of the occluded frames from which a clip counts as hard (TGVAC, section 4.2, for frames)."""


@dataclass(frozen=True)
class Trial:
    """One clip as shown to one person. half: "easy" or "hard". order: the shuffled methods."""

    data: str
    clip: str
    half: str
    order: tuple[str, ...]


class Study:
    """The trials and choices of a study on a finished `unocclude bench` folder.

    clips: number of clips per person, half easy and half hard if there are enough. Raises InputError if `bench` is not
    such a folder or has fewer than two methods.
    """

    def __init__(self, bench: str | Path, clips: int = 20, seed: int = 0):
        self.folder = Path(bench)
        state = read_state(self.folder)
        self.methods = tuple(state.asked.methods)
        asked, origins = state.asked.data, state.origins
        self._samples: dict[tuple[str, str], Sample] = {}
        for data, names in asked.items():
            if data not in origins:
                raise InputError(
                    f"{self.folder / BENCH_FILE} does not give the path of {data}; run the benchmark again"
                )
            by_name = {sample.name: sample for sample in open_dataset(origins[data])}
            if gone := next((name for name in names if name not in by_name), None):
                raise InputError(f"{gone} is no longer in {origins[data]}")
            self._samples |= {(data, name): by_name[name] for name in names}
        if len(self.methods) < 2:
            raise InputError(f"{self.folder} has only one method; run the benchmark with two or more")
        self.log, self.skipped = self.folder / LOG, 0
        self._count, self._seed = clips, seed
        self._halves: dict[str, list[tuple[str, str]]] = {"easy": [], "hard": []}
        for data, clip in self._samples:
            self._halves[self._half(data, clip)].append((data, clip))

    def trials(self, person: str) -> list[Trial]:
        """The trials of `person`. They depend on the person's name and the seed only."""
        rng = np.random.default_rng([self._seed, *person.encode()])
        chosen = []
        for half, wanted in self._shares().items():
            for k in rng.permutation(len(self._halves[half]))[:wanted]:
                data, clip = self._halves[half][k]
                order = tuple(self.methods[m] for m in rng.permutation(len(self.methods)))
                chosen.append(Trial(data, clip, half, order))
        return [chosen[k] for k in rng.permutation(len(chosen))]

    def _shares(self) -> dict[str, int]:
        easy, hard = len(self._halves["easy"]), len(self._halves["hard"])
        first = min(easy, max(self._count // 2, self._count - hard))
        return {"easy": first, "hard": min(hard, self._count - first)}

    def _half(self, data: str, clip: str) -> str:
        file = self.folder / "figures" / data / clip / f"{self.methods[0]}.json"
        if not file.is_file():
            raise InputError(f"{file} is missing; finish the benchmark with --resume")
        try:
            read = [frame["occlusion_rate"] for frame in json.loads(file.read_bytes())["frames"]]
            rates = [float(rate) for rate in read if rate is not None]  # unknown where the truth is boxes
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{file} has no readable figures; remove it and run the benchmark again") from None
        hidden = [rate for rate in rates if rate > OCCLUDED]
        return "hard" if hidden and float(np.mean(hidden)) >= HARD else "easy"

    def record(self, person: str, trial: int, slot: int) -> None:
        """Log that `person` chose the method in `slot` (0-based) of trial number `trial`.

        Raises InputError if there is no such trial or slot.
        """
        trials = self.trials(person)
        if not (0 <= trial < len(trials) and 0 <= slot < len(self.methods)):
            raise InputError(f"there is no slot {slot} in trial {trial}")
        shown = trials[trial]
        line = {
            "time": round(time.time(), 3), "person": person, "data": shown.data, "clip": shown.clip,
            "half": shown.half, "shown": shown.order, "chosen": shown.order[slot],
        }  # fmt: skip
        append(self.log, line)

    def results(self) -> dict[str, dict[str, float]]:
        """half ("easy", "hard", "all") → method → fraction of the choices, 0 to 1; empty without any choices.

        Of several choices of a person on one clip, the last counts. `skipped` is the number of invalid lines in the
        log.
        """
        choices, self.skipped = read_choices(self.log, self.methods)
        last = {(c.person, c.data, c.clip): c for c in choices}
        table = {}
        for half in ("easy", "hard", "all"):
            chosen = [c.chosen for c in last.values() if half in (c.half, "all")]
            if chosen:
                table[half] = {method: chosen.count(method) / len(chosen) for method in self.methods}
        return table

    def video(self, trial: Trial, what: str) -> Path:
        """Path of an H.264 video of the trial's clip, written on first use.

        what: "input", the frames with the object's outline; "truth", what the data set knows of the whole object; or a
        method, for its completed object on a checkerboard. All videos of a clip have the same size and length.
        """
        path = self.folder / "study" / trial.data / trial.clip / f"{what}.mp4"
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise InputError(f"{path} leads out of {self.folder}; remove that link")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            sample = self._samples[trial.data, trial.clip]
            write_preview(path, self._pictures(trial, what, sample), sample.clip.fps, sample.clip.times)
        return path

    def _pictures(self, trial: Trial, what: str, sample: Sample) -> Iterator[np.ndarray]:
        run = Completion(self.folder / "runs" / trial.data / trial.clip / trial.order[0])
        x, y = run.info["canvas"]["offset"]
        pictures: Iterator[np.ndarray]
        if what == "input":
            pictures = (_padded(_outlined(f, sample.visible[i]), x, y) for i, f in enumerate(sample.clip))
        elif what == "truth":
            pictures = (_truth_picture(sample, i, x, y) for i in range(len(sample.truth)))
        else:
            pictures = iter(Completion(self.folder / "runs" / trial.data / trial.clip / what).rgba)
        for picture in pictures:
            height, width = fit_size(picture.shape[0], picture.shape[1], LONG_SIDE)
            small = shrink(picture, (max(2, height // 2 * 2), max(2, width // 2 * 2)))
            yield small if small.shape[2] == 3 else on_checkerboard(small)


def _outlined(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame with the mask's outline, so that people see which object is meant."""
    width = max(2, round(2 * max(mask.shape) / LONG_SIDE))
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    ring = (cv2.dilate(mask.astype(np.uint8), kernel) > 0) & ~mask
    return np.where(ring[..., None], np.array(MARK, np.uint8), frame)


def _padded(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    """A picture of the frame on the runs' canvas."""
    if picture.shape[2] == 4:
        return np.pad(picture, [(y, y), (x, x), (0, 0)])
    return np.pad(picture, [(y, y), (x, x), (0, 0)], constant_values=BEYOND)


def _truth_picture(sample: Sample, i: int, x: int, y: int) -> np.ndarray:
    """The object's true appearance; where the data set does not know it, the frame with its true outline or box."""
    truth = sample.truth
    if truth.rgb is not None and truth.amodal is not None:
        return _padded(truth.rgba(i), x, y)
    if truth.amodal is not None:
        return _padded(_outlined(sample.clip[i], truth.amodal[i]), x, y)
    assert truth.boxes is not None
    frame = np.ascontiguousarray(_padded(sample.clip[i], x, y))
    left, top, width, height = (round(float(value)) for value in truth.boxes[i] + np.array([x, y, 0, 0]))
    thickness = max(2, round(2 * max(frame.shape) / LONG_SIDE))
    cv2.rectangle(frame, (left, top), (left + width, top + height), MARK, thickness)
    return frame
