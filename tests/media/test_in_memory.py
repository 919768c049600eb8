"""Frames and masks in memory: every form gives the same pixels, and what has several meanings is refused."""

import numpy as np
import pytest
from PIL import Image

from unocclude.errors import InputError
from unocclude.media.in_memory import MAX_IDS, to_frames, to_masks

SIZES = [(1, 5, 7), (2, 1, 9), (3, 8, 6), (4, 12, 10), (5, 1, 1)]  # frames, height, width


class Tensor:
    """What torch's tensors have of what matters here: on a GPU and with gradients NumPy cannot read them."""

    def __init__(self, array, ready=False):
        self._array, self._ready = array, ready
        self.shape, self.ndim = array.shape, array.ndim

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self._array, ready=True)

    def __iter__(self):
        return (Tensor(part) for part in self._array)

    def __array__(self, dtype=None):
        if not self._ready:
            raise TypeError("can't convert cuda:0 device type tensor to numpy\nUse Tensor.cpu()")
        return self._array


def clip(size, seed=0):
    frames = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    frames.reshape(-1)[:2] = 0, 255  # so that the range can be told from a single pixel too
    return frames


FRAME_FORMS = {
    "array": lambda f: f,
    "list": list,
    "tuple": tuple,
    "generator": lambda f: (frame for frame in f),
    "nested lists": lambda f: [frame.tolist() for frame in f],
    "PIL": lambda f: [Image.fromarray(frame) for frame in f],
    "tensor": Tensor,
    "list of tensors": lambda f: [Tensor(frame) for frame in f],
    "0 to 1": lambda f: f / 255,
    "0 to 1, float32": lambda f: (f / 255).astype(np.float32),
    "0 to 1, rounded outwards": lambda f: (f / 255).astype(np.float32) * 1.0005,
    "0 to 255, float32": lambda f: f.astype(np.float32),
    "0 to 255, float16": lambda f: f.astype(np.float16),
    "int64": lambda f: f.astype(np.int64),
    "uint16 that holds bytes": lambda f: f.astype(np.uint16),
    "opaque RGBA": lambda f: np.concatenate([f, np.full_like(f[..., :1], 255)], axis=3),
    "Fortran order": np.asfortranarray,
    "read-only": lambda f: np.frombuffer(f.tobytes(), np.uint8).reshape(f.shape),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", FRAME_FORMS)
def test_every_form_gives_the_same_frames(form, size):
    frames = clip(size)
    found = to_frames(FRAME_FORMS[form](frames.copy()))
    assert len(found) == len(frames)
    for frame, expected in zip(found, frames, strict=True):
        assert frame.dtype == np.uint8 and frame.flags.c_contiguous and np.array_equal(frame, expected)


def test_channels_first():
    for size in ((1, 5, 7), (3, 8, 6), (2, 300, 2)):
        frames = clip(size)
        first = np.moveaxis(frames, 3, 1)
        for form in (lambda f: f, list, lambda f: f / 255, Tensor):
            assert np.array_equal(to_frames(form(first)), frames)
    # of (T, 3, H, 3), both ends could be the colours: what is documented holds
    both = clip((2, 3, 8))
    assert np.array_equal(to_frames(both), both)


def test_grey_frames_and_stills():
    grey = clip((4, 6, 7))[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=3)
    for given in (list(grey), grey[..., None], [Image.fromarray(g) for g in grey], grey[:, None], list(grey[:, None])):
        assert np.array_equal(to_frames(given), expected)
    still = clip((1, 6, 7))
    for given in (still[0], Image.fromarray(still[0]), still[0] / 255, Tensor(still[0])):
        assert np.array_equal(to_frames(given), still)
    assert np.array_equal(to_frames(grey[0]), expected[:1]) and np.array_equal(to_frames(grey[:1]), expected[:1])


def test_alpha_is_composited_on_black_as_in_files(tmp_path):
    from unocclude.media.images import read_image

    rgba = np.random.default_rng(1).integers(0, 256, (6, 7, 4)).astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    expected = read_image(tmp_path / "a.png")
    for given in ([rgba], rgba, rgba[None], Image.fromarray(rgba), rgba / 255):
        assert np.array_equal(to_frames(given), expected[None])


def test_an_image_with_a_palette_gives_its_colours():
    picture = Image.fromarray(clip((1, 8, 8))[0]).quantize(16)
    assert np.array_equal(to_frames([picture]), np.asarray(picture.convert("RGB"))[None])


def test_a_dark_float_frame_is_scaled_as_the_others():
    frames = clip((3, 6, 6)).astype(np.float32)
    frames[1] /= 255  # dark in a clip from 0 to 255, not bright in one from 0 to 1
    assert to_frames(frames)[1].max() <= 1
    frames = clip((3, 6, 6)) / np.float32(255)
    frames[1] = 0
    assert to_frames(frames)[1].max() == 0 and to_frames(frames)[0].max() == 255


FRAMES = np.linspace(0, 1, 2 * 5 * 6 * 3, dtype=np.float32).reshape(2, 5, 6, 3)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (FRAMES * 2 - 1, "(frames + 1) / 2"),
        (FRAMES * 1.2, "neither 0 to 1 nor 0 to 255"),
        (FRAMES * 1000, "neither 0 to 1 nor 0 to 255"),
        (np.where(FRAMES == 0, np.nan, FRAMES), "NaN"),
        (FRAMES > 0.5, "frames are bool"),
        ((FRAMES * 65535).astype(np.uint16), "frames >> 8"),
        ((FRAMES * 1023).astype(np.uint16), "uint16 from 0 to"),
        ((FRAMES * 255).astype(np.int16) - 1, "int16 from -1"),
        (np.zeros((9, 5, 6), np.uint8), "no axis of colours"),
        (np.zeros((2, 5, 6, 2), np.uint8), "frame 0 has shape (5, 6, 2); give (H, W, 3)"),
        (np.zeros((3, 9, 5, 6), np.uint8), "frame 0 has shape (9, 5, 6)"),
        (np.zeros((1, 2, 3, 5, 6), np.uint8), "one clip at a time"),
        (np.zeros((2, 0, 6, 3), np.uint8), "shape (0, 6, 3)"),
        (np.zeros((0, 5, 6, 3), np.uint8), "at least one frame"),
        ([], "at least one frame"),
        ([np.zeros((5, 6, 3), np.uint8), np.zeros((6, 5, 3), np.uint8)], "frames of sizes 6x5, 5x6"),
        ({"frames": FRAMES}, "frames are a dict"),
        ("clip.mp4", "frames are a str"),
        (None, "frames are a NoneType"),
        ([None], "frame 0 is NoneType, not numbers"),
        (["a.png"], "frame 0 is str, not numbers"),
    ],
)
def test_frames_that_have_several_meanings_are_refused(frames, words):
    with pytest.raises(InputError) as caught:
        to_frames(frames)
    assert words in str(caught.value) and "\n" not in str(caught.value)


# Masks ------------------------------------------------------------------------------------------------------

MASK_FORMS = {
    "bool": lambda m: m,
    "0 and 1": lambda m: m.astype(np.uint8),
    "0 and 255": lambda m: m.astype(np.uint8) * 255,
    "one id": lambda m: m * np.int64(7),
    "16 bits": lambda m: m * np.uint16(65535),
    "floats 0 and 1": lambda m: m.astype(float),
    "floats 0 and 255": lambda m: m * 255.0,
    "probabilities": lambda m: np.where(m, 0.50001, 0.49999),
    "probabilities, float16": lambda m: np.where(m, 0.9, 0.1).astype(np.float16),
    "list": list,
    "generator": lambda m: (mask for mask in m),
    "generator of bytes": lambda m: (mask * np.uint8(255) for mask in m),
    "tensor": Tensor,
    "PIL, 1 bit": lambda m: [Image.fromarray(mask) for mask in m],
    "PIL, 8 bits": lambda m: [Image.fromarray(mask * np.uint8(255)) for mask in m],
    "(T, 1, H, W)": lambda m: m[:, None],
    "(T, H, W, 1)": lambda m: m[..., None],
    "(T, H, W, 3)": lambda m: np.repeat(m[..., None], 3, axis=3) * np.uint8(255),
    "nested lists": lambda m: m.astype(int).tolist(),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", MASK_FORMS)
def test_every_form_gives_the_same_masks(form, size):
    if form in ("(T, H, W, 1)", "(T, H, W, 3)") and size[1] == 1:
        pytest.skip("a mask of shape (1, W, 1) could be either")
    masks = np.random.default_rng(2).random(size) > 0.5
    masks[0, -1, -1] = True
    found = list(to_masks(MASK_FORMS[form](masks)))
    assert all(mask.dtype == bool for mask in found) and np.array_equal(found, masks)


@pytest.mark.parametrize("form", ["bool", "0 and 1", "0 and 255", "probabilities"])
def test_one_pixel_and_none(form):
    masks = np.zeros((3, 40, 50), bool)
    masks[1, 20, 30] = True
    assert np.array_equal(list(to_masks(MASK_FORMS[form](masks))), masks)
    assert not np.any(list(to_masks(MASK_FORMS[form](masks[:1]))))


def test_height_width_time_is_recognised_with_the_frames():
    masks = np.random.default_rng(3).random((4, 5, 6)) > 0.5
    turned = masks.transpose(1, 2, 0)
    assert np.array_equal(list(to_masks(turned, (5, 6), 4)), masks)
    assert np.array_equal(list(to_masks(masks, (5, 6), 4)), masks)
    assert np.array_equal(list(to_masks(turned)), turned)  # without them it cannot be told
    cube = np.random.default_rng(4).random((5, 5, 5)) > 0.5
    assert np.array_equal(list(to_masks(cube, (5, 5), 5)), cube)


def test_one_mask_for_one_frame():
    mask = np.random.default_rng(5).random((5, 6)) > 0.5
    coloured = np.repeat(mask[..., None], 3, axis=2) * np.uint8(255)
    for given in (mask, mask[None], mask[..., None], coloured, [mask], Image.fromarray(coloured)):
        assert np.array_equal(list(to_masks(given, (5, 6), 1)), mask[None])


def test_soft_masks_are_cut_at_128():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for dtype in (np.uint8, np.float32, np.int32):
        assert np.array_equal(list(to_masks(ramp.astype(dtype))), ramp >= 128)
    # a frame that shows only the faint rim is judged with the others
    faint = np.concatenate([ramp, np.minimum(ramp, 5)])
    assert np.array_equal(list(to_masks(faint)), faint >= 128)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.arange(4).reshape(1, 2, 2), "several values beside 0 (1, 2, 3); choose an object with masks == ID"),
        (np.array([[[0, 1]], [[0, 255]]], np.uint8), "(1, 255)"),
        (np.arange(100, dtype=np.uint8).reshape(1, 10, 10), "..."),
        (np.arange(1000, dtype=np.uint16).reshape(1, 10, 100), "several values"),
        (np.array([[[-4.0, 7.5]]]), "as logits do; give masks > 0"),
        (np.array([[[-1, 1]]]), "from -1 to 1"),
        (np.array([[[0.0, np.nan]]]), "NaN"),
        (np.zeros((2, 3, 4, 5), bool), "mask 0 has shape (3, 4, 5)"),
        (np.zeros((1, 1, 2, 3, 4), bool), "masks have shape"),
        (np.zeros((2, 0, 4), bool), "mask 0 has shape (0, 4)"),
        (np.zeros(4, bool), "masks have shape (4,)"),
        ([np.ones((2, 3), bool), np.ones((2, 3), np.uint8)], "mask 1 is uint8, those before are bool"),
        ({0: np.ones((2, 3), bool)}, "masks are a dict"),
        ("masks/", "masks are a str"),
        ([["a"]], "mask 0 is list, not numbers"),
    ],
)
def test_masks_that_have_several_meanings_are_refused(masks, words):
    with pytest.raises(InputError) as caught:
        list(to_masks(masks))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_ids_up_to_the_limit_are_no_soft_mask():
    ids = np.linspace(0, 255, MAX_IDS + 1).astype(np.uint8)[None, None]
    with pytest.raises(InputError, match="several values"):
        list(to_masks(ids))


def test_bool_masks_are_read_one_by_one():
    drawn = []

    def masks():
        for i in range(5):
            drawn.append(i)
            yield np.ones((2, 2), bool)

    found = to_masks(masks())
    next(found)
    assert drawn == [0]


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    frames, masks = clip((2, 6, 8)), np.random.default_rng(6).random((2, 6, 8)) > 0.5
    tensor = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    assert np.array_equal(to_frames(tensor.requires_grad_()), frames)
    assert np.array_equal(list(to_masks(torch.from_numpy(masks))), masks)
    with pytest.raises(InputError, match="frames cannot be read as an array"):
        to_frames(tensor.bfloat16())
