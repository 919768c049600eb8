"""The recipes of the mini Fill model: what its grids hold, that it learns, and that what it writes runs."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
pytest.importorskip("tensorboard")

import unocclude  # noqa: E402
from support.training_cases import quiet  # noqa: E402
from unocclude import InputError, training  # noqa: E402
from unocclude.clip import Clip  # noqa: E402
from unocclude.masks import MaskTrack  # noqa: E402
from unocclude.synthesis import rigid_world  # noqa: E402
from unocclude.training.flux_fill import KINDS, make_grid_pair, random_grid_pair  # noqa: E402
from unocclude.training.loop import LoopOptions, train  # noqa: E402
from unocclude.training.training_clips import TrainingClip  # noqa: E402

torch.set_num_threads(1)
CARDS = Path(__file__).parents[2] / "model_cards" / "ic-amodal"
SOURCE = "synth:worlds?count=2&seed=3&frames=4&size=64x48"


def views(seed=0, frames=4, size=(32, 32)):
    """A disc behind a bar."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    amodal = np.stack([(y - 16) ** 2 + (x - 10 - 3 * k) ** 2 < 64 for k in range(frames)])
    bar = np.zeros_like(amodal)
    bar[:, :, 14:19] = True
    colour = np.broadcast_to(rng.integers(60, 200, (1, 1, 1, 3)), (*amodal.shape, 3))
    wholes = np.where(amodal[..., None], colour, 255).astype(np.uint8)
    frames_ = np.where(bar[..., None], 30, np.where(amodal[..., None], colour, 90)).astype(np.uint8)
    visible = amodal & ~bar
    objects = np.where(visible[..., None], frames_, 255).astype(np.uint8)
    grey = lambda mask: mask.astype(np.uint8) * 255  # noqa: E731
    return TrainingClip(grey(visible), grey(amodal), grey(bar), frames_, objects, wholes)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_sheet_hides_what_is_to_be_learnt_and_nothing_else(kind):
    clip = views()
    for seed in range(6):
        grid, whole = random_grid_pair(clip, kind, np.random.default_rng(seed))
        assert grid.shape == whole.shape == ((1, 1) if kind == "alone" else (2, 2))
        assert whole.hole.sum() == 0
        last, truth = grid.rows[-1][-1], whole.rows[-1][-1]
        ground = truth.picture[0, 0]
        assert (ground == ground[0]).all() and ground[0] in (0, 127, 255)
        outside = ~last.hole
        assert np.array_equal(last.picture[outside], truth.picture[outside])
        assert (last.picture[last.hole] == ground).all() and (truth.picture[last.hole] != ground).any()
        if kind != "alone":
            assert np.array_equal(grid.rows[1][0].picture, whole.rows[1][0].picture)
            assert (grid.rows[0][1].hole is not None) == (kind == "pair")
            assert np.array_equal(whole.rows[0][0].picture, grid.rows[0][0].picture)
    grid, whole = make_grid_pair(clip, 0, 1, "beside", np.random.default_rng(0), "white", carve=False)
    assert np.array_equal(whole.rows[1][1].picture, clip.wholes[1])
    assert np.array_equal(grid.rows[1][0].picture, clip.frames[1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A VAE and a Fill model after a few steps each."""
    folder = tmp_path_factory.mktemp("runs")
    common = {"train": [SOURCE], "validation": [SOURCE], "cache": str(folder / "cache"), "size": (32, 32), "frames": 3,
              "held": 2}  # fmt: skip
    loop = {"batch": 4, "learning_rate": 3e-3, "warmup": 2, "ema": 0.5, "workers": 0, "log_every": 5, "save_every": 100}

    def run(name, steps, **options):
        kind = training.get_recipe(name)
        (folder / name).mkdir()
        settings = LoopOptions(**loop, steps=steps, evaluate_every=steps)
        return train(kind(kind.Options(**common, **options), 0), settings, folder / name, quiet)

    vae = run("vae", 3, widths=[32, 32], temporal=False)
    fill = run("flux-fill", 3, vae=str(folder / "vae" / "vae"), heads=2, double=1, single=1, sampled=2)
    return folder, vae, fill, common


def test_both_learn_a_batch(runs):
    """After some steps on one batch they know it."""
    folder, common = runs[0], runs[3]
    for name, steps, rate, options in (
        ("vae", 40, 3e-3, {"widths": [32, 32], "temporal": False}),
        ("flux-fill", 60, 3e-3, {"vae": str(folder / "vae" / "vae"), "heads": 2, "double": 1, "single": 1}),
    ):
        kind = training.get_recipe(name)
        recipe = kind(kind.Options(**common, **options), 0)
        recipe.prepare(0, quiet)
        torch.manual_seed(0)
        network = recipe.network()
        batch = recipe.batch(3, 4)
        optimiser = torch.optim.AdamW(network.parameters(), lr=rate)

        def now(recipe=recipe, network=network, batch=batch):
            torch.manual_seed(5)
            return recipe.loss(network, batch)[0]

        first = float(now().detach())
        for _ in range(steps):
            optimiser.zero_grad()
            now().backward()
            optimiser.step()
        assert float(now().detach()) < 0.6 * first, name


def test_both_recipes_report_their_metrics(runs):
    _, vae, fill, _ = runs
    assert {"miou", "psnr_hidden"} <= set(fill["figures"]) and "wholes/psnr" in vae["figures"]


def test_what_it_writes_runs(runs):
    folder, _, result, _ = runs
    world = rigid_world(4, "affine", 4, 64, 48, occluders=["pole"])
    found = unocclude.complete(
        Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible), method="ic-amodal-plus",
        options={"steps": 2, "cell": 32}, weights=str(folder / "flux-fill" / "pipeline"), pictures=False,
    )  # fmt: skip
    assert result["files"] == ["pipeline"] and found.info["method"]["report"]["generator_calls"] > 0


def test_without_a_base_it_asks_for_a_vae():
    kind = training.get_recipe("flux-fill")
    with pytest.raises(InputError, match="temporal = false"):
        kind(kind.Options(train=[SOURCE], validation=[SOURCE]), 0).network()


@pytest.mark.parametrize(("name", "file"), [("vae", "mini_vae.toml"), ("flux-fill", "mini.toml")])
def test_the_mini_configurations_are_valid(name, file):
    options, loop = training.read_config(CARDS / file, training.get_recipe(name))
    assert options.size == (64, 64) and loop.steps > 1000
