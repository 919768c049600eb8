"""Fuzzing what comes from elsewhere: checkpoint files, records, a server's answers, a study's log.

A target takes any bytes and must end as we say it does: well, or with one plain line (UnoccludeError).
"""

import io
import json
import random
import struct
import time
import warnings
import zipfile

import pytest

torch = pytest.importorskip("torch")
from support import hostile_files  # noqa: E402
from unocclude.benchmark.choices import read_choices  # noqa: E402
from unocclude.benchmark.state import read_state as read_bench  # noqa: E402
from unocclude.errors import UnoccludeError  # noqa: E402
from unocclude.networks import files  # noqa: E402
from unocclude.perception.reason import LisaServer  # noqa: E402
from unocclude.weights import CHECKPOINTS  # noqa: E402
from unocclude.weights.record import verify  # noqa: E402

WORDS = [
    b"..",
    b"/",
    b"\x00",
    b"\xff" * 8,
    b"[" * 99,
    b'"',
    b"-1",
    b"1e999",
    b"null",
    b"\x7f\xff\xff\xff",
    b"cos\nsystem\n",
]


def mutated(rng, seed, others):
    """A seed with a few bytes changed, cut out, put in, or taken from another seed."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at - 1] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at - 1] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 64)]
        elif kind == 3:
            data[at:at] = rng.choice(WORDS)
        elif kind == 4:
            data[at : at + 8] = struct.pack("<Q", rng.choice((0, 1, 1 << 31, 1 << 40, (1 << 64) - 1)))
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:at] = other[start : start + rng.randrange(64)]
    return bytes(data)


def quietly(act):
    """Success, or one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            act()
        except UnoccludeError as error:
            assert "\n" not in str(error), str(error)


class Targets:
    """Each takes bytes; `folder` is where they are put."""

    def __init__(self, folder):
        self.folder = folder
        self.mark = folder / "mark"

    def put(self, name, data):
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def state(self, data):
        path = self.put("x.pth", data)
        quietly(lambda: files.read_state(path))
        quietly(lambda: files.read_lightning(path))
        assert not self.mark.exists()

    def pickled(self, data):
        """The pickle alone: the zip around it stays whole, so that the reader gets there."""
        self.state(hostile_files.zipped(data, **{"data/0": bytes(64), "data/1": bytes(8)}))

    def safetensors(self, data):
        path = self.put("x.safetensors", data)
        quietly(lambda: files.read_tensors(path))

    def header(self, data):
        self.safetensors(hostile_files.safetensors(data, bytes(64)))

    def index(self, data):
        self.put("m.safetensors.index.json", data)
        quietly(lambda: files.read_weights(self.folder, "m"))
        self.put("config.json", data)
        quietly(lambda: files.check_folder(self.folder))

    def record(self, data):
        self.put("fetched.json", data)
        quietly(lambda: verify(CHECKPOINTS["lpips-alex"], self.folder, lambda line: None))

    def answer(self, data):
        """What is done with a server's answer; that it comes over a wire is tested elsewhere."""
        server = LisaServer()

        def act():
            given = server.given(data)
            server.read(given, (2, 3))

        quietly(act)

    def log(self, data):
        path = self.put("study.jsonl", data)
        choices, _ = read_choices(path, ("modal", "convex"))
        assert all(choice.chosen in ("modal", "convex") for choice in choices)

    def bench(self, data):
        self.put("bench.json", data)
        quietly(lambda: read_bench(self.folder))


def zip_member(content, name):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return next(archive.read(member) for member in archive.namelist() if member.endswith(name))


def seeds(mark):
    state = {"state_dict": {"w": torch.zeros(2, 3), "n": torch.nn.Parameter(torch.ones(2))}, "epoch": 3}
    whole, old = hostile_files.saved(state), hostile_files.saved(state, _use_new_zipfile_serialization=False)
    runners = list(hostile_files.runners(mark).values())
    header = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"format": "pt"}}
    said = {"bytes": 3, "hash": "sha256:" + "0" * 64}
    source = {"folder": "", "revision": "r", "licence": "l", "gated": False, "files": {"alex.pth": said}}
    line = {"person": "a", "data": "d", "clip": "c", "half": "easy", "chosen": "modal", "shown": ["modal"]}
    answer = {"data": ["", {"data": [[True, False, True]] * 2}, "ASSITANT: Sure</s>"]}
    asked = {"data": {"d": ["c"]}, "methods": {"modal": {}, "convex": {}}}
    return {
        "state": [whole, old, *runners],
        "pickled": [zip_member(whole, "data.pkl"), *(r for r in runners if r[:1] == b"\x80")],
        "safetensors": [hostile_files.safetensors(header, bytes(24)), *hostile_files.LYING.values()],
        "header": [json.dumps(header).encode()],
        "index": [json.dumps({"weight_map": {"w": "a.safetensors"}, "attn_implementation": "sdpa"}).encode()],
        "record": [json.dumps({"sources": {"s": source}}).encode()],
        "answer": [json.dumps(answer).encode()],
        "log": [(json.dumps(line) + "\n").encode() * 2],
        "bench": [json.dumps({"asked": asked, "origins": {"d": "x"}}).encode()],
    }


NAMES = ["state", "pickled", "safetensors", "header", "index", "record", "answer", "log", "bench"]


def fuzz(name, folder, seconds, seed):
    """Run a target for so long; what it broke on is left in `folder`/broke. Returns how many inputs it saw."""
    targets = Targets(folder)
    (folder / "alex.pth").write_bytes(b"abc")
    known = seeds(targets.mark)[name]
    rng, end, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = known[count] if count < len(known) else mutated(rng, rng.choice(known), known)
        try:
            getattr(targets, name)(data)
        except BaseException:
            (folder / "broke").write_bytes(data)
            raise
        count += 1
    return count


@pytest.mark.parametrize("name", NAMES)
def test_damaged_input_is_accepted_or_refused_in_one_line(name, tmp_path):
    assert fuzz(name, tmp_path, 0.7, 0) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_damaged_input_for_longer(name, tmp_path):
    print(name, fuzz(name, tmp_path, 30, time.time_ns()))
