"""OUT folders: they are checked, claimed, resumed after a kill, and replaced only by a complete result."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    "complete": layout.RESULT_FILE, "track": layout.TRACK_FILE, "layers": layout.LAYERS_FILE,
    "synth": layout.SYNTH_FILE, "train": layout.TRAIN_FILE, "bench": layout.BENCH_FILE,
}  # fmt: skip
"""Command → the file that it writes last."""
NAMED = 3
"""Maximum number of file names in a message."""


@dataclass(frozen=True)
class RunRecord:
    """The record of a run in its folder: run.json of an unfinished run, else the file that is written last.

    result: the file that the run writes last; "" if unknown. identity: the arguments of the run; empty if the record is
    damaged. unfinished: whether the run is still working or was killed. tokens: the tokens (`media.files.token`) of
    processes that worked in the folder. tracked: what is known of the visible masks, as `OutFolder.claim` was given it.
    """

    result: str
    identity: dict[str, Any]
    unfinished: bool
    tokens: tuple[str, ...] = ()
    tracked: dict[str, Any] = field(default_factory=dict)


def read_run_record(folder: Path) -> RunRecord | None:
    """Read the record of the run in a folder; None if the folder was not made by this tool."""
    for name in (RUN_FILE, *layout.LAYOUTS):
        file = folder / name
        if not file.is_file() or file.is_symlink():
            continue
        try:
            content = json.loads(file.read_bytes())
            identity = content["identity"]
            if content["schema"] != SCHEMA or not isinstance(identity, dict) or not identity:
                continue
        except ValueError:  # invalid JSON, as after a power cut
            if name == RUN_FILE and not layout.foreign(folder, RESULT_FILE):
                return RunRecord(RESULT_FILE, {}, unfinished=True)
            continue
        except (KeyError, TypeError, RecursionError):
            continue
        tokens = tuple(t for t in _texts(content.get("tokens")) if re.fullmatch("[0-9a-f]{16}", t))
        result = VERBS.get(str(identity.get("verb")), "") if name == RUN_FILE else name
        return RunRecord(result, identity, name == RUN_FILE, tokens, _dict(content.get("tracked")))
    return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def check_out(path: str | Path, *, resume: bool, overwrite: bool, inputs: Iterable[str | Path | None] = ()) -> None:
    """Check an OUT folder before any work.

    inputs: files and folders that the run reads. Raises InputError if the folder cannot be written; is or contains the
    working folder or the home folder; exists without `resume` or `overwrite`; or if `overwrite` would remove files that
    this tool did not write, or an input.
    """
    if resume and overwrite:
        raise InputError("give --resume or --overwrite, not both")
    out = resolved(path)
    check_name(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{path} is a file; give a folder for -o")
    for what, place in (("the working folder", "."), ("your home folder", "~")):
        if Path(place).expanduser().resolve().is_relative_to(out):
            raise InputError(f"{path} is or contains {what}; give a folder of its own for -o, such as -o out")
    nearest = next(parent for parent in (out, *out.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no permission in {nearest}, or not a folder; give another -o")
    if not out.exists():
        return
    if not (resume or overwrite):
        raise InputError(f"{path} exists; use --resume to finish it, --overwrite to replace it, or another folder")
    if is_empty(out):
        return
    record = read_run_record(out)
    if record is None:
        raise InputError(f"{path} was not made by this tool, so it is left alone; give another folder")
    if found := layout.links(out, record.result or RESULT_FILE):
        raise InputError(f"{path}/{found[0]} is a link, so it is left alone; give another folder")
    if overwrite:
        _check_replaceable(path, out, record, inputs)


def _check_replaceable(path: str | Path, out: Path, record: RunRecord, inputs: Iterable[str | Path | None]) -> None:
    if not record.result:
        raise InputError(f"{path} does not say which command made it, so it is left alone; give another folder")
    if found := layout.foreign(out, record.result, record.tokens):
        raise InputError(f"{path} also holds {_listed(found)}, not made by this tool; move that away first")
    for given in inputs:
        if given is not None and (inside := _inside(Path(given), out)):
            raise InputError(f"{inside} lies inside {path}, which --overwrite replaces; give another folder for -o")
    if os.path.ismount(out) or not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(
            f"{path} cannot be replaced: the new result is first written next to it, but {out.parent} is not writable; "
            "give another folder"
        )
    stage = staging_folder(out)
    if stage.is_symlink() or (stage.exists() and not stage.is_dir()):
        raise InputError(f"{stage} is in the way; move it away")
    if stage.exists() and not is_empty(stage):
        left = read_run_record(stage)
        if left is None or not left.result or layout.foreign(stage, left.result, left.tokens):
            raise InputError(f"{stage} is in the way, and not made by this tool; move it away")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _inside(given: Path, out: Path) -> Path | None:
    """The part of an input that is inside `out`: the input itself, or a link in it that points there; else None."""
    if given.resolve().is_relative_to(out):
        return given
    for root, folders, names in os.walk(given):
        for name in (*folders, *names):
            path = Path(root) / name
            if path.is_symlink() and path.resolve().is_relative_to(out):
                return path
    return None


def resolved(path: str | Path) -> Path:
    """The absolute path of an OUT folder, with links resolved once."""
    return Path(path).resolve()


def staging_folder(out: Path) -> Path:
    """The folder in which a result that will replace the one in `out` is written."""
    return out.with_name(f".{out.name}.unocclude-new")


def holds_run(path: str | Path, identity: dict[str, Any]) -> bool:
    """Whether an OUT folder, or the one that is to replace it, holds a run with these arguments, finished or not."""
    out = resolved(path)
    records = (_read_staged(out), read_run_record(out) if out.is_dir() else None)
    return any(record is not None and record.identity == json.loads(json.dumps(identity)) for record in records)


def _read_staged(out: Path) -> RunRecord | None:
    """The record of the run that is to replace `out`; None if there is none. A link there is not ours."""
    stage = staging_folder(out)
    return read_run_record(stage) if stage.is_dir() and not stage.is_symlink() else None


def is_empty(folder: Path) -> bool:
    """Whether a folder is empty, except for files of a run that was killed before it wrote its record."""
    return all(_is_first(path) for path in folder.iterdir())


def _is_first(path: Path) -> bool:
    begun = files.is_temporary(path.name) and path.name.startswith(".run.")
    return (begun or path.name == LOCK_FILE) and path.is_file() and not path.is_symlink()


def _difference(key: str, before: Any, now: Any) -> list[str]:
    if key == "options" and isinstance(before, dict) and isinstance(now, dict):
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        return [_difference(f"option {name}", before.get(name), now.get(name))[0] for name in names]
    short = isinstance(before, bool | int | float) or (isinstance(before, str) and key not in ("input", "occluders"))
    return [f"{key} was {str(before)[:40]}" if short else key]


class OutFolder:
    """An OUT folder on disk.

    identity: everything that determines the result (command, input, prompt, method, options, seed, ...). result: the
    file whose existence means that the run is finished. path: the folder to write to: OUT, or a folder next to it that
    replaces OUT when the result is complete. finished: whether an earlier run with the same identity is finished.
    tracked: what an earlier run knew of the visible masks. Nothing is written before `claim`; an unfinished folder is
    locked until `release`.

    Raises InputError as `check_out` does, if the run to resume has another identity, and if another process is working
    in the folder.
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
        self.tracked: dict[str, Any] = {}
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

    # Resuming ---------------------------------------------------------------------------------------------------

    def _take_up(self, record: RunRecord | None) -> RunRecord | None:
        """Find the earlier run to resume: in OUT, or in the folder that will replace it."""
        assert record is not None
        staged = _read_staged(self.out)
        ours = staged and staged.unfinished and staged.identity == self.identity
        if record.result and record.identity != self.identity and staged and ours:
            self._replaced, self.path = record, staging_folder(self.out)
            record = staged
        if not record.identity:  # damaged, so start again
            return record
        if differing := self._differing(record.identity):
            raise InputError(
                f"{self.given} holds a run with other arguments ({', '.join(differing)}); "
                "give the same arguments, or --overwrite"
            )
        self.tracked = record.tracked
        self.finished = self._replaced is None and (self.path / self.result).is_file() and self.is_complete()
        return record

    def _differing(self, earlier: dict[str, Any]) -> list[str]:
        """Which arguments differ from those of an earlier run; of short ones what they were, as "seed was 0"."""
        pairs = [(key, earlier.get(key), self.identity.get(key)) for key in sorted({*earlier, *self.identity})]
        return [told for key, before, now in pairs if before != now for told in _difference(key, before, now)]

    def is_complete(self) -> bool:
        """Whether all files of a finished run exist, as far as a quick check can tell."""
        return True

    @property
    def resumed(self) -> bool:
        """Whether an unfinished run with the same identity is resumed, so that its files are kept."""
        return self._found is not None and bool(self._found.identity)

    def _tidy(self) -> None:
        """Clean up after a run that was killed after its last step."""
        if not any((self.out / name).exists() for name in (RUN_FILE, LOCK_FILE)):
            return
        self._lock.take()
        if (self.out / RUN_FILE).exists():
            self._discard_replaced()
            self._forget_run()
        self._lock.release()

    def _discard_replaced(self) -> None:
        """Remove the replaced result, if the run was killed before it did."""
        stage = staging_folder(self.out)
        left = _read_staged(self.out)
        if left or (stage.is_dir() and not stage.is_symlink() and is_empty(stage)):
            self._discard(stage, left)

    # Writing ----------------------------------------------------------------------------------------------------

    def claim(self, tracked: dict[str, Any] | None = None) -> None:
        """Create the folder if necessary, lock it and write the record of this run.

        tracked: what a resumed run must know of the visible masks, as JSON.

        Raises InputError if another process is working in the folder, or has done so since this object was created.
        """
        if self._replaced and not self._found and self.path.exists():  # discard an earlier attempt
            self._lock.take()
            self._discard(self.path, read_run_record(self.path), self._lock)
        self.path.mkdir(parents=True, exist_ok=True)
        files.sync(self.path.parent)
        self._lock.take()
        self._lock_old()
        if read_run_record(self.path) != self._found:
            raise InputError(f"{self.given} was changed by another run meanwhile; give another folder for -o")
        for path in self.path.iterdir():
            if _is_first(path) and path.name != LOCK_FILE:
                path.unlink()
        files.remove_temporary(self.path, self._found.tokens if self._found else ())
        if self._found and not self.resumed:  # start again
            layout.remove(self.path, self._found.result)
        record = {"schema": SCHEMA, "identity": self.identity, "tracked": tracked or {}, "tokens": [files.token]}
        self.write_json(RUN_FILE, record)
        (self.path / self.result).unlink(missing_ok=True)  # of a result that is no longer complete

    def finish(self, info: dict[str, Any], extras: Iterable[Callable[[Path], None]] = ()) -> None:
        """Write `extras` (preview, report), then the file that means finished; then replace the old result, if any.

        Raises UnoccludeError if files of the result are missing.
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
                f"{self.given} was changed by another program during the run: files are missing; repair it with "
                "--resume"
            )

    def _replace(self, old: RunRecord) -> None:
        """Swap the complete result with the old one, and remove the old one."""
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

    def _discard(self, folder: Path, record: RunRecord | None, lock: Lock | None = None) -> None:
        """Remove a folder of this tool; raises UnoccludeError if it contains other files."""
        lock = lock or Lock.of_folder(folder)
        lock.take()
        if record and (found := layout.foreign(folder, record.result, record.tokens)):
            raise UnoccludeError(f"{folder} holds {_listed(found)}, not made by this tool; move that away")
        if record:
            layout.remove(folder, record.result, record.tokens)
        lock.release()
        for path in list(folder.iterdir()):
            if _is_first(path):
                path.unlink()
        folder.rmdir()

    def _lock_old(self) -> None:
        """Lock an unfinished result that will be replaced."""
        if self._replaced and self._replaced.unfinished and not self._old_lock:
            self._old_lock = Lock.of_folder(self.out)
            self._old_lock.take()

    def _forget_run(self) -> None:
        (self.path / RUN_FILE).unlink(missing_ok=True)
        files.sync(self.path)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Convert disk errors to UnoccludeError, and release the folder at the end in any case."""
        try:
            yield
        except OSError as error:
            raise UnoccludeError(
                f"could not write to {self.given}: {error.strerror or error}; finished frames are kept, continue with "
                "--resume"
            ) from error
        finally:
            self.release()

    def release(self) -> None:
        """Release the locks of the folder."""
        for lock in (self._lock, self._old_lock):
            if lock:
                lock.release()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file to the folder atomically."""
        files.write_bytes(self.path / name, (json.dumps(content, indent=1) + "\n").encode())
