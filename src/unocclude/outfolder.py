"""The life of an OUT folder: checked, claimed, resumed after a kill, and replaced only by a complete result."""

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unocclude import layout
from unocclude.completion import SCHEMA
from unocclude.errors import InputError, UnoccludeError
from unocclude.layout import LOCK_FILE, RESULT_FILE, RUN_FILE
from unocclude.lock import Lock
from unocclude.media import files
from unocclude.media.limits import check_name

VERBS = {
    "complete": layout.RESULT_FILE, "track": layout.TRACK_FILE, "synth": layout.SYNTH_FILE,
    "train": layout.TRAIN_FILE, "bench": layout.BENCH_FILE,
}  # fmt: skip
"""Verb → the file that it writes last."""
NAMED = 3
"""How many names of files a message lists."""


@dataclass(frozen=True)
class RunRecord:
    """What this tool wrote of a run into a folder.

    result: the file that the run writes last, "" where the folder does not say. identity: what was asked for, empty
    where the file that says it is damaged. unfinished: whether the run is at work or was killed. tokens: of the
    processes that worked in the folder (`media.files.token`). tracker: where its visible masks come from.
    """

    result: str
    identity: dict[str, Any]
    unfinished: bool
    tokens: tuple[str, ...] = ()
    tracker: str = ""


def read_run_record(folder: Path) -> RunRecord | None:
    """The marks in a folder; None where this tool did not make it."""
    for name in (RUN_FILE, *layout.LAYOUTS):
        file = folder / name
        if not file.is_file() or file.is_symlink():
            continue
        try:
            content = json.loads(file.read_bytes())
            identity = content["identity"]
            if content["schema"] != SCHEMA or not isinstance(identity, dict) or not identity:
                continue
        except ValueError:  # no JSON: what a power cut leaves
            if name == RUN_FILE and not layout.foreign(folder, RESULT_FILE):
                return RunRecord(RESULT_FILE, {}, unfinished=True)
            continue
        except (KeyError, TypeError, RecursionError):
            continue
        tokens = tuple(t for t in _texts(content.get("tokens")) if re.fullmatch("[0-9a-f]{16}", t))
        result = VERBS.get(str(identity.get("verb")), "") if name == RUN_FILE else name
        return RunRecord(result, identity, name == RUN_FILE, tokens, str(content.get("tracker", "")))
    return None


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def check_out(path: str | Path, *, resume: bool, overwrite: bool, inputs: Iterable[str | Path | None] = ()) -> None:
    """What can be said of an OUT folder before any work.

    inputs: files and folders that the run reads. Raises InputError where the folder cannot be written; where it is the
    working folder, home or holds one of them; where it exists and neither `resume` nor `overwrite` allows going on; and
    where `overwrite` would remove something that this tool did not write, or what the run reads.
    """
    if resume and overwrite:
        raise InputError("give --resume or --overwrite, not both")
    out = resolved(path)
    check_name(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{path} is a file; give a folder for -o")
    for what, place in (("the working folder", "."), ("your home folder", "~")):
        if Path(place).expanduser().resolve().is_relative_to(out):
            raise InputError(f"{path} is or holds {what}; give a folder of its own for -o, such as -o out")
    nearest = next(parent for parent in (out, *out.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no permission in {nearest}, or not a folder; give another -o")
    if not out.exists():
        return
    if not (resume or overwrite):
        raise InputError(f"{path} exists; use --resume to finish it, --overwrite to replace it, or another folder")
    if is_empty(out):
        return
    marks = read_run_record(out)
    if marks is None:
        raise InputError(f"{path} was not made by this tool, so it is left alone; give another folder")
    if found := layout.links(out, marks.result or RESULT_FILE):
        raise InputError(f"{path}/{found[0]} is a link; what is behind it is left alone, give another folder")
    if overwrite:
        _check_replaceable(path, out, marks, inputs)


def _check_replaceable(path: str | Path, out: Path, marks: RunRecord, inputs: Iterable[str | Path | None]) -> None:
    if not marks.result:
        raise InputError(f"{path} does not say which command made it, so it is left alone; give another folder")
    if found := layout.foreign(out, marks.result, marks.tokens):
        raise InputError(f"{path} also holds {_listed(found)}, not made by this tool; move that away first")
    for given in inputs:
        if given is not None and (inside := _inside(Path(given), out)):
            raise InputError(f"{inside} lies inside {path}, which --overwrite replaces; give another folder for -o")
    if os.path.ismount(out) or not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(
            f"{path} cannot be replaced: the new result is written beside it first, and {out.parent} does not let us; "
            "give another folder"
        )
    stage = staging_folder(out)
    if stage.exists() and not is_empty(stage):
        left = read_run_record(stage)
        if left is None or not left.result or layout.foreign(stage, left.result, left.tokens):
            raise InputError(f"{stage} is in the way, and not made by this tool; move it away")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _inside(given: Path, out: Path) -> Path | None:
    """What of an input lies in `out`: itself, or, in a folder, what a link leads to."""
    if given.resolve().is_relative_to(out):
        return given
    for root, folders, names in os.walk(given):
        for name in (*folders, *names):
            path = Path(root) / name
            if path.is_symlink() and path.resolve().is_relative_to(out):
                return path
    return None


def resolved(path: str | Path) -> Path:
    """An OUT folder as it is worked with: absolute, and links followed once and for all."""
    return Path(path).resolve()


def staging_folder(out: Path) -> Path:
    """Where a result is written that is to replace the one in `out`."""
    return out.with_name(f".{out.name}.unocclude-new")


def is_empty(folder: Path) -> bool:
    """Whether nothing is in a folder, or only what a run left that was killed before it could say what it is."""
    return all(_is_first(path) for path in folder.iterdir())


def _is_first(path: Path) -> bool:
    begun = files.is_temporary(path.name) and path.name.startswith(".run.")
    return (begun or path.name == LOCK_FILE) and path.is_file() and not path.is_symlink()


class OutFolder:
    """One OUT folder on disk.

    `identity` is everything that decides the result (verb, input, prompt, method, options, seed, ...); `result` is the
    file whose presence means finished. `path` is where files are written: OUT, or, where it is to be replaced, a folder
    beside it that takes its place when the result is complete. `finished` says whether an earlier run of the same
    identity is; `tracker` where its visible masks came from. Nothing is written before `claim`; what is unfinished is
    locked against other processes until `release`.

    Raises InputError as `check_out` does, where `resume` meets a run of another identity, and where another process is
    at work.
    """

    def __init__(
        self,
        path: str | Path,
        identity: dict[str, Any],
        *,
        resume: bool,
        overwrite: bool,
        result: str = RESULT_FILE,
        inputs: Iterable[str | Path | None] = (),
    ):
        check_out(path, resume=resume, overwrite=overwrite, inputs=inputs)
        self.given = Path(path)
        self.out = resolved(path)
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self.result = result
        self.finished = False
        self.tracker = ""
        self.path = self.out
        self._old_lock: Lock | None = None
        there = self.out.exists() and not is_empty(self.out)
        self._replaced = read_run_record(self.out) if there and overwrite else None
        if self._replaced:
            self.path = staging_folder(self.out)
        self._found = self._take_up(read_run_record(self.out)) if there and resume else None
        self._lock = Lock.of_folder(self.path)
        if self.finished:
            self._tidy()
        elif self.path.exists():
            self._lock.take()
            self._lock_old()

    # Going on ---------------------------------------------------------------------------------------------------

    def _take_up(self, marks: RunRecord | None) -> RunRecord | None:
        """What an earlier run left that this one goes on with: in OUT, or in the folder that is to replace it."""
        assert marks is not None
        staged = read_run_record(staging_folder(self.out)) if staging_folder(self.out).is_dir() else None
        ours = staged and staged.unfinished and staged.identity == self.identity
        if marks.result and marks.identity != self.identity and staged and ours:
            self._replaced, self.path = marks, staging_folder(self.out)
            marks = staged
        if not marks.identity:  # damaged: begun again
            return marks
        if differing := self._differing(marks.identity):
            raise InputError(
                f"{self.given} holds a run with other arguments ({', '.join(differing)}); "
                "give the same arguments, or --overwrite"
            )
        self.tracker = marks.tracker
        self.finished = self._replaced is None and (self.path / self.result).is_file() and self.is_complete()
        return marks

    def _differing(self, earlier: dict[str, Any]) -> list[str]:
        return [key for key in sorted({*earlier, *self.identity}) if earlier.get(key) != self.identity.get(key)]

    def is_complete(self) -> bool:
        """Whether everything that a finished run wrote is there, as far as a quick look tells."""
        return True

    @property
    def resumed(self) -> bool:
        """Whether an unfinished run of the same identity is gone on with, so that what it wrote counts."""
        return self._found is not None and bool(self._found.identity)

    def _tidy(self) -> None:
        """Remove what a run left that was killed after its last step."""
        if not any((self.out / name).exists() for name in (RUN_FILE, LOCK_FILE)):
            return
        self._lock.take()
        if (self.out / RUN_FILE).exists():
            self._discard_replaced()
            self._forget_run()
        self._lock.release()

    def _discard_replaced(self) -> None:
        """Remove what this run replaced, where a kill came between."""
        stage = staging_folder(self.out)
        left = read_run_record(stage) if stage.is_dir() else None
        if left or (stage.is_dir() and is_empty(stage)):
            self._discard(stage, left)

    # Writing ----------------------------------------------------------------------------------------------------

    def claim(self, tracker: str = "") -> None:
        """Create the folder where need be and mark it as this run's.

        Raises InputError where another process is at work in it, or has been since this object was made.
        """
        if self._replaced and not self._found and self.path.exists():  # of an earlier attempt, which is given up
            self._lock.take()
            self._discard(self.path, read_run_record(self.path), self._lock)
        self.path.mkdir(parents=True, exist_ok=True)
        files.sync(self.path.parent)
        self._lock.take()
        self._lock_old()
        if read_run_record(self.path) != self._found:
            raise InputError(f"{self.given} was written by another run meanwhile; give another folder for -o")
        for path in self.path.iterdir():
            if _is_first(path) and path.name != LOCK_FILE:
                path.unlink()
        files.remove_temporary(self.path, self._found.tokens if self._found else ())
        if self._found and not self.resumed:  # begun again
            layout.remove(self.path, self._found.result)
        self.write_json(
            RUN_FILE, {"schema": SCHEMA, "identity": self.identity, "tracker": tracker, "tokens": [files.token]}
        )
        (self.path / self.result).unlink(missing_ok=True)  # of a result that is no longer whole

    def finish(self, info: dict[str, Any], extras: Iterable[Callable[[Path], None]] = ()) -> None:
        """Write what a person looks at (`extras`), then the file whose presence means finished; and where the folder
        replaces another, let it take its place.

        Raises UnoccludeError where something of the result is no longer there.
        """
        self._check_complete()
        for extra in extras:
            extra(self.path)
        self._check_complete()
        self.write_json(self.result, {"schema": SCHEMA, **info, "identity": self.identity})
        if self._replaced:
            self._replace(self._replaced)
        self._forget_run()

    def _check_complete(self) -> None:
        if not (self.path / RUN_FILE).is_file() or not self.is_complete():
            raise UnoccludeError(
                f"{self.given} was changed by something else during the run: files are missing; repair it with --resume"
            )

    def _replace(self, old: RunRecord) -> None:
        """Put the complete result in the place of the old one, and remove that."""
        stage = self.path
        if found := layout.foreign(self.out, old.result, old.tokens):
            raise UnoccludeError(
                f"{self.given} now also holds {_listed(found)}, so it is left alone; the new result is in {stage}: "
                "move the other files away, then continue with --resume"
            )
        files.swap_folders(self.out, stage)
        self.path = self.out
        self._lock.file = self.out / LOCK_FILE
        if self._old_lock:
            self._old_lock.file = stage / LOCK_FILE
        self._discard(stage, old, self._old_lock)
        self._replaced = None

    def _discard(self, folder: Path, marks: RunRecord | None, lock: Lock | None = None) -> None:
        """Remove a folder that this tool made, but for what it did not write there."""
        lock = lock or Lock.of_folder(folder)
        lock.take()
        if marks and (found := layout.foreign(folder, marks.result, marks.tokens)):
            raise UnoccludeError(f"{folder} holds {_listed(found)}, not made by this tool; move that away")
        if marks:
            layout.remove(folder, marks.result, marks.tokens)
        lock.release()
        for path in list(folder.iterdir()):
            if _is_first(path):
                path.unlink()
        folder.rmdir()

    def _lock_old(self) -> None:
        """Nobody else may be at work in what is replaced; a finished result is not touched until then."""
        if self._replaced and self._replaced.unfinished and not self._old_lock:
            self._old_lock = Lock.of_folder(self.out)
            self._old_lock.take()

    def _forget_run(self) -> None:
        (self.path / RUN_FILE).unlink(missing_ok=True)
        files.sync(self.path)

    def release(self) -> None:
        """Let other processes have the folder."""
        for lock in (self._lock, self._old_lock):
            if lock:
                lock.release()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file of the folder, whole or not at all."""
        files.write_bytes(self.path / name, (json.dumps(content, indent=1) + "\n").encode())
