"""Training: the loop against plain versions, exact resume, bad configurations, sources, and ONNX against torch."""

import json
import math
import socket

import pytest

from unocclude import InputError
from unocclude.cli import main
from unocclude.media.files import temporary

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

from support.line_recipe import Line, options, run  # noqa: E402
from support.processes import python  # noqa: E402
from unocclude import training  # noqa: E402
from unocclude.training.run import run_training  # noqa: E402

torch.set_num_threads(1)


def quiet(stage, done, total):
    pass


def plain(loop, numbers):
    """The weights and their running average by the book: AdamW, cosine, clipping, no accelerate."""
    recipe = Line(Line.Options(), loop.seed)
    from accelerate.utils import set_seed

    set_seed(loop.seed)
    network = recipe.network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=loop.learning_rate, weight_decay=loop.weight_decay)
    average = None
    for step in range(loop.steps):
        share = (step + 1) / 3 if step < 3 else 0.01 + 0.495 * (1 + math.cos(math.pi * (step - 3) / (loop.steps - 3)))
        for group in optimiser.param_groups:
            group["lr"] = loop.learning_rate * share
        for k in range(loop.accumulate):
            loss, _ = recipe.loss(network, recipe.batch(numbers(step, k), loop.batch))
            (loss / loop.accumulate).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), loop.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        now = [value.detach().clone() for value in network.parameters()]
        average = (
            now if average is None else [loop.ema * a + (1 - loop.ema) * b for a, b in zip(average, now, strict=True)]
        )
    return [float(value) for part in average for value in part.flatten()]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_loop_equals_a_plain_training_loop(tmp_path, accumulate):
    loop = options(accumulate=accumulate)
    result = run(tmp_path / "a", loop)
    found = json.loads((tmp_path / "a" / "line.json").read_text())
    assert found == pytest.approx(plain(loop, lambda step, k: step * accumulate + k), abs=1e-6)
    assert result["figures"] == {"slope": pytest.approx(found[0])} and result["files"] == ["line.json"]
    lines = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert [("slope" in line) for line in lines] == [False, False, True, False, False, True]
    assert sorted(path.name for path in (tmp_path / "a" / "checkpoints").iterdir()) == ["0000008", "0000012"]
    assert sorted(path.name for path in (tmp_path / "a" / "samples").iterdir()) == ["0000006.png", "0000012.png"]
    assert any((tmp_path / "a" / "tensorboard").rglob("events*"))


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "precision": "bf16"}, {"workers": 1}])
@pytest.mark.parametrize("stop", [1, 5, 8, 11])
def test_a_resumed_run_ends_as_if_never_stopped(tmp_path, changes, stop):
    loop = options(**changes)
    run(tmp_path / "whole", loop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", loop, steps=stop)
    run(tmp_path / "parts", loop)
    whole, parts = ((tmp_path / name / "line.json").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    whole, parts = (
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in (tmp_path / n / "log.jsonl").open()]
        for n in ("whole", "parts")
    )
    assert whole == parts


def test_a_run_begins_with_another_ones_average(tmp_path):
    run(tmp_path / "first", options())
    run(tmp_path / "second", options(init_from=str(tmp_path / "first"), steps=1, learning_rate=1e-9))
    run(tmp_path / "fresh", options(steps=1, learning_rate=1e-9))
    first, second, fresh = (json.loads((tmp_path / n / "line.json").read_text()) for n in ("first", "second", "fresh"))
    assert second == pytest.approx(first, abs=1e-6) and fresh != pytest.approx(first, abs=0.1)
    with pytest.raises(InputError, match="has no checkpoint to start from"):
        run(tmp_path / "third", options(init_from=str(tmp_path / "nowhere")))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+; lower learning_rate"):
        run(tmp_path / "out", options(learning_rate=1e30, warmup=0))
    assert not (tmp_path / "out" / "line.json").exists()


def test_a_checkpoint_that_was_being_written_is_swept(tmp_path, monkeypatch):
    monkeypatch.setitem(training.RECIPES, "line", "support.line_recipe:Line")
    config = tmp_path / "line.toml"
    config.write_text("[loop]\nsteps = 8\nbatch = 8\nsave_every = 4\nworkers = 0\n")

    def killed(stage, done, total):
        if done == 6:
            raise KeyboardInterrupt

    def resume(progress):
        run_training("line", config, tmp_path / "a", resume=True, overwrite=False, progress=progress)

    with pytest.raises(KeyboardInterrupt):
        resume(killed)
    left, mine = temporary(tmp_path / "a" / "checkpoints" / "0000008"), tmp_path / "a" / "checkpoints" / ".mine.part"
    left.mkdir()
    mine.mkdir()
    resume(lambda *_: None)
    assert not left.exists() and mine.exists()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(training.RECIPES, "line", "support.line_recipe:Line")
    config = tmp_path / "line.toml"
    config.write_text("[loop]\nsteps = 4\nbatch = 2\nworkers = 0\nema = 0.5\n")
    arguments = ["train", "line", "--config", str(config), "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "slope" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "train.json").read_text())["files"] == ["line.json"]
    assert main(arguments) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == 0
    config.write_text("[loop]\nsteps = 5\n")
    assert main([*arguments, "--resume"]) == 2
    assert "other arguments (loop)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, said",
    [
        ("[loop\n", "is not TOML"),
        ("[loop]\nsteps = 0\n", "loop.steps|steps: Input should be greater"),
        ("[loop]\nstep = 3\n", "step: Extra inputs"),
        ("[loop]\nrate = 0.1\n", "loop.rate is now called learning_rate"),
        ("[loop]\nbegin = 'a'\n", "loop.begin is now called init_from"),
        ("[recipe]\nx = 3\n", "x: Extra inputs"),
        ("[lop]\n", "unknown table or key lop"),
        (None, "cannot be read"),
    ],
)
def test_bad_configurations_are_one_line(tmp_path, monkeypatch, capsys, content, said):
    monkeypatch.setitem(training.RECIPES, "line", "support.line_recipe:Line")
    config = tmp_path / "line.toml"
    if content is not None:
        config.write_text(content)
    assert main(["train", "line", "--config", str(config), "-o", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and any(part in err for part in said.split("|"))
    assert not (tmp_path / "out").exists()


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(InputError, match="unknown recipe shapes; known are shape-prior"):
        training.get_recipe("shapes")


TWO = """
import sys
from unocclude import training
from unocclude.cli import main

if __name__ == "__main__":
    training.RECIPES["still-line"] = "support.line_recipe:StillLine"
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_learn_the_same(tmp_path, monkeypatch):
    """Two processes with a batch each (gloo) are one process that accumulates two batches: losses and weights."""
    (tmp_path / "main.py").write_text(TWO)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs, lines = {}, {}
    for processes in (1, 2):
        config = tmp_path / f"{processes}.toml"
        config.write_text(
            f"[loop]\nsteps = 8\nbatch = 8\naccumulate = {3 - processes}\nworkers = 0\nema = 0.5\nlog_every = 1\n"
            "learning_rate = 0.2\nwarmup = 1\n"
        )
        command = [
            "-m", "torch.distributed.run", "--nproc_per_node", processes, "--master_port", port,
            tmp_path / "main.py", "train", "still-line", "--config", config, "-o", tmp_path / f"out{processes}",
        ]  # fmt: skip
        process = python(*command)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        out = tmp_path / f"out{processes}"
        logs[processes] = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
        lines[processes] = json.loads((out / "line.json").read_text())
        assert (out / "train.json").exists()
    assert len(logs[1]) == 8 and logs[1][-1] < logs[1][0]
    assert logs[2] == pytest.approx(logs[1], abs=2e-6)  # rounded to 6 digits
    assert lines[2] == pytest.approx(lines[1], abs=1e-6)
