"""What tests of recipes share: a small configuration, runs that are killed and go on."""

import json

import pytest

from unocclude.training.run import run_training

SPRITES = "synth:sprites?count=3&seed=5&frames=5&size=48x48"


def quiet(stage, done, total):
    pass


def config(folder, recipe, loop):
    """A TOML file of two tables."""
    tables = {"recipe": {"train": [SPRITES], "validation": [SPRITES], "cache": str(folder / "cache"), "size": [32, 32],
                         "frames": 4, "held": 2, **recipe},
              "loop": {"steps": 2, "batch": 2, "warmup": 1, "workers": 0, "threads": 1, "ema": 0.5, "log_every": 1,
                       "save_every": 1, "evaluate_every": 2, **loop}}  # fmt: skip
    text = "".join(f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items())
                   for name, table in tables.items())  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text)
    return folder / "config.toml"


def train(name, folder, recipe, loop, stop=None):
    """Train; `stop`: kill the run after so many steps and go on with it."""
    file = config(folder, recipe, loop)

    def progress(stage, done, total):
        if stage == "training" and stop is not None and done > stop:
            raise KeyboardInterrupt

    if stop:
        with pytest.raises(KeyboardInterrupt):
            run_training(name, file, folder / "out", resume=False, overwrite=False, progress=progress)
    return run_training(name, file, folder / "out", resume=True, overwrite=False, progress=quiet)


def check_resumed(name, folder, recipe, written):
    """Four steps at once and with a break after two: the same losses, and the same bytes in `written`."""
    for part, stop in (("whole", None), ("parts", 2)):
        train(name, folder / part, recipe, {"steps": 4}, stop)
    logs = [(folder / part / "out" / "log.jsonl").read_text().splitlines() for part in ("whole", "parts")]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    files = [(folder / part / "out" / written).read_bytes() for part in ("whole", "parts")]
    assert files[0] == files[1]
    return folder / "whole" / "out"
