"""The smallest recipe: a line through points, trained in no time."""

import json

import numpy as np
import torch

from unocclude.media.files import write_bytes
from unocclude.training.loop import LoopOptions, train
from unocclude.training.recipe import Recipe


class Line(Recipe):
    """Fits y = 2 x + 1."""

    name, summary = "line", "a test"

    def prepare(self, workers, progress):
        pass

    def network(self):
        return torch.nn.Linear(1, 1)

    def batch(self, number, size):
        x = np.random.default_rng([self.seed, number]).normal(size=(size, 1)).astype(np.float32)
        return {"x": torch.from_numpy(x), "y": torch.from_numpy(2 * x + 1)}

    def loss(self, network, batch):
        noise = torch.rand(1)  # so that a resumed run must have the generator's state, too
        loss = ((network(batch["x"]) - batch["y"]) ** 2).mean() * (0.5 + noise[0])
        return loss, {"number": float(batch["x"][0])}

    def evaluate(self, network):
        return {"slope": float(network.weight.detach())}

    def picture(self, network):
        return np.zeros((2, 2, 3), np.uint8)

    def export(self, network, folder):
        values = [float(value) for part in network.parameters() for value in part.detach().flatten()]
        write_bytes(folder / "line.json", json.dumps(values).encode())
        return [folder / "line.json"]


class StillLine(Line):
    """Without noise, so that two processes see what one does."""

    name = "still-line"

    def loss(self, network, batch):
        return ((network(batch["x"]) - batch["y"]) ** 2).mean(), {}


def options(**changes):
    return LoopOptions(**{"steps": 12, "batch": 8, "learning_rate": 0.05, "warmup": 3, "ema": 0.9, "workers": 0,
                          "log_every": 2, "save_every": 4, "evaluate_every": 6, **changes})  # fmt: skip


def run(out, loop, recipe=Line, steps=None):
    """Train; `steps`: stop as a killed process would, after so many."""

    def progress(stage, done, total):
        if steps is not None and done > steps:
            raise KeyboardInterrupt

    out.mkdir(exist_ok=True)
    return train(recipe(recipe.Options(), loop.seed), loop, out, progress)
