"""The shape prior: what it looks at, what it learns from, its recipe run small, and ONNX against torch."""

import numpy as np
import pytest

from unocclude import InputError
from unocclude.cli import main
from unocclude.methods.recall import prior_inputs
from unocclude.synthesis import sprite_world, write_world

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
onnxruntime = pytest.importorskip("onnxruntime")

from unocclude.training import evidence_clips, shape_prior  # noqa: E402
from unocclude.training.onnx import write_onnx  # noqa: E402
from unocclude.training.sources import ClipSource  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world():
    return sprite_world(3, 10, 96, 80)


@pytest.fixture(scope="module")
def clip(world):
    return evidence_clips.from_world(world)


def test_evidence_clips_read_back_as_written(clip, tmp_path):
    (tmp_path / "a.npz").write_bytes(evidence_clips.serialise(clip))
    back = evidence_clips.load(tmp_path / "a.npz")
    for name in ("visible", "amodal", "labels"):
        assert np.array_equal(getattr(back, name), getattr(clip, name))
    assert back.offset == clip.offset and clip.visible.dtype == bool and not (clip.visible & ~clip.amodal).any()


def test_a_cut_clip_knows_what_is_beyond_the_border(world):
    cut = evidence_clips.from_world(world, cut=True)
    x, y = cut.offset
    inner = np.s_[:, y:-y, x:-x]
    beyond = np.ones(cut.visible.shape, bool)
    beyond[inner] = False
    assert not cut.visible[beyond].any()
    assert cut.amodal[beyond].any()
    assert np.isin(cut.labels[inner], range(4)).all()


def test_a_view_is_centred_on_its_box():
    box = np.array([30.0, 10, 50, 70])
    view = prior_inputs.view_matrix(box)
    corner, middle = (view @ (x, y, 1) for x, y in ((39.5 - 30 * 1.6, 39.5 - 30 * 1.6), (39.5, 39.5)))
    assert middle[:2] == pytest.approx([(prior_inputs.SIDE - 1) / 2] * 2)
    assert corner[:2] == pytest.approx([-0.5, -0.5], abs=0.51)


def test_one_box_is_mapped_onto_another():
    motion = prior_inputs.box_to_box(np.array([10.0, 10, 30, 50]), np.array([100.0, 20, 110, 40]))
    assert motion @ (10, 10, 1) == pytest.approx([99.75 + 0.0, 19.75, 1], abs=0.3)
    assert motion[0, 0] == motion[1, 1] == pytest.approx(0.5)


def test_what_the_network_is_given(clip):
    sight = clip.object_frames
    for i in range(len(clip)):
        box = prior_inputs.object_box(sight, i)
        if not np.isfinite(box).all():
            continue
        planes, numbers = prior_inputs.make_inputs(sight, i, prior_inputs.view_matrix(box))
        assert (
            planes.shape == (prior_inputs.PLANES, prior_inputs.SIDE, prior_inputs.SIDE) and planes.dtype == np.float32
        )
        assert numbers.shape == (prior_inputs.NUMBERS,) and np.abs(numbers).max() <= 1
        assert planes[:5].min() >= 0 and planes[:5].max() <= 1 and np.abs(planes[5:]).max() <= 1
        assert not ((planes[1] > 0.5) & (planes[2] > 0.5)).any()
        if clip.visible[i].any():
            scale = prior_inputs.view_matrix(box)[0, 0]
            assert (planes[0] > 0.5).sum() == pytest.approx(clip.visible[i].sum() * scale**2, rel=0.25, abs=40)


def test_context_is_the_neighbours_and_the_best(clip):
    trajectory = clip.object_frames.trajectory
    for i in range(len(clip)):
        chosen = prior_inputs.context_frames(trajectory, i)
        assert len(chosen) == prior_inputs.CONTEXT
        assert chosen[:4] == [s if 0 <= s < len(clip) else None for s in (i - 3, i - 1, i + 1, i + 3)]
        before, after = chosen[4:7], chosen[7:]
        assert all(s is None or s < i for s in before) and all(s is None or s > i for s in after)


def test_an_image_alone_has_no_context(clip):
    single = evidence_clips.EvidenceClip(
        clip.pictures[4:5], clip.visible[4:5], clip.amodal[4:5], clip.labels[4:5], clip.offset
    )
    planes, numbers = prior_inputs.make_inputs(
        single.object_frames, 0, prior_inputs.view_matrix(prior_inputs.object_box(single.object_frames, 0))
    )
    assert not planes[5:-3].any() and not numbers.any() and planes[0].any()


def test_samples_are_the_same_for_the_same_number_and_disturbed(clip):
    first, second, other = (shape_prior.draw(clip, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])
    planes, _, target, weight = first
    assert set(np.unique(target)) <= {0, 1} and weight.min() >= 0 and weight.max() <= 1
    assert not weight[:, planes[4] <= 0.99].any()


def test_draws_of_a_network_without_factors_are_its_mean():
    logits = torch.randn(2, 1, 6, 6)
    target, weight = (torch.rand(2, 1, 6, 6) > 0.5).float(), torch.rand(2, 1, 6, 6)
    found = shape_prior._likelihood(logits, torch.zeros(2, 3, 6, 6), target, weight)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    assert float(found) == pytest.approx(float((plain * weight).sum() / 2 / 36), rel=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_gives_what_torch_gives(tmp_path, batch):
    torch.manual_seed(0)
    network = shape_prior.UNet(prior_inputs.PLANES, 1 + shape_prior.RANK, prior_inputs.NUMBERS)
    for module in network.modules():  # as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    network.eval()
    example = (
        torch.zeros(1, prior_inputs.PLANES, prior_inputs.SIDE, prior_inputs.SIDE),
        torch.zeros(1, prior_inputs.NUMBERS),
    )
    path = write_onnx(network, example, ("planes", "numbers"), ("logits",), tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    planes = torch.randn(batch, prior_inputs.PLANES, prior_inputs.SIDE, prior_inputs.SIDE)
    numbers = torch.randn(batch, prior_inputs.NUMBERS)
    [found] = session.run(None, {"planes": planes.numpy(), "numbers": numbers.numpy()})
    with torch.inference_mode():
        expected = network(planes, numbers).numpy()
    assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_sources_give_the_same_clips(tmp_path):
    made = ClipSource("synth:sprites?count=3&seed=5&frames=4&size=48x32")
    assert made.count == 3
    assert main(["synth", "sprites", "-o", str(tmp_path / "folders"), "--count", "3", "--seed", "5", "--frames", "4",
                 "--size", "48x32", "--workers", "1", "--quiet"]) == 0  # fmt: skip
    assert main(["synth", "sprites", "-o", str(tmp_path / "shards"), "--count", "3", "--seed", "5", "--frames", "4",
                 "--size", "48x32", "--workers", "1", "--shards", "--quiet"]) == 0  # fmt: skip
    for source in (ClipSource(str(tmp_path / "folders")), ClipSource(f"shards:{tmp_path / 'shards'}")):
        assert source.count == 3
        for i in range(3):
            [first], [second] = made.make(i), source.make(i)
            for part in ("frames", "visible", "amodal", "amodal_rgb"):
                assert np.array_equal(getattr(first, part), getattr(second, part)), part


def test_classes_are_left_out():
    kinds = [world.about["class"] for i in range(6) for world in ClipSource("synth:sprites?count=6&size=32x32").make(i)]
    without = ClipSource("synth:sprites?count=6&size=32x32", without=(kinds[0],))
    assert [w.about["class"] for i in range(6) for w in without.make(i)] == [k for k in kinds if k != kinds[0]]


@pytest.mark.parametrize(
    "spec, said",
    [
        ("synth:sprites", "give count=N"),
        ("synth:sprites?count=2&colour=red", "no option colour"),
        ("synth:sprites?count=x", "must be numbers"),
        ("synth:nothing?count=2", "unknown kind nothing"),
        ("shards:/nowhere", "holds no shard"),
        ("/nowhere", "no such file or folder"),
    ],
)
def test_bad_sources_say_what_is_wrong(spec, said):
    with pytest.raises(InputError, match=said):
        _ = ClipSource(spec).count


@pytest.mark.parametrize("picture", [True, False])
def test_a_small_run_gives_the_same_network_again_from_its_cache(tmp_path, capsys, picture):
    write_world(sprite_world(1, 6, 64, 64), tmp_path / "held" / "a")
    config = tmp_path / "shape.toml"
    config.write_text(
        f"""[recipe]
train = ["synth:sprites?count=3&seed=1&frames=6&size=64x64"]
validation = ["{tmp_path / "held"}"]
cache = "{tmp_path / "cache"}"
picture = {str(picture).lower()}
[loop]
steps = 2
batch = 4
threads = 1
workers = 0
precision = "bf16"
"""
    )
    weights = []
    for name in ("a", "b"):
        assert main(["train", "shape-prior", "--config", str(config), "-o", str(tmp_path / name), "--quiet"]) == 0
        weights.append((tmp_path / name / shape_prior.FILE).read_bytes())
        assert len(list((tmp_path / "cache").rglob("*.npz"))) >= 3
    assert weights[0] == weights[1]
    session = onnxruntime.InferenceSession(weights[0], providers=["CPUExecutionProvider"])
    count = prior_inputs.PLANES if picture else prior_inputs.PLANES - prior_inputs.PICTURE
    planes = np.zeros((1, count, prior_inputs.SIDE, prior_inputs.SIDE), np.float32)
    [logits] = session.run(None, {"planes": planes, "numbers": np.zeros((1, prior_inputs.NUMBERS), np.float32)})
    assert logits.dtype == np.float32
    assert capsys.readouterr().out == ""
