"""Read untrusted pickles of plain data without running code."""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.errors import InputError

MAX_BYTES = 256 << 20
MAX_STEPS = 5_000_000
"""Maximum number of instructions; each takes at most 1.5 microseconds."""
_PLAIN = "().BCFGIJKLMNSTUVX]acegdhjlpqrstu}\x80\x85\x86\x87\x88\x89\x8a\x8c\x8d\x8e\x93\x94\x95"


def read_pickle(path: Path, what: str = "a pickle of plain data") -> Any:
    """Read a pickle of dictionaries, lists, tuples, text, bytes, numbers and NumPy arrays of numbers.

    what: the expected content, for messages. Raises InputError for anything else, or if reading takes too much time or
    memory.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is no file of at most {MAX_BYTES >> 20} MB; check the path")
        return _Unpickler(io.BytesIO(path.read_bytes())).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        reason = "".join(c if c.isprintable() else "?" for c in str(error)[:200]) or type(error).__name__
        raise InputError(f"{path} is not {what} ({reason}); download it again") from None


class _Kind:
    """Replacement for `numpy.dtype`, which would trust the state in a pickle."""

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or code not in ("b1", *(f"{sign}{n}" for sign in "iuf" for n in (1, 2, 4, 8))):
            raise pickle.UnpicklingError(f"numbers of kind {code!r:.20}")
        self.dtype = np.dtype(code)

    def fill(self, _version: int, order: str, *_: Any) -> None:
        self.dtype = self.dtype.newbyteorder("=" if order == "|" else order)  # type: ignore[arg-type]

    def read(self, data: bytes, shape: tuple[int, ...], fortran: bool = False) -> np.ndarray:
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise pickle.UnpicklingError("an array without a valid shape")
        if len(data) != math.prod(shape) * self.dtype.itemsize:
            raise pickle.UnpicklingError("an array whose data do not fit its shape")
        return np.frombuffer(data, self.dtype).reshape(shape, order="F" if fortran else "C")


class _Array:
    """Replacement for `numpy.ndarray`."""

    values = np.zeros(0)

    def fill(self, _version: int, shape: tuple[int, ...], kind: _Kind, fortran: bool, data: bytes) -> None:
        self.values = kind.read(data, shape, fortran)

    def tolist(self) -> Any:
        return self.values.tolist()


def _scalar(kind: _Kind, data: bytes) -> Any:
    return kind.read(data, (1,))[0].item()


_KNOWN: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _Kind,
    "numpy.ndarray": _Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
    "collections.OrderedDict": lambda *items: dict(*items),
}


class _Steps(dict[int, Callable[[Any], None]]):
    """The functions of the instructions; the number of look-ups is limited."""

    left = MAX_STEPS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise pickle.UnpicklingError(f"over {MAX_STEPS} instructions")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Callable[[Any], None]:
        raise pickle.UnpicklingError(f"an instruction {code:#x} that plain data does not need")


_Base: Any = pickle._Unpickler


class _Unpickler(_Base):
    """Based on Python's unpickler. The one in C can be made to allocate without limit by a large memo index, and to
    overflow the stack by hashing a deeply nested key."""

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream)
        known = _Base.dispatch
        own = {"R": _Unpickler.reduce, "b": _Unpickler.build, "s": _Unpickler.set_item, "u": _Unpickler.set_items,
               "d": _Unpickler.make_dict}  # fmt: skip
        self.dispatch = _Steps({ord(sign): known[ord(sign)] for sign in _PLAIN} | {ord(k): v for k, v in own.items()})

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _KNOWN:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return _KNOWN[f"{module}.{name}"]

    def reduce(self) -> None:
        arguments = self.stack.pop()
        if not any(self.stack[-1] is known for known in _KNOWN.values()):
            raise pickle.UnpicklingError("a call of something other than a known function")
        self.stack[-1] = self.stack[-1](*arguments)

    def build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Array | _Kind):
            raise pickle.UnpicklingError("a state of something other than an array or dtype")
        self.stack[-1].fill(*state)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([key, value])

    def set_items(self) -> None:
        self._put(self.pop_mark())

    def make_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._put(items)

    def _put(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or not {str, int, bytes}.issuperset(map(type, items[::2])):
            raise pickle.UnpicklingError("a key that is neither text nor a number")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))
