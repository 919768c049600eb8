"""IC-Amodal from the command line, on a tiny FLUX-Fill checkpoint in the published format."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

import unocclude
from support.development_data import clip_folder, clip_names
from support.generative_cases import arrays
from support.small_clip import make, run
from unocclude import InputError
from unocclude.cli import main
from unocclude.clip import Clip
from unocclude.completion import GENERATED, SEEN, Completion
from unocclude.masks import MaskTrack
from unocclude.methods import get_method
from unocclude.methods.base import RunSettings
from unocclude.methods.ic_amodal.frame_selection import choose_collaborator, choose_exemplar
from unocclude.methods.ic_amodal.inputs import FrameInput, ShotInputs
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.methods.recall import Recall, RecallOptions
from unocclude.scene import Scene
from unocclude.synthesis import rigid_world

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_flux_fill import write_flux_fill  # noqa: E402
from unocclude.methods.ic_amodal.completer import ALONE, BESIDE  # noqa: E402
from unocclude.methods.ic_amodal.grid import Grid, SubImage  # noqa: E402
from unocclude.methods.ic_amodal.pipeline import FillJob, GridFiller, plan  # noqa: E402

torch.set_num_threads(1)
SMALL = {"steps": 2, "cell": 32, "text_tokens": 8}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_flux_fill(tmp_path_factory.mktemp("weights") / "fill", shards=2)


@pytest.fixture(scope="module")
def world():
    return rigid_world(4, "affine", 6, 96, 72, occluders=["pole"])


def complete(weights, frames, visible, method="ic-amodal-plus", **options):
    kind = {key: options.pop(key) for key in ("seed", "hypotheses", "pad", "occluders") if key in options}
    clip, track = Clip.from_frames(frames), MaskTrack.from_masks(visible)
    return unocclude.complete(
        clip, track, method=method, options=SMALL | options, weights=str(weights), pictures=False, **kind
    )


@pytest.fixture(scope="module")
def whole(weights, world):
    """What it does by default."""
    return arrays(complete(weights, world.frames, world.visible))


@pytest.fixture(scope="module")
def passed():
    """A clip in which something hides the object now and then."""
    return rigid_world(5, "affine", 14, 96, 72, occluders=["pole"])


@pytest.fixture(scope="module")
def of_passed(weights, passed):
    return complete(weights, passed.frames, passed.visible, steps=1)


def report(result):
    return result.info["method"]["report"]


def sheet_of(rng, rows=2, columns=2, size=(16, 24)):
    cell = lambda hole=None: SubImage(rng.integers(0, 256, (*size, 3), np.uint8), hole)  # noqa: E731
    hole = np.zeros(size, bool)
    hole[3:12, 5:20] = True
    cells = [cell() for _ in range(rows * columns - 1)] + [cell(hole)]
    return Grid([cells[r * columns : (r + 1) * columns] for r in range(rows)])


def published(weights, grid, seed, prompt, steps=2, strength=1.0):
    """diffusers' own pipeline on a grid's picture and hole, (H, W, 3) uint8."""
    from diffusers import FluxFillPipeline

    pipeline = FluxFillPipeline.from_pretrained(weights, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    height, width = grid.hole.shape
    image = pipeline(
        prompt=prompt, image=Image.fromarray(grid.picture), mask_image=Image.fromarray(grid.hole),
        height=height, width=width, num_inference_steps=steps, guidance_scale=30.0, strength=strength,
        max_sequence_length=8, generator=torch.Generator().manual_seed(seed),
    ).images[0]  # fmt: skip
    return np.asarray(image)


@pytest.mark.parametrize(("shape", "strength"), [((1, 1), 1.0), ((2, 2), 1.0), ((2, 2), 0.5)])
def test_unmodulated_it_is_the_published_pipeline(weights, shape, strength):
    grid = sheet_of(np.random.default_rng(1), *shape)
    expected = published(weights, grid, 7, "a cat", 4, strength)
    for options in ({}, {"lambda_up": 1, "lambda_down": 1}):
        settings = SMALL | {"steps": 4, "strength": strength, "recall": True} | options
        generator = GridFiller.from_folder(weights, ICAmodalOptions(**settings), "cpu")
        found = generator.fill([FillJob(grid, 7, modulated=bool(options) and shape == (2, 2))], "a cat")[0]
        assert np.abs(found.astype(int) - expected).max() <= 1
    assert generator.calls == 1
    assert np.abs(generator.fill([FillJob(grid, 8)], "a cat")[0].astype(int) - expected).max() > 10
    assert expected.std() > 10


@pytest.mark.parametrize("options", [{}, {"queries": "hole"}, {"blocks": "all"}, {"mode": "unnormalised"}])
def test_modulation_moves_the_completion(weights, options):
    grid = sheet_of(np.random.default_rng(2))

    def fill(**kind):
        generator = GridFiller.from_folder(weights, ICAmodalOptions(**SMALL, **kind), "cpu")
        return generator.fill([FillJob(grid, 0, modulated=True)], "a cat")[0].astype(int)

    plain, modulated = fill(lambda_up=1, lambda_down=1), fill(lambda_up=8, lambda_down=0.1, **options)
    assert np.abs(plain - modulated).max() > 3
    if options:
        assert np.abs(fill(lambda_up=8, lambda_down=0.1) - modulated).max() > 0


@pytest.mark.parametrize("reuse", [False, True])
def test_jobs_do_not_depend_on_each_other(weights, reuse):
    rng = np.random.default_rng(3)
    grids = [sheet_of(rng) for _ in range(3)]
    top = grids[0].rows[0]
    jobs = [FillJob(Grid([top, grid.rows[1]]), 5, modulated=True) for grid in grids]
    exemplar = FillJob(Grid([top, top]), 5) if reuse else None
    generator = GridFiller.from_folder(weights, ICAmodalOptions(**SMALL), "cpu")
    together = generator.fill(jobs, "", exemplar)
    alone = [generator.fill([job], "", exemplar)[0] for job in jobs]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert not np.array_equal(together[0], together[1])
    whole = generator.fill(jobs[:1], "")[0]
    assert np.array_equal(whole, together[0]) != reuse


def test_the_exemplar_is_the_best_frame_and_its_collaborator_the_next_far_enough():
    assert choose_exemplar([3, 9, 9, 1]) == 1 and choose_exemplar([0, 0]) is None
    areas = [5, 6, 10, 9, 8, 0, 0, 4, 3, 7]
    assert choose_collaborator(areas, 2, 0.0) == 3
    assert choose_collaborator(areas, 2, 0.2) == 4
    assert choose_collaborator(areas, 2, 0.3) == 9
    assert choose_collaborator(areas, 2, 1.0) == 9  # no frame is as far: the farthest
    assert choose_collaborator([0, 4, 3, 0, 0, 0], 1, 0.9) == 2
    assert choose_collaborator([0, 4, 0], 1) is None and choose_collaborator([4], 0) is None


def test_the_silhouette_hangs_together_with_what_is_known(world, weights):
    scene = Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))
    cells = ShotInputs(scene, range(6), 32, 4, "white")
    hole, known = np.zeros((32, 40), bool), np.zeros((32, 40), bool)
    known[10:20, 5:10], hole[8:24, 10:38] = True, True
    picture = np.full((32, 40, 3), 255, np.uint8)
    picture[10:20, 5:20] = 40  # goes on into the hole
    picture[10:20, 26:34] = 40  # apart from it
    picture[0:4] = 0  # outside the hole
    blank = np.zeros((32, 40, 3), np.uint8)
    ask = lambda known: FrameInput(None, blank, known, blank, hole)  # noqa: E731
    found = cells.object_mask(picture, ask(known))
    assert found[10:20, 5:19].all() and not found[:, 24:].any() and not found[:6].any()
    found = cells.object_mask(picture, ask(np.zeros_like(known)))
    assert found[11:19, 11:19].all() and not found[:, 24:].any()
    white = np.full_like(picture, 255)
    assert np.array_equal(cells.object_mask(white, ask(known)), known)


@pytest.mark.parametrize(("colour", "ground"), [((250, 250, 240), 0), ((5, 9, 0), 255), ((255, 0, 0), 0)])
def test_the_background_colour_is_unlike_the_object(colour, ground):
    visible = np.zeros((40, 60), bool)
    visible[10:30, 20:40] = True
    frame = np.where(visible[..., None], colour, (120, 130, 110)).astype(np.uint8)
    scene = Scene(Clip.from_frames([frame] * 3), MaskTrack.from_masks([visible] * 3))
    chosen = ShotInputs(scene, range(3), 32, 4, "auto").ground
    assert chosen == ground or (colour[0] == 255 and chosen in (0, 127, 255))
    assert np.abs(np.array(colour) - chosen).max() >= 127


def plain_version(weights, world, ablation):
    """The paper's rows a1 to a3 with diffusers' own pipeline: amodal masks and colours of all frames."""
    scene = Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))
    cells = ShotInputs(scene, range(6), 32, 4, "auto")
    asks = [cells.frame_input(result, take=False) for result in Recall(RecallOptions()).complete(scene)]
    alone, beside = ALONE.format("object"), BESIDE.format("object")
    areas = np.array([mask.sum() for mask in world.visible])
    best = int(areas.argmax())
    far = [k for k in range(6) if abs(k - best) >= 2]
    other = max(far, key=lambda k: areas[k])
    by_itself = lambda ask: published(weights, Grid([[SubImage(ask.object_image, ask.hole)]]), 0, alone)  # noqa: E731
    first = asks[best]
    if ablation == "a3":
        pair = Grid([[SubImage(asks[k].frame), SubImage(asks[k].object_image, asks[k].hole)] for k in (best, other)])
        exemplar = pair.sub_image(published(weights, pair, 0, beside), 2)
    else:
        exemplar = by_itself(first)
    masks, colours = [], []
    for k, ask in enumerate(asks):
        if k == best:
            answer = exemplar
        elif ablation == "a1":
            answer = by_itself(ask)
        else:
            grid = Grid(
                [
                    [SubImage(first.frame), SubImage(exemplar)],
                    [SubImage(ask.frame), SubImage(ask.object_image, ask.hole)],
                ]
            )
            answer = grid.sub_image(published(weights, grid, 0, beside), 4)
        silhouette = cells.object_mask(answer, ask).astype(np.float32)
        grown = (cells.framing.uncrop(silhouette) > 0.5) & scene.completion_mask(k)
        masks.append(grown | world.visible[k])
        colours.append(cells.framing.uncrop(answer))
    return masks, colours


@pytest.mark.parametrize("ablation", ["a1", "a2", "a3", "full"])
def test_each_row_of_the_ablation_is_its_plain_version(weights, world, ablation):
    one = {"lambda_up": 1, "lambda_down": 1} if ablation == "full" else {}
    found = complete(weights, world.frames, world.visible, ablation=ablation, **one)
    masks, colours = plain_version(weights, world, "a3" if ablation == "full" else ablation)
    for i in range(6):
        assert (found.amodal_masks[i] ^ masks[i]).mean() < 1e-3
        inside = masks[i] & ~world.visible[i] & (found.rgba[i][..., 3] == 255)
        assert inside.sum() > 100
        difference = np.abs(found.rgba[i][inside][:, :3].astype(int) - colours[i][inside])
        assert difference.max() <= 2 and colours[i][inside].std() > 5
    assert report(found)["generator_calls"] == 6
    assert found.info["method"]["options"]["ablation"] == ablation


def test_modulation_is_what_full_adds(weights, world, whole):
    assert not np.array_equal(whole[1], arrays(complete(weights, world.frames, world.visible, ablation="a3"))[1])


def test_with_blending_visible_pixels_stay(world, whole):
    amodal, rgba, provenance = whole
    visible = np.stack(world.visible)
    assert (amodal | visible == amodal).all() and (provenance[visible] == SEEN).all()
    assert set(np.unique(provenance[amodal & ~visible])) == {GENERATED}
    opaque = visible & (rgba[..., 3] == 255)
    assert np.array_equal(rgba[opaque][:, :3], np.stack(world.frames)[opaque]) and opaque.sum() > 0.5 * visible.sum()


def test_without_blending_all_is_generated(weights, world, whole):
    plain, plus = arrays(complete(weights, world.frames, world.visible, "ic-amodal")), whole
    visible = np.stack(world.visible)
    assert np.array_equal(plain[0], plus[0])
    assert (plain[2][plain[0]] == GENERATED).all()
    hidden = plain[0] & ~visible & (plain[1][..., 3] == 255) & (plus[1][..., 3] == 255)
    assert np.array_equal(plain[1][hidden], plus[1][hidden])
    assert not np.array_equal(plain[1][visible], plus[1][visible])


def test_a_seed_decides_and_hypotheses_are_seeds(weights, world, whole):
    several = complete(weights, world.frames, world.visible, hypotheses=2)
    assert all(np.array_equal(a, b) for a, b in zip(arrays(several), whole, strict=True))
    other = arrays(complete(weights, world.frames, world.visible, seed=1))
    assert np.array_equal(arrays(several.hypotheses[1])[1], other[1]) and not np.array_equal(other[1], whole[1])
    assert report(several)["generator_calls"] == 12


@pytest.mark.parametrize("options", [{}, {"reuse": True}, {"recall": True, "strength": 0.5}])
def test_starting_later_gives_the_same_tail(weights, world, whole, options):
    if options:
        whole = arrays(complete(weights, world.frames, world.visible, **options))
    method = get_method("ic-amodal-plus")
    scene = Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))
    tail = list(method(method.Options(**SMALL, **options), RunSettings(weights=str(weights))).complete(scene, 4))
    assert [result.index for result in tail] == [4, 5]
    assert np.array_equal([result.rgba for result in tail], whole[1][4:])
    assert np.array_equal([result.provenance for result in tail], whole[2][4:])


def test_an_interrupted_run_goes_on(weights, tmp_path, monkeypatch, capsys):
    clip = make(tmp_path / "clip")
    args = ["complete", clip / "frames", "--masks", clip / "visible_masks", "--method", "ic-amodal-plus",
            "--weights", weights, *(f"--set={key}={value}" for key, value in SMALL.items()), "--quiet"]  # fmt: skip
    assert run(capsys, *args, "-o", tmp_path / "whole")[0] == 0
    from unocclude.methods.ic_amodal.completer import ICAmodalCompleter

    result = ICAmodalCompleter._result

    def failing(self, cells, ask, completed):
        assert ask.index != 4
        return result(self, cells, ask, completed)

    monkeypatch.setattr(ICAmodalCompleter, "_result", failing)
    assert run(capsys, *args, "-o", tmp_path / "parts")[0] == 1
    monkeypatch.undo()
    assert run(capsys, *args, "-o", tmp_path / "parts", "--resume")[0] == 0
    whole, parts = (Completion(tmp_path / name) for name in ("whole", "parts"))
    assert all(np.array_equal(a, b) for a, b in zip(arrays(whole), arrays(parts), strict=True))
    assert parts.info["resumed_at"] == 4
    assert set(report(parts)["calls_by_frame"]) <= {"4", "5"} < set(report(whole)["calls_by_frame"]) | {"4", "5"}


def test_what_is_not_occluded_is_not_generated(weights):
    world = rigid_world(5, "affine", 8, 96, 72, occluders=[])
    assert all(np.array_equal(a, v) for a, v in zip(world.amodal, world.visible, strict=True))
    result = complete(weights, world.frames, world.visible, "ic-amodal")
    assert report(result)["generator_calls"] == 0 and report(result)["calls_by_frame"] == {}
    assert all(np.array_equal(result.amodal_masks[i], world.visible[i]) for i in range(8))


def test_frames_that_something_hides_are_generated_alone(passed, of_passed):
    rates = [1 - v.sum() / a.sum() for v, a in zip(passed.visible, passed.amodal, strict=True)]
    told = report(of_passed)
    generated = {int(i) for i in told["calls_by_frame"]} | {e["frame"] for e in told["exemplars"] if e["generated"]}
    assert {i for i, rate in enumerate(rates) if rate > 0.04} <= generated
    assert generated <= {i for i, rate in enumerate(rates) if rate > 0.003} and 0 < len(generated) < 14
    for i in set(range(14)) - generated:
        assert of_passed.frames[i]["provenance"]["generated"] == 0


def test_the_users_occluders_decide_for_a_still(weights, world):
    frame, visible = world.frames[0], world.visible[0]
    none = MaskTrack.from_masks([np.zeros_like(visible)])
    result = complete(weights, [frame], [visible], occluders=none)
    assert report(result)["generator_calls"] == 0 and np.array_equal(result.amodal_masks[0], visible)
    occluder = world.amodal[0] & ~visible
    result = complete(weights, [frame], [visible], occluders=MaskTrack.from_masks([occluder]))
    assert report(result)["generator_calls"] == 1
    assert not (result.amodal_masks[0] & ~visible & ~occluder).any() and result.amodal_masks[0].sum() > visible.sum()


def test_a_still_has_no_collaborator_and_says_so(weights, world):
    result = complete(weights, world.frames[:1], world.visible[:1])
    assert report(result)["generator_calls"] == 1
    (told,) = report(result)["exemplars"]
    assert told["frame"] == 0 and told["collaborator"] is None and "by itself" in told["note"]


def hidden_clip(world):
    visible = [mask.copy() for mask in world.visible]
    frames = [frame.copy() for frame in world.frames]
    for i in (2, 3):
        frames[i][world.amodal[i]] = (20, 200, 20)
        visible[i][:] = False
    return frames, visible


@pytest.mark.parametrize("options", [{}, {"reuse": True}, {"ablation": "a1"}, {"recall": True}])
def test_a_hidden_frame_is_all_generated(weights, options):
    world = rigid_world(5, "affine", 8, 96, 72, occluders=[])
    frames, visible = hidden_clip(world)
    result = complete(weights, frames, visible, **options)
    for i in (2, 3):
        assert SEEN not in result.provenance[i]
        assert result.amodal_masks[i].any()
        if not options.get("recall"):
            assert set(np.unique(result.provenance[i])) == {0, GENERATED}


@pytest.mark.parametrize(("count", "size"), [(1, (61, 37)), (3, (37, 90))])
def test_odd_sizes_at_the_border(weights, count, size):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]
    visible = [np.zeros(size, bool) for _ in range(count)]
    for k, mask in enumerate(visible):
        mask[0 : 9 + k, -8:] = True
    for pad in (0.0, 0.25):
        result = complete(weights, frames, visible, pad=pad)
        x, y = result.info["canvas"]["offset"]
        for k in range(count):
            assert result.amodal_masks[k][y : y + size[0], x : x + size[1]][visible[k]].all()
        assert result.amodal_masks[0].shape == (size[0] + 2 * y, size[1] + 2 * x)


def test_nothing_is_made_of_a_shot_without_the_object(weights, world, monkeypatch):
    monkeypatch.setattr(Clip, "shots", property(lambda self: [range(3), range(3, 6)]))
    visible = world.visible[:3] + [np.zeros((72, 96), bool)] * 3
    result = complete(weights, world.frames, visible)
    assert all(not result.amodal_masks[i].any() for i in range(3, 6)) and result.amodal_masks[1].any()
    assert len(report(result)["exemplars"]) == 1


def test_recall_first_leaves_less_to_generate(weights, passed, of_passed):
    first = complete(weights, passed.frames, passed.visible, recall=True)
    assert report(first)["generator_calls"] < report(of_passed)["generator_calls"]
    recalled = sum(frame["provenance"]["recalled"] for frame in first.frames)
    assert recalled > sum(frame["provenance"]["generated"] for frame in first.frames)
    scene = Scene(Clip.from_frames(passed.frames), MaskTrack.from_masks(passed.visible))
    for i, own in enumerate(Recall(RecallOptions()).complete(scene)):
        assert np.array_equal(first.amodal_masks[i], own.amodal)
        same = (first.provenance[i] > 0) & (first.provenance[i] < GENERATED)
        visible, kernel = scene.visible(i).astype(np.uint8), np.ones((5, 5), np.uint8)
        at_edge = cv2.dilate(visible, kernel) > cv2.erode(visible, kernel, borderValue=1)
        same &= ~at_edge  # recall replaces mixed pixels of the visible edge
        assert np.array_equal(first.rgba[i][same], own.rgba[same])


def test_what_it_lacks_is_said_in_one_line(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))
    clip = make(tmp_path / "clip")
    args = ["complete", str(clip / "frames"), "-o", str(tmp_path / "out"), "--masks", str(clip / "visible_masks")]
    assert main([*args, "--method", "ic-amodal"]) == 2
    said = capsys.readouterr().err
    assert "FLUX.1-Fill-dev" in said and "24 GB" in said and said.count("\n") == 1 and not (tmp_path / "out").exists()
    assert main(["methods"]) == 0
    assert "ic-amodal-plus" in capsys.readouterr().out
    broken = shutil.copytree(weights, tmp_path / "broken")
    config = json.loads((broken / "transformer" / "config.json").read_text())
    index = json.loads((broken / "transformer" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    lost = (broken / "transformer" / sorted(set(index["weight_map"].values()))[0]).unlink
    (broken / "transformer" / "config.json").write_text(json.dumps(config | {"num_layers": 3}))
    assert main([*args, "--method", "ic-amodal", "--weights", str(broken)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert "lacks transformer_blocks.2" in said[0] and len(said) == 1
    (broken / "transformer" / "config.json").write_text(json.dumps(config))
    lost()
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert main([*args, "--method", "ic-amodal", "--weights", str(broken)]) == 2


def test_the_prompt_is_the_users_or_a_caption(weights, world, monkeypatch, tmp_path):
    from unocclude import weights as checkpoints
    from unocclude.perception import caption

    told = lambda **kind: report(complete(weights, world.frames, world.visible, steps=1, **kind))["prompts"]  # noqa: E731
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    assert told() == ["object"] and told(prompt="red car") == ["red car"]
    monkeypatch.setattr(checkpoints, "is_present", lambda name: name == caption.DEFAULT)
    monkeypatch.setattr(caption, "Captioner", lambda device: lambda picture: f"a picture of {picture.ndim} axes")
    assert told() == ["a picture of 3 axes"]


def test_options_that_do_not_go_together():
    method = get_method("ic-amodal")
    with pytest.raises(InputError, match="add --set recall=true"):
        method(method.Options(strength=0.5))
    with pytest.raises(InputError, match="ablation=a1"):
        method(method.Options(reuse=True, ablation="a1"))


def test_memory_is_planned_for():
    gib = 1 << 30
    assert plan(24 * gib, "auto", "auto") == ("float8", "model")
    assert plan(32 * gib, "auto", "auto") == ("full", "model")
    assert plan(80 * gib, "auto", "auto") == ("full", "none")
    assert plan(24 * gib, "full", "sequential") == ("full", "sequential")


def test_weights_may_rest_in_eight_bits(weights):
    grid = sheet_of(np.random.default_rng(4))
    full, eight = (
        GridFiller.from_folder(weights, ICAmodalOptions(**SMALL, storage=s), "cpu") for s in ("full", "float8")
    )
    assert eight.pipeline.transformer.transformer_blocks[0].attn.to_q.weight.dtype == torch.float8_e4m3fn
    a, b = (g.fill([FillJob(grid, 0, modulated=True)], "")[0].astype(int) for g in (full, eight))
    assert 0 < np.abs(a - b).mean() < 12


@pytest.mark.slow
@pytest.mark.parametrize("name", clip_names("composites", "real"))
def test_whole_clips(name, weights, tmp_path):
    clip = clip_folder(name, tmp_path / "clip")
    args = ["complete", str(clip / "frames"), "-o", str(tmp_path / "out"), "--masks", str(clip / "visible_masks")]
    settings = [f"--set={key}={value}" for key, value in (SMALL | {"steps": 1}).items()]
    assert main([*args, "--method", "ic-amodal-plus", "--weights", str(weights), *settings, "--quiet"]) == 0
    result = Completion(tmp_path / "out")
    assert report(result)["generator_calls"] <= len(result) + 1
    for i, mask in enumerate(result.visible_masks):
        opaque = mask & (result.rgba[i][..., 3] == 255)
        assert (result.provenance[i][mask] == SEEN).all()
        assert np.array_equal(result.rgba[i][opaque][:, :3], unocclude.open(clip / "frames")[i][opaque])
