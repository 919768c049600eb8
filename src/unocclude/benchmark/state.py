"""What a benchmark's folder says it holds, checked: names in it become paths."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from unocclude.errors import InputError
from unocclude.layout import BENCH_FILE
from unocclude.names import is_inside

MAX_BYTES = 256 << 20
"""Bytes of a state; it holds every clip's figures."""


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
    """data: clips by data set."""

    data: dict[Name, list[Name]]
    methods: dict[Annotated[str, AfterValidator(_single)], Any]


class State(_Strict):
    """origins: what each data set was opened by."""

    asked: Asked
    origins: dict[str, str]


def read_state(folder: Path) -> State:
    """Raises InputError where the folder is none of `unocclude bench`."""
    file = folder / BENCH_FILE
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} has more than {MAX_BYTES} bytes; it is not as `unocclude bench` writes it")
        return State.model_validate_json(file.read_bytes())
    except ValidationError as error:
        if any(one["type"] == "value_error" for one in error.errors()):
            raise InputError(f"{file} names what lies outside of {folder}; run the benchmark again") from None
        raise InputError(f"{folder} is not the OUT folder of `unocclude bench`") from None
    except OSError:
        raise InputError(f"{folder} is not the OUT folder of `unocclude bench`") from None
