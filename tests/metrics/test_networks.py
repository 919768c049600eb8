"""Metrics that need published weights: names, shapes and numbers of the published sources, on weights drawn from each
entry's own name (`fixtures/metric_networks.json` says which commits); a tiny CLIP; the errors where weights lack."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from support.metric_cases import mean, random_case, random_rgba, same
from unocclude import InputError, metrics, weights

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # two test processes on two cores
functional = torch.nn.functional
from support.tiny_metric_networks import FACTS, features_file, random_tensors, write_i3d, write_lpips  # noqa: E402


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "home"))
    return tmp_path / "home"


def shapes_of(model):
    return {name: list(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_gives_what_the_published_network_gives(net, tmp_path):
    from unocclude.networks import lpips

    facts = FACTS[f"lpips-{net}"]
    assert shapes_of(lpips.LPIPS(net)) == facts["full"]
    folder = write_lpips(tmp_path / net, net)
    model = lpips.load(folder / features_file(net), folder / f"{net}.pth", net)
    rng = np.random.default_rng(5)
    x, y = (torch.tensor(rng.uniform(-1, 1, (2, 3, 70, 83)), dtype=torch.float32) for _ in range(2))
    with torch.inference_mode():
        assert model(x, y).tolist() == pytest.approx(facts["distance"], abs=2e-5)
        assert model(x, x).tolist() == [0, 0]


def slow_lpips(x, y, trunk, linear):
    """AlexNet's distance of two (3, H, W) arrays, -1 to 1, place by place."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    stages = []
    for image in (x, y):
        h = torch.tensor((image - shift[:, None, None]) / scale[:, None, None])[None]
        features = []
        for i, (k, stride, padding, pool) in enumerate(
            [(0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False)]
        ):
            if pool:
                h = functional.max_pool2d(h, 3, 2)
            w, b = (trunk[f"features.{k}.{n}"].double() for n in ("weight", "bias"))
            h = functional.conv2d(h, w, b, stride, padding).clamp(min=0)
            features.append((i, h[0].numpy()))
        stages.append(features)
    total = 0
    for (i, a), (_, b) in zip(*stages, strict=True):
        w = linear[f"lin{i}.model.1.weight"].flatten().double().numpy()
        places = []
        for v in range(a.shape[1]):
            for u in range(a.shape[2]):
                p, q = (f[:, v, u] / (np.sqrt((f[:, v, u] ** 2).sum()) + 1e-10) for f in (a, b))
                places.append((w * (p - q) ** 2).sum())
        total += mean(places)
    return total


def test_lpips_metric_against_a_slow_one(home):
    folder = write_lpips(home / "lpips-alex", "alex")
    trunk, linear = (torch.load(folder / f, weights_only=True) for f in (features_file("alex"), "alex.pth"))
    masks = np.zeros((3, 40, 51), bool)
    masks[:2, 5:30, 8:44] = True
    a, b = random_rgba(1, masks), random_rgba(2, masks)
    b[1, 5:18] = 0
    on_white = [[f[..., :3] * (f[..., 3:] / 255) + 255 * (1 - f[..., 3:] / 255) for f in stack] for stack in (a, b)]
    scaled = [[f.transpose(2, 0, 1) / 127.5 - 1 for f in stack] for stack in on_white]
    expected = [slow_lpips(x, y, trunk, linear) for x, y in zip(*scaled, strict=True)][:2]  # the third is empty
    assert min(expected) > 0.01
    assert metrics.lpips(a, b) == pytest.approx(mean(expected), rel=1e-4)
    assert metrics.lpips(a, b, weights=folder) == metrics.lpips(a, b)
    assert metrics.lpips(a[::-1], b[::-1]) == pytest.approx(metrics.lpips(a, b))
    assert metrics.lpips(a, a) == 0
    with pytest.raises(InputError, match="32 pixels"):
        metrics.lpips(a[:, :20], b[:, :20])


def test_i3d_gives_what_the_published_network_gives():
    from unocclude.networks.i3d import I3D

    rng = np.random.default_rng(6)
    video = torch.tensor(rng.uniform(-1, 1, (1, 3, 9, 224, 224)), dtype=torch.float32)
    model = I3D()
    assert shapes_of(model) == FACTS["i3d"]["names"]
    model.load_state_dict(random_tensors(FACTS["i3d"]["names"]))
    with torch.inference_mode():
        scores = model(video)[0]
    assert scores.shape == (400,)
    assert scores[:8].tolist() == pytest.approx(FACTS["i3d"]["logits"], abs=1e-3)
    assert float(scores.norm()) == pytest.approx(FACTS["i3d"]["norm"], abs=1e-2)


def clip_pairs():
    masks = np.zeros((9, 24, 36), bool)
    masks[:, 4:20, 6:30] = True
    truth = [random_rgba(seed, masks) for seed in (1, 2, 3)]
    pred = [clip.copy() for clip in truth]
    pred[0][:, :12] = 0
    return list(zip(pred, truth, strict=True))


def plain_fvd(pairs, model):
    """The published steps, with the root of the product of covariances taken by scipy."""
    scores = [[], []]
    for pair in pairs:
        for side, clip in zip(scores, pair, strict=True):
            alpha = clip[..., 3:] / 255
            video = torch.tensor(clip[..., :3] * alpha + 255 * (1 - alpha), dtype=torch.float32).permute(0, 3, 1, 2)
            video = functional.interpolate(video, (224, 224), mode="bilinear", align_corners=False)
            with torch.inference_mode():
                side.append(model((2 * video / 255 - 1).transpose(0, 1)[None])[0].double().numpy())
    return sqrtm_frechet(*(np.array(side) for side in scores))


def test_fvd_around_its_network(home, monkeypatch):
    """All but the network, with a quick one in its place that sees every frame and place."""
    weight = torch.tensor(np.random.default_rng(0).normal(size=(7, 3 * 9 * 16)), dtype=torch.float32)

    def quick(video):
        assert video.shape == (1, 3, 9, 224, 224) and video.abs().max() < 1 + 1e-5
        return functional.adaptive_avg_pool3d(video, (9, 4, 4)).flatten(1) @ weight.T

    write_i3d(home / "i3d-kinetics-400")
    monkeypatch.setattr(metrics.frechet, "_load", lambda folder, device: quick)
    pairs = clip_pairs()
    value = metrics.fvd(pairs)
    assert value > 0.01
    assert value == pytest.approx(plain_fvd(pairs, quick), rel=1e-4)
    assert metrics.fvd(pairs[::-1]) == pytest.approx(value)
    assert metrics.fvd([(truth, truth) for _, truth in pairs]) == pytest.approx(0, abs=1e-9)
    assert math.isnan(metrics.fvd(pairs[:1])) and math.isnan(metrics.fvd([]))
    with pytest.raises(InputError, match="at least 9 frames; this one has 8"):
        metrics.fvd([(pairs[0][0][:8], pairs[0][1])])


@pytest.mark.slow
def test_fvd_whole(home):
    from unocclude.networks import i3d

    state = write_i3d(home / "i3d-kinetics-400")
    model = i3d.I3D()
    model.load_state_dict(state)
    pairs = clip_pairs()[:2]
    value = metrics.fvd(pairs)
    assert value > 1
    assert value == pytest.approx(plain_fvd(pairs, model), rel=1e-3)


def test_i3d_loads_its_published_file(home):
    write_i3d(home / "i3d-kinetics-400")
    metrics.frechet._load.cache_clear()
    model = metrics.FVD(device="cpu").model
    expected = random_tensors(FACTS["i3d"]["names"])
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    metrics.frechet._load.cache_clear()


def sqrtm_frechet(x, y):
    from scipy.linalg import sqrtm

    cov = [np.cov(f, rowvar=False) for f in (x, y)]
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov[0] + cov[1] - 2 * np.real(sqrtm(cov[0] @ cov[1])))


def test_frechet_distance_against_sqrtm():
    rng = np.random.default_rng(0)
    for n, m, d in ((200, 150, 6), (60, 50, 20), (40, 40, 1)):
        mix = rng.normal(size=(d, d))
        x, y = rng.normal(size=(n, d)) @ mix + 2, rng.normal(size=(m, d))
        expected = float(np.squeeze(sqrtm_frechet(x, y) if d > 1 else one_dimensional(x, y)))
        assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
        assert metrics.frechet_distance(y, x) == pytest.approx(expected, rel=1e-6)


def one_dimensional(x, y):
    return (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2


def exactly_normal(rng, mean_, cov, n):
    """Samples whose own mean and covariance are exactly these."""
    x = rng.normal(size=(n, len(mean_)))
    x -= x.mean(0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    return white @ np.linalg.cholesky(cov).T + mean_


def test_frechet_distance_of_known_normals():
    rng = np.random.default_rng(1)
    # covariances that commute: |difference of means|² + Σ (√a - √b)²
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    a, b = rng.uniform(0.1, 9, 5), rng.uniform(0.1, 9, 5)
    means = rng.normal(size=(2, 5))
    x, y = (
        exactly_normal(rng, m, turn @ np.diag(v) @ turn.T, n) for m, v, n in zip(means, (a, b), (50, 31), strict=True)
    )
    expected = np.square(means[0] - means[1]).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(x + 3, x) == pytest.approx(5 * 9, rel=1e-9)


def test_frechet_distance_is_safe_with_few_samples():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 400)) * 1e3
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(x, x + 2) == pytest.approx(1600, rel=1e-9)
    # samples that never move have no covariance to share
    still = np.zeros((4, 400))
    assert metrics.frechet_distance(x, still) == pytest.approx(
        np.square(x.mean(0)).sum() + np.square(x - x.mean(0)).sum() / 2, rel=1e-9
    )
    # orthogonal rotation of all features changes nothing
    turn, _ = np.linalg.qr(rng.normal(size=(400, 400)))
    y = rng.normal(size=(5, 400)) * 900
    assert metrics.frechet_distance(x @ turn, y @ turn) == pytest.approx(metrics.frechet_distance(x, y), rel=1e-9)
    assert math.isnan(metrics.frechet_distance(x[:1], x))


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A CLIPModel with random weights, saved as published ones are."""
    transformers = pytest.importorskip("transformers")
    from transformers import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 99, "max_position_embeddings": 16, "projection_dim": 24},
        vision_config={**small, "image_size": 32, "patch_size": 8, "projection_dim": 24},
        projection_dim=24,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def plain_features(folder, rgba):
    """CLIP's features of one frame on white: shorter side to 32 by Pillow's bicubic, middle cut out, CLIP's mean and
    deviation."""
    from PIL import Image
    from transformers import CLIPVisionModelWithProjection

    alpha = rgba[..., 3:] / 255
    image = Image.fromarray(np.round(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(32 * width / short), int(32 * height / short)), Image.Resampling.BICUBIC)
    left, top = (image.width - 32) // 2, (image.height - 32) // 2
    pixels = np.asarray(image, float)[top : top + 32, left : left + 32] / 255
    pixels = (pixels - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    model = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = model(torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None]).image_embeds[0].double()
    return (found / found.norm()).numpy()


def test_clip_similarity_and_temporal_consistency(tiny_clip):
    pred, truth, visible = random_case(3)
    a, b = random_rgba(1, pred), random_rgba(2, truth)
    p, t = ([plain_features(tiny_clip, frame) for frame in stack] for stack in (a, b))
    holds = [pred[i].any() or truth[i].any() for i in range(7)]
    assert not all(holds)
    expected = mean([float(x @ y) for x, y, held in zip(p, t, holds, strict=True) if held])
    assert metrics.clip_similarity(a, b, tiny_clip) == pytest.approx(expected, abs=1e-4)
    assert metrics.clip_similarity(a, a, tiny_clip) == pytest.approx(1)
    consistency = mean([float(x @ y) for x, y in pairwise(p)])
    assert consistency < 0.9999
    assert metrics.temporal_consistency(a, tiny_clip) == pytest.approx(consistency, abs=1e-4)
    assert metrics.temporal_consistency(a[::-1], tiny_clip) == pytest.approx(consistency, abs=1e-4)
    assert metrics.temporal_consistency(np.repeat(a[:1], 3, 0), tiny_clip) == pytest.approx(1)
    assert math.isnan(metrics.temporal_consistency(a[:1], tiny_clip))
    metric = metrics.TemporalConsistency(tiny_clip)
    for i in (0, 1, 4, 5):
        if i == 4:
            metric.gap()
        metric.update(metrics.Frame(pred[i], truth[i], visible[i], a[i], b[i]))
    assert metric.compute() == pytest.approx(float(p[0] @ p[1] + p[4] @ p[5]) / 2, abs=1e-4)
    # over hard frames, pairs whose two frames are hard
    metric = metrics.hard(metrics.TemporalConsistency(tiny_clip))
    is_hard = [t.any() and 2 * v.sum() <= t.sum() for t, v in zip(truth, visible, strict=True)]
    pairs = [float(p[i - 1] @ p[i]) for i in range(1, 7) if is_hard[i - 1] and is_hard[i]]
    for frame in zip(pred, truth, visible, a, b, strict=True):
        metric.update(metrics.Frame(*frame))
    assert same(round(metric.compute(), 4), round(mean(pairs), 4))


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_absent_weights_are_named_in_one_line(home):
    for make, name, file in (
        (metrics.LPIPS, "lpips-alex", "alex.pth"),
        (lambda: metrics.LPIPS("vgg"), "lpips-vgg", "vgg.pth"),
        (metrics.CLIPSimilarity, "clip-vit-base-patch32", "config.json"),
        (metrics.TemporalConsistency, "clip-vit-base-patch32", "preprocessor_config.json"),
        (metrics.FVD, "i3d-kinetics-400", "i3d_pretrained_400.pt"),
    ):
        with pytest.raises(InputError) as error:
            make()
        text = one_line(error)
        assert name in text and file in text and str(home / name) in text and "is missing" in text


def test_wrong_weights_are_named_in_one_line(home):
    folder = write_lpips(home / "lpips-alex", "alex")
    facts = FACTS["lpips-alex"]
    trunk = random_tensors({k: v for k, v in facts["torchvision"].items() if k.startswith("features.")})
    file = folder / features_file("alex")
    for change, said in (
        ({"features.0.weight": None}, "lacks features.0.weight"),
        ({"features.99.weight": torch.zeros(1)}, "has features.99.weight"),
        ({"features.3.bias": torch.zeros(7)}, r"features.3.bias is \(7,\), expected \(192,\)"),
    ):
        torch.save({k: v for k, v in (trunk | change).items() if v is not None}, file)
        metrics.perceptual._load.cache_clear()
        with pytest.raises(InputError, match=said) as error:
            metrics.LPIPS()
        assert str(file) in one_line(error)
    for content in (b"", b"<html>not found</html>"):
        file.write_bytes(content)
        with pytest.raises(InputError, match="not a PyTorch weight file"):
            metrics.LPIPS()
    torch.save([1, 2], file)
    with pytest.raises(InputError, match="tensors by name"):
        metrics.LPIPS()
    file.unlink()
    with pytest.raises(InputError, match=r"is incomplete: put alexnet-owt-\*.pth \(") as error:
        metrics.LPIPS()
    assert " alex.pth" not in one_line(error), "what is there is not asked for"


def test_a_folder_that_is_no_clip_model(tiny_clip, tmp_path):
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((tiny_clip / name).read_bytes())
    with pytest.raises(InputError, match=r"model\*.safetensors or pytorch_model\*.bin") as error:
        metrics.CLIPSimilarity(tmp_path)
    one_line(error)
    state = load_file(tiny_clip / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks visual_projection.weight") as error:
        metrics.CLIPSimilarity(tmp_path)
    one_line(error)
    (tmp_path / "config.json").write_text("{")
    metrics.semantic._load.cache_clear()
    with pytest.raises(InputError, match=r"config\.json is no configuration") as error:
        metrics.CLIPSimilarity(tmp_path)
    one_line(error)


def test_where_weights_lie(tmp_path, monkeypatch, home):
    assert weights.home() == home
    monkeypatch.delenv("UNOCCLUDE_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.platform", "linux")
    assert weights.home() == tmp_path / "cache" / "unocclude" / "weights"
    monkeypatch.setattr("sys.platform", "darwin")
    assert weights.home() == Path("~/Library/Caches/unocclude/weights").expanduser()
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert weights.home() == tmp_path / "local" / "unocclude" / "weights"


def test_find_weights(tmp_path, monkeypatch, home):
    assert weights.resolve_checkpoint(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"neither a folder nor a known checkpoint.*lpips-alex"):
        weights.resolve_checkpoint(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is incomplete"):
        weights.resolve_checkpoint(tmp_path, "lpips-alex")
    # a checkpoint of several parts, as the diffusion methods will have
    parts = (
        weights.Part("segmentation", ("model_index.json", "unet/*.safetensors|unet/*.bin"), "hub.example/a"),
        weights.Part("completion", ("model_index.json",), "hub.example/b"),
    )
    monkeypatch.setitem(weights.CHECKPOINTS, "both", weights.Checkpoint("both", "method m", parts))
    for name in ("segmentation/unet", "completion"):
        (home / "both" / name).mkdir(parents=True)
    (home / "both" / "segmentation" / "model_index.json").touch()
    (home / "both" / "completion" / "model_index.json").touch()
    with pytest.raises(InputError) as error:
        weights.resolve_checkpoint("both")
    text = one_line(error)
    assert text.startswith("method m needs the checkpoint both") and "unet/*.safetensors or unet/*.bin" in text
    assert "into segmentation/" in text and "completion" not in text
    (home / "both" / "segmentation" / "unet" / "x.fp16.safetensors").touch()
    assert weights.resolve_checkpoint("both") == home / "both"
    assert weights.resolve_checkpoint(home / "both", "both") == home / "both"
    assert all(key == checkpoint.id and checkpoint.parts for key, checkpoint in weights.CHECKPOINTS.items())
