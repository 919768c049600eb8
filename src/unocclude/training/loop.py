"""The training loop, on accelerate: mixed precision, gradient accumulation, EMA, exact resume and logs."""

import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from pydantic import BaseModel, ConfigDict, Field
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from unocclude.errors import InputError
from unocclude.media.files import write_bytes
from unocclude.media.images import write_png
from unocclude.networks.loading import check_names
from unocclude.training.recipe import Batch, Recipe
from unocclude.types import Progress

LOG = "log.jsonl"
AVERAGE = "custom_checkpoint_1.pkl"
KEPT = 2
"""Number of checkpoints to keep."""
RENAMED = {"rate": "learning_rate", "decay": "weight_decay", "clip": "max_grad_norm", "begin": "init_from"}
"""Former names of options in [loop]."""


class LoopOptions(BaseModel):
    """The [loop] table of a configuration, the same for all recipes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(1000, ge=1, description="optimiser steps")
    batch: int = Field(32, ge=1, description="samples per batch and device")
    accumulate: int = Field(1, ge=1, description="batches per optimiser step")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate; decays by cosine to 1 % of it")
    warmup: int = Field(100, ge=0, description="steps of linear learning-rate warm-up")
    weight_decay: float = Field(0.01, ge=0, description="weight decay of AdamW")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the weights, which is exported")
    precision: str = Field("no", pattern="^(no|bf16|fp16)$", description="no, bf16 or fp16")
    init_from: str = Field("", description="OUT of an earlier run; start from its averaged weights")
    seed: int = Field(0, ge=0)
    workers: int = Field(1, ge=0, description="worker processes that load batches")
    threads: int = Field(0, ge=0, description="CPU threads of torch; 0: torch decides")
    log_every: int = Field(20, ge=1)
    save_every: int = Field(500, ge=1)
    evaluate_every: int = Field(500, ge=1)


class _Batches(Dataset[Batch]):
    """The batches of one process, by number."""

    def __init__(self, recipe: Recipe, size: int, numbers: range):
        self.recipe, self.size, self.numbers = recipe, size, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, k: int) -> Batch:
        return self.recipe.batch(self.numbers[k], self.size)


class _Step:
    """Number of finished steps; saved with every checkpoint."""

    def __init__(self) -> None:
        self.done = 0

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.done = state["done"]


def train(recipe: Recipe, options: LoopOptions, out: Path, progress: Progress) -> dict[str, Any]:
    """Train a recipe and write checkpoints/, log.jsonl, tensorboard/, samples/STEP.png and the exported network.

    Resumes from the newest checkpoint in `out` if there is one; on the same machine the result is bit for bit the one
    of an uninterrupted run.

    Returns the metrics of the last evaluation ("figures"), the names of exported files and the time in seconds.
    Raises InputError if the loss is not finite.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    AcceleratorState._reset_state()  # left over from an earlier run in this process
    accelerator = Accelerator(
        mixed_precision=options.precision, gradient_accumulation_steps=options.accumulate,
        log_with="tensorboard", project_dir=out,
    )  # fmt: skip
    for left in out.glob("checkpoints/.*.part"):  # left over from a killed process
        shutil.rmtree(left)
    recipe.prepare(max(1, options.workers), progress)
    set_seed(options.seed)
    network = recipe.network()
    if options.init_from:
        _init_from(network, Path(options.init_from))
    # created before accelerate wraps the network for mixed precision
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(options.ema), use_buffers=True)
    average.to(accelerator.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _lr_factor(step, options))
    network, optimiser = accelerator.prepare(network, optimiser)
    step = _Step()
    accelerator.register_for_checkpointing(step, average, schedule)  # `AVERAGE` is the second of them
    checkpoints = out / "checkpoints"
    if newest := _newest(checkpoints):
        accelerator.load_state(str(newest))
    log = _Log(out / LOG, step.done)
    accelerator.init_trackers("tensorboard")
    figures: dict[str, Any] = {}
    started, before = time.monotonic(), log.seconds
    network.train()
    sums: dict[str, list[float]] = {}
    for batch in _batches(recipe, options, accelerator, step.done):
        with accelerator.accumulate(network):
            with accelerator.autocast():
                loss, parts = recipe.loss(network, batch)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(network.parameters(), options.max_grad_norm)
            optimiser.step()
            optimiser.zero_grad()
        total = float(loss.detach())  # the only synchronisation with the device per step
        if not math.isfinite(total):
            raise InputError(
                f"the loss is {total} at step {step.done + 1}; lower learning_rate, or use another precision"
            )
        for name, value in {"loss": total, **parts}.items():
            sums.setdefault(name, []).append(value)
        if not accelerator.sync_gradients:
            continue
        schedule.step()
        average.update_parameters(accelerator.unwrap_model(network))
        step.done += 1
        progress("training", step.done, options.steps)
        last = step.done == options.steps
        entry: dict[str, Any] = {}
        if step.done % options.log_every == 0 or last:
            entry = {name: round(sum(values) / len(values), 6) for name, values in sums.items()}
            entry["learning_rate"] = schedule.get_last_lr()[0]
            sums = {}
        if (step.done % options.evaluate_every == 0 or last) and accelerator.is_main_process:
            average.eval()
            figures = recipe.evaluate(average.module)
            entry |= figures
            (out / "samples").mkdir(exist_ok=True)
            write_png(out / "samples" / f"{step.done:07d}.png", recipe.picture(average.module))
        if entry and accelerator.is_main_process:
            seconds = round(before + time.monotonic() - started, 1)
            log.add({"step": step.done, **entry, "seconds": seconds})
            accelerator.log(entry, step=step.done)
        if step.done % options.save_every == 0 or last:
            _save(accelerator, checkpoints, step.done)
    average.eval()
    if not figures and accelerator.is_main_process:  # resumed after the last step
        figures = recipe.evaluate(average.module)
    accelerator.end_training()
    written = recipe.export(average.module, out) if accelerator.is_main_process else []
    return {"figures": figures, "files": [path.name for path in written], "seconds": log.seconds}


def _lr_factor(step: int, options: LoopOptions) -> float:
    """Learning rate as a fraction of its peak: linear warm-up, then cosine decay to 0.01."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    share = (step - options.warmup) / max(1, options.steps - options.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _batches(recipe: Recipe, options: LoopOptions, accelerator: Accelerator, done: int) -> Iterator[Batch]:
    """Batches of the remaining steps, on the device; with several processes, each takes its share."""
    share = accelerator.num_processes
    first, stop = done * options.accumulate, options.steps * options.accumulate
    numbers = range(first * share + accelerator.process_index, stop * share, share)
    loader = DataLoader(
        _Batches(recipe, options.batch, numbers), batch_size=None, num_workers=options.workers,
        multiprocessing_context="fork" if options.workers else None, generator=torch.Generator(),
    )  # fmt: skip
    for batch in loader:
        yield {name: value.to(accelerator.device) for name, value in batch.items()}


def _init_from(network: torch.nn.Module, earlier: Path) -> None:
    """Load the averaged weights of an earlier run's newest checkpoint into a network."""
    checkpoint = _newest(earlier / "checkpoints")
    if checkpoint is None:
        raise InputError(f"{earlier} has no checkpoint to start from; give the OUT of a training run")
    state = torch.load(checkpoint / AVERAGE, map_location="cpu", weights_only=True)
    own = {name.removeprefix("module."): value for name, value in state.items() if name.startswith("module.")}
    check_names(checkpoint / AVERAGE, own, {name: value.shape for name, value in network.state_dict().items()})
    network.load_state_dict(own)


def _newest(checkpoints: Path) -> Path | None:
    found = sorted(path for path in checkpoints.glob("[0-9]*") if path.is_dir())
    return found[-1] if found else None


def _save(accelerator: Accelerator, checkpoints: Path, step: int) -> None:
    """Write a checkpoint atomically and delete all but the newest `KEPT`."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    part, whole = checkpoints / f".{step:07d}.part", checkpoints / f"{step:07d}"
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(part))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(whole, ignore_errors=True)
        part.rename(whole)
        for old in sorted(path for path in checkpoints.glob("[0-9]*"))[:-KEPT]:
            shutil.rmtree(old)


class _Log:
    """log.jsonl, one line per logged step. Lines after the checkpoint that a run resumes from are dropped."""

    def __init__(self, path: Path, done: int):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= done]
        self.seconds = float(json.loads(kept[-1])["seconds"]) if kept else 0.0
        write_bytes(path, "".join(line + "\n" for line in kept).encode())

    def add(self, entry: dict[str, Any]) -> None:
        self.seconds = float(entry["seconds"])
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
