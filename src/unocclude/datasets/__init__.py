"""Readers of published data sets. `open_dataset` returns their samples, which are read lazily."""

import inspect
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from unocclude.datasets.base import Sample, Truth
from unocclude.datasets.view import sequences
from unocclude.errors import InputError
from unocclude.registry import Registry

SEQUENCES = "sequences"
DATASETS = Registry(
    "unocclude.datasets",
    "data set",
    {
        "gt": "unocclude.datasets.gt:read",
        "davis": "unocclude.datasets.davis:read",
        "youtube-vos": "unocclude.datasets.youtube_vos:read",
        "sail-vos": "unocclude.datasets.sail_vos:read",
        "tao-amodal": "unocclude.datasets.tao_amodal:read",
        "movi": "unocclude.datasets.movi:read",
        "kubric": "unocclude.datasets.kubric:read",
        "fishbowl": "unocclude.datasets.fishbowl:read",
        "lasot": "unocclude.datasets.lasot:read",
        "cocoa": "unocclude.datasets.cocoa:read",
        "kins": "unocclude.datasets.kins:read",
        "pix2gestalt": "unocclude.datasets.pix2gestalt:read",
        "tabe-51": "unocclude.datasets.tabe51:read",
        "open-world": "unocclude.datasets.open_world:read",
    },
)
"""Kind → its reader, `read(root: Path, OPTION: str = DEFAULT, ...) -> list[Sample]`. The options of a data set are the
parameters of its reader. The docstring of the module shows the layout that it reads."""

__all__ = ["DATASETS", "Sample", "Truth", "get_reader", "open_dataset", "root_of"]


def get_reader(kind: str) -> Callable[..., list[Sample]]:
    """The reader of a kind of data set; raises InputError if it is unknown or broken."""
    read = DATASETS.load(kind)
    if not callable(read):
        raise DATASETS.broken(kind, f"{read!r} is not a function read(root, ...)")
    return read


def open_dataset(spec: str | Path, limit: int | None = None) -> list[Sample]:
    """Open a data set and return its samples; frames and masks are read later.

    spec: `[KIND:]PATH[?OPTION=VALUE&...]`, with KIND one of `DATASETS` (default "gt") and the options of its reader.
    The option `sequences=N` of every kind cuts clips into sequences of N frames within their shots (`view.sequences`).
    limit: maximum number of samples. Raises InputError for an unknown kind or option, for missing files, and if there
    are no samples.
    """
    kind, path, options = _parse(str(spec))
    read = get_reader(kind)
    length = _length(options.pop(SEQUENCES, ""), spec)
    known = [name for name in inspect.signature(read).parameters if name != "root"]
    for name in options:
        if name not in known:
            raise InputError(f"{kind} has no option {name}; it has {', '.join([*known, SEQUENCES])}")
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    samples = read(path, **options)
    if length:
        samples = [part for sample in samples for part in sequences(sample, length)]
    if not samples:
        raise InputError(f"{path} holds no sample of {kind}")
    name, count = Counter(sample.name for sample in samples).most_common(1)[0]
    if count > 1:  # one would overwrite the other's results
        raise InputError(f"{path} holds {count} samples called {name}; rename or remove all but one")
    samples = samples[:limit]
    for sample in samples:
        sample.origin = str(spec)
    return samples


def _length(text: str, spec: str | Path) -> int:
    """The number of frames in the option `sequences`; 0 without it."""
    if text and not (text.isascii() and text.isdigit() and int(text[:6]) > 0):
        raise InputError(f"{spec}: sequences is {text}, expected a number of frames, as 25")
    return int(text[:6]) if text else 0


def find_sample(spec: str, name: str) -> Sample:
    """The sample of a data set that has this name."""
    return _by_name(spec)[name]


@lru_cache(maxsize=4)
def _by_name(spec: str) -> dict[str, Sample]:
    return {sample.name: sample for sample in open_dataset(spec)}


def root_of(spec: str) -> Path:
    """The file or folder in a `spec` of `open_dataset`; raises the same InputError."""
    return _parse(spec)[1]


def _parse(spec: str) -> tuple[str, Path, dict[str, str]]:
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in DATASETS:
        if colon and not Path(spec.partition("?")[0]).exists() and kind.replace("-", "").isalnum():
            raise InputError(f"unknown kind of data {kind}; choose one of {', '.join(DATASETS)}")
        kind, rest = "gt", spec
    path, _, query = rest.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    if wrong := next((part[0] for part in pairs if not part[1]), None):
        raise InputError(f"{spec}: {wrong} has no value; write ?OPTION=VALUE")
    return kind, Path(path).absolute(), {name: value for name, _, value in pairs}
