"""The training loop, on accelerate: mixed precision, gradient accumulation, EMA, exact resume and logs."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, set_seed
from pydantic import BaseModel, ConfigDict, Field
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from unocclude import layout
from unocclude.errors import InputError
from unocclude.media import files
from unocclude.media.images import write_png
from unocclude.networks.files import read_state, read_torch_file
from unocclude.networks.loading import check_names
from unocclude.training.recipe import Batch, Recipe
from unocclude.types import Progress

LOG = "log.jsonl"
AVERAGE, EARLIER_AVERAGE = "average.pt", "custom_checkpoint_1.pkl"
PLACE = "place.pt"
"""Files that a checkpoint has besides those of accelerate: the averaged weights (AVERAGE) and the progress of the run
(PLACE). They are not registered with accelerate, which would read them as pickles that can run code."""
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
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine",
        description="cosine: the learning rate decays to 1 % of its peak; constant: it stays, as in the papers",
    )
    checkpointing: bool = Field(
        False,
        description="gradient checkpointing: activations are computed again, which takes less memory and more time",
    )
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


class _Run:
    """The state of a run that accelerate does not save: finished steps, averaged weights and schedule."""

    def __init__(self, average: AveragedModel, schedule: LRScheduler):
        self.done, self.average, self.schedule = 0, average, schedule

    def save(self, folder: Path) -> None:
        torch.save(self.average.state_dict(), folder / AVERAGE)
        torch.save({"done": self.done, "schedule": self.schedule.state_dict()}, folder / PLACE)

    def load(self, folder: Path) -> None:
        """Restore the state; raises InputError if a file is missing or invalid."""
        state, place = read_state(folder / AVERAGE), read_torch_file(folder / PLACE)
        check_names(folder / AVERAGE, state, {name: value.shape for name, value in self.average.state_dict().items()})
        self.average.load_state_dict(state)
        try:
            self.done = int(place["done"])
            self.schedule.load_state_dict(place["schedule"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{folder / PLACE} is invalid; remove {folder} to use an earlier checkpoint") from error


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
    with accelerator.main_process_first():  # the others find what it has cached
        recipe.prepare(max(1, options.workers), progress)
    set_seed(options.seed)
    network = recipe.network()
    if accelerator.process_index:  # the same network, but noise of its own
        set_seed(options.seed + accelerator.process_index)
    if options.init_from:
        _init_from(network, Path(options.init_from))
    if options.checkpointing:
        _checkpoint_gradients(recipe, network)
    # created before accelerate wraps the network for mixed precision
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(options.ema), use_buffers=True)
    average.to(accelerator.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _lr_factor(step, options))
    network, optimiser = accelerator.prepare(network, optimiser)
    step = _Run(average, schedule)
    checkpoints = out / "checkpoints"
    if newest := _newest(checkpoints):
        _resume(accelerator, step, newest)
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
            entry = {name: round(_mean(accelerator, values), 6) for name, values in sums.items()}
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
            _save(accelerator, checkpoints, step)
    average.eval()
    if not figures and accelerator.is_main_process:  # resumed after the last step
        figures = recipe.evaluate(average.module)
    accelerator.end_training()
    written = recipe.export(average.module, out) if accelerator.is_main_process else []
    return {"figures": figures, "files": [path.name for path in written], "seconds": log.seconds}


def _mean(accelerator: Accelerator, values: list[float]) -> float:
    """The mean over all processes."""
    mean = sum(values) / len(values)
    if accelerator.num_processes == 1:
        return mean
    return float(accelerator.reduce(torch.tensor(mean, device=accelerator.device), "mean"))


def _lr_factor(step: int, options: LoopOptions) -> float:
    """Learning rate as a fraction of its peak: linear warm-up, then cosine decay to 0.01, or 1."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    if options.schedule == "constant":
        return 1.0
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


def _checkpoint_gradients(recipe: Recipe, network: torch.nn.Module) -> None:
    """Turn on gradient checkpointing; raises InputError for a network that has none."""
    enable = getattr(network, "enable_gradient_checkpointing", None)
    if enable is None:
        raise InputError(
            f"the network of recipe {recipe.name} has no gradient checkpointing; set checkpointing = false"
        )
    enable()


def _init_from(network: torch.nn.Module, earlier: Path) -> None:
    """Load the averaged weights of an earlier run's newest checkpoint into a network."""
    checkpoint = _newest(earlier / "checkpoints")
    if checkpoint is None:
        raise InputError(f"{earlier} has no checkpoint to start from; give the OUT of a training run")
    file = next(
        (file for name in (AVERAGE, EARLIER_AVERAGE) if (file := checkpoint / name).exists()), checkpoint / AVERAGE
    )
    state = read_state(file)
    own = {name.removeprefix("module."): value for name, value in state.items() if name.startswith("module.")}
    check_names(file, own, {name: value.shape for name, value in network.state_dict().items()})
    network.load_state_dict(own)


def _resume(accelerator: Accelerator, run: _Run, checkpoint: Path) -> None:
    """Resume from a checkpoint; raises InputError if it cannot be read."""
    run.load(checkpoint)
    try:
        accelerator.load_state(str(checkpoint))  # uses `weights_only`, because nothing is registered
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{checkpoint} cannot be resumed from: {reason}; remove it to use the one before") from error


def _newest(checkpoints: Path) -> Path | None:
    found = sorted(path for path in checkpoints.glob("[0-9]*") if path.is_dir())
    return found[-1] if found else None


def _save(accelerator: Accelerator, checkpoints: Path, run: _Run) -> None:
    """Write a checkpoint atomically and delete all but the newest `KEPT`."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    whole = checkpoints / f"{run.done:07d}"
    part = Path(broadcast_object_list([str(files.temporary(whole))])[0])
    accelerator.save_state(str(part))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        run.save(part)
        files.sync_tree(part)
        if whole.exists():
            layout.remove_below(checkpoints.parent, f"checkpoints/{whole.name}", layout.TRAIN_FILE)
        part.rename(whole)
        files.sync(checkpoints)
        for old in sorted(checkpoints.glob("[0-9]*"))[:-KEPT]:
            layout.remove_below(checkpoints.parent, f"checkpoints/{old.name}", layout.TRAIN_FILE)


class _Log:
    """log.jsonl, one line per logged step. Lines after the checkpoint that a run resumes from are dropped."""

    def __init__(self, path: Path, done: int):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if _step(line) <= done]
        self.seconds = float(json.loads(kept[-1])["seconds"]) if kept else 0.0
        files.write_bytes(path, "".join(line + "\n" for line in kept).encode())

    def add(self, entry: dict[str, Any]) -> None:
        """Append a line."""
        self.seconds = float(entry["seconds"])
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _step(line: str) -> float:
    """The step of a line of the log; infinity for a line that a kill or a power cut left incomplete."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
