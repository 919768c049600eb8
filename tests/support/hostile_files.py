"""Checkpoint files that try to run code, or to reach what is not theirs. All that run would make the file `mark`."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile

import torch


class Evil:
    """A pickle that calls `os.system`."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


class Module(torch.nn.Module):
    def forward(self, x):
        return x + 1


def zipped(pickled, name="archive/data.pkl", **more):
    """What `torch.save` writes, around a pickle of one's own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, pickled)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
        for key, content in more.items():
            archive.writestr(f"archive/{key}", content)
    return buffer.getvalue()


def called(module, name, argument, protocol):
    """A pickle that calls `module.name(argument)`; protocol 4 takes dotted names apart."""
    text = argument.encode()
    if protocol >= 4:
        strings = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name))
        start = b"\x80\x04" + strings + b"\x93"
    else:
        start = b"\x80\x02c" + f"{module}\n{name}\n".encode()
    return start + b"X" + struct.pack("<I", len(text)) + text + b"\x85R."


def in_state(pickled):
    """{"state_dict": {"w": what a pickle gives}}, in protocol 4."""
    body = pickled[2:-1]
    return b"\x80\x04}X\x0a\x00\x00\x00state_dict}X\x01\x00\x00\x00w" + body + b"ss."


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def runners(mark):
    """Name → content of files of which a careless reader would run code."""
    command = f"touch {mark}"
    code = f"open({str(mark)!r}, 'w')"
    calls = {
        "os.system": ("os", "system", command),
        "posix.system": ("posix", "system", command),
        "eval": ("builtins", "eval", code),
        "exec": ("builtins", "exec", code),
        "subprocess": ("subprocess", "getoutput", command),
        "dotted torch.os.system": ("torch", "os.system", command),
        "dotted collections": ("collections", "abc.sys.modules.__class__", command),
        "dotted OrderedDict": ("collections", "OrderedDict.fromkeys.__self__.__init__", command),
        "dotted torch._utils": ("torch._utils", "torch.os.system", command),
        "dotted serialization": ("torch.serialization", "os.system", command),
        "torch.hub": ("torch.hub", "os.system", command),
        "jit": ("torch.jit", "load", str(mark)),
        "load from bytes": ("torch.storage", "_load_from_bytes", command),
        "runpy": ("runpy", "run_path", str(mark)),
    }
    files = {}
    for name, (module, attribute, argument) in calls.items():
        for protocol in (2, 4):
            pickled = called(module, attribute, argument, protocol)
            files[f"{name} {protocol} zip"] = zipped(pickled)
            files[f"{name} {protocol} plain"] = pickled
            files[f"{name} {protocol} state"] = zipped(in_state(pickled))
    evil = pickle.dumps(Evil(mark), 2)
    nested = pickle.dumps(("storage", Evil(mark), "0", "cpu", 1), 2)
    files |= {
        "reduce": saved({"state_dict": {"w": Evil(mark)}, "w": Evil(mark)}),
        "reduce legacy": saved({"w": Evil(mark)}, _use_new_zipfile_serialization=False),
        "magic number": evil,
        "protocol version": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + evil,
        "system info": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + evil,
        "persistent id": zipped(b"\x80\x02" + nested[2:-1] + b"Q."),
        "persistent id as text": zipped(b"\x80\x02Pstorage\n."),
        "build on a function": zipped(
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00__code__K\x01s\x86b."
        ),
        "build on a class": zipped(b"\x80\x02ccollections\nOrderedDict\nN}X\x04\x00\x00\x00evilK\x01s\x86b."),
        "constants and no code": zipped(b"\x80\x02}.", **{"constants.pkl": evil}),
        "constants in a folder": zipped(b"\x80\x02}.", **{"deep/constants.pkl": evil}),
        "zip in a zip": zipped(saved({"w": Evil(mark)})),
        "data in another folder": zipped(evil, "elsewhere/data.pkl"),
        "zip after a pickle": evil + saved({"w": torch.zeros(1)}),
        "tar": tarred({"sys_info": evil, "pickle": evil, "storages": evil, "tensors": evil}),
        "script": scripted(),
    }
    return files


def tarred(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def scripted():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(Module(), torch.zeros(1)), buffer)
    return buffer.getvalue()


def safetensors(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor_header(**changes):
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


LYING = {
    "header longer than the file": safetensors(tensor_header(), bytes(8), 1 << 40),
    "header of all bytes": safetensors(tensor_header(), bytes(8), (1 << 64) - 1),
    "offsets beyond": safetensors(tensor_header(data_offsets=[0, 1 << 40]), bytes(8)),
    "offsets backwards": safetensors(tensor_header(data_offsets=[8, 0]), bytes(8)),
    "huge shape": safetensors(tensor_header(shape=[1 << 40, 1 << 40]), bytes(8)),
    "negative shape": safetensors(tensor_header(shape=[-2]), bytes(8)),
    "unknown kind": safetensors(tensor_header(dtype="PICKLE"), bytes(8)),
    "shape of texts": safetensors(tensor_header(shape=["2"]), bytes(8)),
    "no JSON": safetensors(b"{" * 50_000, bytes(8)),
    "deep JSON": safetensors(b"[" * 50_000 + b"]" * 50_000, bytes(8)),
    "not UTF-8": safetensors(b'{"\xff": 1}', bytes(8)),
    "empty": b"",
}
