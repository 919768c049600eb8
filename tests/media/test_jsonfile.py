"""The gate for JSON files and pickles, and names that come out of them."""

import io
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unocclude.datasets.base import Sample, path_inside
from unocclude.errors import InputError
from unocclude.media import jsonfile, plain_pickle
from unocclude.media.files import MAX_NAME_BYTES, safe_name
from unocclude.media.jsonfile import read_json
from unocclude.media.plain_pickle import read_pickle


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is no JSON"),
        (b"", "is no JSON"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b'{"a": 1, "a": 2}', "a name occurs twice"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b"[" * 70 + b"]" * 70, "nested over 64 deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested over 64 deep"),
        (b"9" * 5_000, "is no JSON"),
        (b'"\xff"', "is not in UTF-8"),
        ("[1]".encode("utf-16"), "is not in UTF-8"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_json(file)
    assert str(caught.value).isprintable() and str(file) in str(caught.value)


def test_json_that_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b"\xef\xbb\xbf" + b"[" * 64 + b"]" * 64)
    assert json.dumps(read_json(file)) == "[" * 64 + "]" * 64
    file.write_text('{"a": [NaN, 1]}')
    assert read_json(file, finite=False)["a"][1] == 1


def test_json_of_many_bytes_or_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps([[]] * 1000))
    with pytest.raises(InputError, match="too many for such a file"):
        read_json(file, most=100)
    monkeypatch.setattr(jsonfile, "_MAX_MEMORY", 50_000)
    with pytest.raises(InputError, match="of memory; split it"):
        read_json(file)


def test_json_from_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    for path in (tmp_path / "x.json", Path(os.devnull), tmp_path):
        with pytest.raises(InputError, match="is no regular file"):
            read_json(path)


def dumped(tmp_path: Path, content: Any, protocol: int = 4) -> Path:
    file = tmp_path / "x.pkl"
    file.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return file


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_plain_data(tmp_path: Path, protocol: int) -> None:
    content = {"a": [1, -2.5, None, True, 2**70, (1, 2)], 7: OrderedDict(x="é"), "n": np.int64(3), "f": np.float32(2)}
    if protocol > 2:  # before, bytes are written as a call of an encoder
        content["b"] = b"\0\xff"
        content["array"] = np.arange(6.0).reshape(2, 3)
    else:
        del content["n"], content["f"]
    found = read_pickle(dumped(tmp_path, content, protocol))
    if protocol > 2:
        assert found.pop("array").tolist() == content.pop("array").tolist()
    assert found == content


class Call:
    def __init__(self, function: Any, *arguments: Any):
        self.made = function, arguments

    def __reduce__(self) -> Any:
        return self.made


@pytest.mark.parametrize(
    "content",
    [
        Call(os.getcwd), Call(eval, "1"), Call(getattr, "a", "b"), Call(np.ndarray, (10**9,)), Call(bytes, 10**9),
        Call(np.dtype, "V1000000000"), Call(np.dtype, "O"), Call(np.frombuffer, b"a"), Call(io.open, "/etc/passwd"),
        np.array([None, print], dtype=object), np.zeros(3, "i4,f4"), {(1, 2): 3}, {1, 2}, slice(1), Path("x"),
        b"\x80\x04}r\xff\xff\xff\xff", b"\x80\x04})" + b"\x85" * 200_000 + b"Ns.",
        b"\x80\x04\x95" + b"\xff" * 8 + b"}.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\0\0\0}.", b"\x80\x04.", b"\x80\x09}.", b"0", b"", b"}P1\n.",
        b"cnumpy\nndarray\n}b.", b"cnumpy.core.multiarray\nscalar\n}\x8c\x08__code__K\x01s\x86b.",
        b"(dq\0K\x01K\x02s\x94", b"]}K\0K\x01su.", b"\x80\x04" + b"(" * 1000 + b"e.",
    ],
)  # fmt: skip
def test_pickles_of_anything_else(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match="is not a pickle of plain data") as caught:
        read_pickle(dumped(tmp_path, content))
    assert str(caught.value).isprintable()


def test_pickles_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle._Steps, "left", 1_000)
    with pytest.raises(InputError, match="over 5000000 instructions"):
        read_pickle(dumped(tmp_path, b"\x80\x04" + b"(" * 2_000))


@given(st.text())
@example("..")
@example("/etc/passwd")
@example("CON")
@example("aux.txt")
@example("a\ud800")
@example("x" * 300)
@example("é" * 150)
@example("a. ")
@example("a\n")
@example("")
def test_names_stay_in_their_folder(name: str) -> None:
    made = safe_name(name)
    assert safe_name(made) == made and made == Sample(name, lambda: None).name  # type: ignore[arg-type,return-value]
    assert Path("/out", made).resolve().parent == Path("/out") and Path(made).name == made
    assert 0 < len(made.encode()) <= MAX_NAME_BYTES and not made.startswith(".")


@given(st.lists(st.text("aA./\\:\n _", max_size=4), unique=True))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({safe_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["bear-1", "12_3", "COCO_1-0", "été 2024", "猫-1", "a..b", "_x", "-x"])
def test_good_names_stay_as_they_are(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["/etc/x", "..", "../x", "a/../../x", "a\0b", "a\nb", " ", "a\\..\\b", "C:/x"])
def test_files_outside_the_folder_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^q\.json names a file ") as caught:
        path_inside(Path("/images"), name, Path("q.json"))
    assert str(caught.value).isprintable()


def test_files_inside_the_folder_are_taken() -> None:
    for name in ("a.png", "a/b.png", "a/../b.png", "./a", "..a"):
        assert path_inside(Path("/images"), name, Path("q.json")) == Path("/images") / name
