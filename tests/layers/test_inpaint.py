"""The clean plate filled by an inpainting checkpoint: a tiny seeded one in the published format."""

import json

import numpy as np
import pytest

from support.small_clip import assert_one_line, run
from unocclude import InputError, layers
from unocclude.completion import GENERATED
from unocclude.media.images import read_png, write_png

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
torch.set_num_threads(1)

from support.tiny_inpainting import write_inpainting  # noqa: E402
from unocclude.layers.inpaint import InpaintingFill  # noqa: E402

COUNT, HEIGHT, WIDTH = 3, 50, 81


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(write_inpainting(tmp_path_factory.mktemp("weights") / "inpainting"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """frames/ and ids/ of an object that stands still, so that no frame shows what is behind it."""
    folder = tmp_path_factory.mktemp("clip")
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[20:35, 60:78] = 1
    for name, picture in (("frames", frame), ("ids", ids)):
        (folder / name).mkdir()
        for i in range(COUNT):
            write_png(folder / name / f"{i:05d}.png", picture)
    return folder


def plates(out):
    pictures = [read_png(out / "background/rgb" / f"{i:05d}.png") for i in range(COUNT)]
    return pictures, [read_png(out / "background/provenance" / f"{i:05d}.png") for i in range(COUNT)]


def test_the_checkpoint_draws_what_no_frame_shows_and_nothing_else(tmp_path, capsys, clip, weights):
    base = ("layers", clip / "frames", "--masks", clip / "ids", "--method", "modal")
    assert run(capsys, *base, "-o", tmp_path / "smooth")[0] == 0
    assert run(capsys, *base, "-o", tmp_path / "drawn", "--set", f"plate={weights}")[0] == 0
    (smooth, where), (drawn, where_drawn) = plates(tmp_path / "smooth"), plates(tmp_path / "drawn")
    for i in range(COUNT):
        assert np.array_equal(where[i], where_drawn[i])
        differs = (smooth[i] != drawn[i]).any(2)
        assert not differs[where[i] != GENERATED].any() and differs[where[i] == GENERATED].mean() > 0.9
        assert np.array_equal(drawn[i], drawn[0])
    finished = json.loads((tmp_path / "drawn/layers.json").read_text())
    assert finished["frame_count"] == COUNT
    code, _, err = run(capsys, *base, "-o", tmp_path / "drawn", "--resume")
    assert code == 2 and "plate" in err


def test_a_checkpoint_that_is_not_there(tmp_path, capsys, clip):
    args = ("layers", clip / "frames", "--masks", clip / "ids", "-o", tmp_path / "out", "--set", "plate=nothing")
    code, _, err = run(capsys, *args)
    assert code == 2
    assert_one_line(err, "nothing")
    assert not (tmp_path / "out").exists()
    frames, masks = np.zeros((2, 20, 20, 3), np.uint8), np.ones((2, 20, 20), bool)
    with pytest.raises(InputError, match="nothing"):
        layers(frames, [masks], plate="nothing")


@pytest.mark.parametrize("at", [(0, 0), (45, 76), (20, 30)])
def test_known_pixels_are_kept(weights, at):
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    known = np.ones((HEIGHT, WIDTH), bool)
    known[at[0] : at[0] + 5, at[1] : at[1] + 5] = False
    filled = InpaintingFill(weights, "cpu")(picture, known)
    assert np.array_equal(filled[known], picture[known]) and (filled != picture).any(2)[~known].mean() > 0.5
    assert InpaintingFill(weights, "cpu")(picture, np.ones_like(known)) is picture
