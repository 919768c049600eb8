"""Depth: the published resizing, a tiny Depth Anything in the published format, and layers without weights."""

import cv2
import numpy as np
import pytest

import unocclude
from support import small_clip
from unocclude import InputError, MaskTrack, Scene
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN
from unocclude.perception.depth import NEARNESS, OBJECT, DepthAnything, LayerDepth, input_size, published_positions


@pytest.mark.parametrize(
    ("frame", "network"),
    [
        # what the published Resize(518, 518, keep_aspect_ratio, multiple of 14, lower_bound) gives
        ((256, 512), (518, 1036)),
        ((512, 1024), (518, 1036)),
        ((518, 518), (518, 518)),
        ((480, 640), (518, 686)),
        ((1080, 1920), (518, 924)),
        ((720, 405), (924, 518)),
        ((100, 101), (518, 518)),
        ((100, 1600), (518, 8288)),
        ((1, 1), (518, 518)),
    ],
)
def test_the_published_rule_of_resizing(frame, network):
    assert input_size(*frame) == network


def write_depth_anything(folder, seed=0):
    """A Depth Anything V2 with the parts and files of the published one."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.set_num_threads(1)
    config = transformers.DepthAnythingConfig(
        backbone_config={
            "model_type": "dinov2", "image_size": 518, "patch_size": 14, "hidden_size": 16, "num_hidden_layers": 4,
            "num_attention_heads": 2, "mlp_ratio": 2, "out_indices": [1, 2, 3, 4], "apply_layernorm": True,
            "reshape_hidden_states": False,
        },
        reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 8, 8], fusion_hidden_size=8, head_hidden_size=8,
        patch_size=14,
    )  # fmt: skip
    model = transformers.DepthAnythingForDepthEstimation(config)
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        if value.ndim > 1:
            value.data = torch.randn(value.shape, generator=generator) * 0.3
    model.head.conv3.bias.data.fill_(5.0)  # so that the last ReLU does not cut everything
    model.save_pretrained(folder)
    return folder


def test_depth_anything_is_run_as_published(tmp_path):
    torch = pytest.importorskip("torch")
    folder = write_depth_anything(tmp_path / "depth")
    depth = DepthAnything(folder, "cpu")
    image = np.random.default_rng(1).integers(0, 256, (20, 31, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    given = depth(image)
    assert given.shape == (20, 31) and given.dtype == np.float32 and given.std() > 1e-3
    assert (DepthAnything(folder, "cpu")(image) == given).all()

    # the steps of infer_image, one after another
    small = cv2.resize(image / 255.0, (798, 518), interpolation=cv2.INTER_CUBIC)
    small = (small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.inference_mode():
        out = depth.model(pixel_values=torch.tensor(small.transpose(2, 0, 1)[None], dtype=torch.float32))
    wide = out.predicted_depth[0].numpy()
    ys, xs = np.linspace(0, 517, 20), np.linspace(0, 797, 31)
    rows = np.stack([np.interp(ys, np.arange(518), column) for column in wide.T], axis=1)
    plain = np.stack([np.interp(xs, np.arange(798), row) for row in rows])
    np.testing.assert_allclose(given, plain, atol=1e-3 * plain.std())


def test_position_embeddings_are_resampled_as_published():
    """Bicubic (a = -0.75) at (i + 0.5) / scale - 0.5 with scale (patches + 0.1) / 37, border pixels repeated."""
    torch = pytest.importorskip("torch")
    side, rows, columns = 5, 7, 12
    known = torch.randn(1, 1 + side * side, 3, generator=torch.Generator().manual_seed(0))

    def cubic(x):
        x, a = abs(x), -0.75
        return ((a + 2) * x - (a + 3)) * x * x + 1 if x <= 1 else (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0

    def matrix(count):
        out = np.zeros((count, side))
        for i in range(count):
            at = (i + 0.5) * side / (count + 0.1) - 0.5
            for k in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                out[i, min(max(k, 0), side - 1)] += cubic(at - k)
        return out

    class Embeddings:
        position_embeddings = known

    given = published_positions(Embeddings, None, rows * 14, columns * 14)[0].numpy()
    grid = known[0, 1:].numpy().reshape(side, side, 3)
    wanted = np.einsum("ir,jc,rcd->ijd", matrix(rows), matrix(columns), grid).reshape(-1, 3)
    np.testing.assert_allclose(given[1:], wanted, atol=1e-5)
    np.testing.assert_array_equal(given[0], known[0, 0])
    assert published_positions(Embeddings, None, side * 14, side * 14) is known


def test_long_thin_images_are_refused():
    with pytest.raises(InputError, match=r"5000x2 image.*16 times"):
        input_size(2, 5000)


def test_missing_depth_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match=r"depth-anything-v2-large.*is missing"):
        DepthAnything()
    with pytest.raises(InputError, match=r"config\.json"):
        DepthAnything(tmp_path)


def scene_of(tmp_path, occluders=False, pad=0.0):
    clip = unocclude.open(small_clip.make(tmp_path, count=12) / "frames")
    track = unocclude.read_masks(tmp_path / "visible_masks")
    bar = np.zeros((clip.height, clip.width), bool)
    bar[:, 26:32] = True
    return Scene(clip, track, MaskTrack.from_masks([bar] * len(clip)) if occluders else None, pad)


def test_given_occluders_are_in_front(tmp_path):
    scene = scene_of(tmp_path, occluders=True)
    depth = LayerDepth(scene)
    for i in range(len(scene)):
        expected = np.zeros((scene.height, scene.width), np.float32)
        expected[:, 26:32] = 1
        expected[scene.visible(i)] = OBJECT
        assert depth(i).dtype == np.float32
        np.testing.assert_array_equal(depth(i), expected)


@pytest.mark.parametrize("pad", [0.0, 0.25])
def test_layers_follow_the_evidence(tmp_path, pad):
    scene = scene_of(tmp_path, pad=pad)
    depth = LayerDepth(scene)
    work = scene.evidence.work
    assert work.scale == 1  # the object is small, so labels are per pixel of the canvas
    met = set()
    for i in range(len(scene)):
        window, labels = scene.evidence.window(i), scene.evidence.labels[i]
        expected = np.zeros((scene.height, scene.width), np.float32)
        for label in (BACKGROUND, STILL, UNKNOWN, FOREIGN):
            expected[window][labels == label] = NEARNESS[label]
            met |= {label} if (labels == label).any() else set()
        expected[~scene.inside] = 1
        expected[scene.visible(i)] = OBJECT
        np.testing.assert_array_equal(depth(i), expected)
        # what is open to the object is never farther than it
        assert (depth(i)[scene.completion_mask(i)] >= OBJECT).all()
    assert BACKGROUND in met and len(met) > 2
    assert 0 == NEARNESS[BACKGROUND] < OBJECT < NEARNESS[STILL] < NEARNESS[UNKNOWN] < NEARNESS[FOREIGN] == 1
