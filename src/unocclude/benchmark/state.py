"""Read and validate the bench.json of a benchmark. Names in it become paths, so they must stay in the folder."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from unocclude.errors import InputError
from unocclude.layout import BENCH_FILE
from unocclude.names import is_inside

MAX_BYTES = 256 << 20
"""Maximum size of bench.json in bytes; it contains the metrics of every clip."""


def _checked(name: str) -> str:
    if not is_inside(name):
        raise ValueError("leaves the folder")
    return name


def _single(name: str) -> str:
    if not is_inside(name, depth=1):
        raise ValueError("leaves the folder")
    return name


Name = Annotated[str, AfterValidator(_checked)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class Asked(_Strict):
    """The arguments of the benchmark. data: clips by data set. methods: options by method."""

    data: dict[Name, list[Name]]
    methods: dict[Annotated[str, AfterValidator(_single)], Any]


class State(_Strict):
    """The content of bench.json. origins: the argument that each data set was opened with."""

    asked: Asked
    origins: dict[str, str]


def read_state(folder: Path) -> State:
    """Read the bench.json of a folder; raises InputError if the folder is not the OUT of `unocclude bench`."""
    file = folder / BENCH_FILE
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} has more than {MAX_BYTES} bytes; it is not as `unocclude bench` writes it")
        return State.model_validate_json(file.read_bytes())
    except ValidationError as error:
        if any(one["type"] == "value_error" for one in error.errors()):
            raise InputError(f"{file} contains names that leave {folder}; run the benchmark again") from None
        raise InputError(f"{folder} is not the OUT folder of `unocclude bench`") from None
    except OSError:
        raise InputError(f"{folder} is not the OUT folder of `unocclude bench`") from None
