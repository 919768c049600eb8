"""Every kind of checkpoint that the recipes save runs through its own path, and what does not fit is refused."""

import json

import numpy as np
import pytest

import unocclude
from support import data_layouts
from support.generative_cases import arrays, completes
from unocclude import InputError
from unocclude.cli import main
from unocclude.clip import Clip
from unocclude.datasets import open_dataset
from unocclude.masks import MaskTrack
from unocclude.media.images import write_png
from unocclude.methods.checkpoint_kind import CheckpointKind, read_kind
from unocclude.methods.inpaint import inpaint
from unocclude.methods.postprocess import paste_back
from unocclude.synthesis import rigid_world, write_world

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
from support.saved_checkpoints import RUNS, save_all  # noqa: E402
from unocclude.methods.diffusion_vas import DiffusionVASPipeline  # noqa: E402
from unocclude.methods.diffusion_vas.videomae import MaskRegressor  # noqa: E402
from unocclude.methods.network_inputs import NetworkInputs, object_framings, tensor  # noqa: E402

torch.set_num_threads(1)
SMALL = {"steps": 2, "threshold": 382}
complete = completes("diffusion-vas", SMALL)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of each recipe, saved by the recipe itself; name -> folder."""
    return save_all(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def world():
    return rigid_world(4, "affine", 6, 96, 72, occluders=["pole"])


@pytest.fixture
def together(saved, tmp_path):
    """Puts a checkpoint of masks and one of content into one folder."""

    def put(segmentation, completion="content"):
        folder = tmp_path / f"{segmentation}-{completion}"
        folder.mkdir()
        (folder / "amodal-segmentation").symlink_to(saved[segmentation])
        (folder / "content-completion").symlink_to(saved[completion])
        return folder

    return put


def scene_of(world):
    return unocclude.scene.Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible))


def inputs_of(world, size=(32, 32)):
    scene = scene_of(world)
    return scene, NetworkInputs(scene, range(6), object_framings(scene, range(6), size, follow=False))


def clips_of(scene, inputs):
    """Every clip that a network can be conditioned on, made one by one."""
    depth = scene.depth(range(6))
    made = {
        "visible": inputs.visible_mask,
        "frames": inputs.frame,
        "objects": inputs.object_on_white,
        "depth": lambda k: inputs.depth(depth, k),
    }
    return {name: [tensor(make(k)) for k in range(6)] for name, make in made.items()}


CONDITIONS = {
    "mask": ["visible"],
    "mask+rgb": ["visible", "frames"],
    "mask+depth": ["visible", "depth"],
    "mask+rgb+depth": ["visible", "frames", "depth"],
    "content": ["objects", "amodal"],
    "one-stage": ["objects", "depth"],
    "3d-unet": ["visible", "depth"],
    "videomae": ["visible"],
}


@pytest.mark.parametrize("name", RUNS)
def test_a_saved_checkpoint_says_what_it_is(saved, name):
    kind = read_kind(saved[name])
    assert kind.recipe == RUNS[name][0] and list(kind.conditions) == CONDITIONS[name]
    assert kind.target == ("wholes" if name in ("content", "one-stage") else "amodal")
    assert kind.one_step == (name in ("3d-unet", "videomae")) and kind.methods == ("diffusion-vas",)
    assert kind.size == (32, 32) and kind.frames == 4 and kind.crop == "object"


def canvas_masks(inputs, masks):
    """Masks (h, w) bool on the canvas, united with what is visible in the network's input."""
    found = []
    for k, mask in enumerate(masks):
        whole = mask | (inputs.visible_mask(k) > 127)
        found.append(inputs.framings[k].uncrop(whole.astype(np.float32)) > 0.5)
    return found


@pytest.mark.parametrize("name", ["mask", "mask+rgb", "mask+depth", "mask+rgb+depth"])
def test_each_network_sees_its_own_conditions(saved, world, name):
    """Masks only: the network alone, in a plain version that names the conditions itself."""
    scene, inputs = inputs_of(world)
    clips = clips_of(scene, inputs)
    pipe = DiffusionVASPipeline.from_pretrained(saved[name])
    pipe.set_progress_bar_config(disable=True)
    frames = pipe(
        *(torch.stack(clips[clip])[None] for clip in CONDITIONS[name]), num_inference_steps=2, window=4, overlap=3,
        generator=torch.Generator().manual_seed(3),
    ).frames[0].numpy()  # fmt: skip
    masks = canvas_masks(inputs, (255 * frames).round().sum(-1) > 382)
    found = complete(world, saved[name], seed=3, content="inpaint")
    for i in range(6):
        amodal = masks[i] | world.visible[i]
        assert np.array_equal(found.amodal_masks[i], amodal)
        colour = inpaint(world.frames[i], world.visible[i], masks[i])
        inside = amodal & (found.rgba[i][..., 3] == 255)
        assert np.array_equal(found.rgba[i][inside][:, :3], colour[inside])


def test_a_regressor_predicts_once_and_not_from_noise(saved, world):
    """3D-UNet: zeros in place of noise, time 0, every frame attends to the embeddings of its window."""
    scene, inputs = inputs_of(world)
    clips = clips_of(scene, inputs)
    pipe = DiffusionVASPipeline.from_pretrained(saved["3d-unet"])
    seen = [torch.stack(clips[name]) for name in ("visible", "depth")]
    with torch.no_grad():
        encoded = torch.cat([pipe.vae.encode(clip).latent_dist.mode() for clip in seen], 1)
        from unocclude.methods.diffusion_vas.pipeline import PerFrameEmbeddings, clip_embeddings

        embeddings = clip_embeddings(pipe.image_encoder, pipe.feature_extractor, seen[0], torch.device("cpu"))
        inputs_ = torch.cat([torch.zeros_like(encoded[:, :4]), encoded], 1)[None]
        rows = PerFrameEmbeddings(torch.stack([embeddings] * 6))
        ids = torch.tensor([[7.0, 127.0, 0.02]])
        latents = pipe.unet(inputs_, torch.tensor(0.0), rows, added_time_ids=ids).sample[0]
        frames = pipe.vae.decode(latents / pipe.vae.config.scaling_factor, num_frames=6).sample
    frames = (frames / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    masks = canvas_masks(inputs, (255 * frames).round().sum(-1) > 382)
    results = [complete(world, saved["3d-unet"], content="inpaint", window=6, seed=seed) for seed in (0, 1)]
    for i in range(6):
        assert np.array_equal(results[0].amodal_masks[i], masks[i] | world.visible[i])
    assert np.array_equal(arrays(results[0])[1], arrays(results[1])[1]), "a regressor has no seed"


def test_videomae_takes_its_own_frames(saved, world):
    """Six frames by a network of four: windows 0-3 and 1-4 ... blended as logits, with weights 1 2 2 1."""
    scene, inputs = inputs_of(world)
    clip = torch.stack(clips_of(scene, inputs)["visible"])
    network = MaskRegressor.from_pretrained(saved["videomae"])
    total, weights = torch.zeros(6, 32, 32), torch.zeros(6, 1, 1)
    share = torch.tensor([1.0, 2.0, 2.0, 1.0]).view(4, 1, 1)
    with torch.no_grad():
        for start in (0, 1, 2):
            total[start : start + 4] += share * network(clip[None, start : start + 4])[0]
            weights[start : start + 4] += share
    masks = canvas_masks(inputs, (total / weights > 0).numpy())
    found = complete(world, saved["videomae"], content="inpaint")
    for i in range(6):
        assert np.array_equal(found.amodal_masks[i], masks[i] | world.visible[i])
    short = complete(world, saved["videomae"], frames=world.frames[:3], visible=world.visible[:3], content="inpaint")
    assert len(short) == 3


def test_one_stage_draws_masks_and_content_together(saved, world):
    scene, inputs = inputs_of(world)
    clips = clips_of(scene, inputs)
    pipe = DiffusionVASPipeline.from_pretrained(saved["one-stage"])
    pipe.set_progress_bar_config(disable=True)
    frames = pipe(
        *(torch.stack(clips[name])[None] for name in ("objects", "depth")), num_inference_steps=2, window=4, overlap=3,
        generator=torch.Generator().manual_seed(0),
    ).frames[0].numpy()  # fmt: skip
    for white in (0.9, 0.5):
        rounded = (255 * frames).round().astype(np.uint8) / 255
        masks = canvas_masks(inputs, rounded.min(-1) < white)
        found = complete(world, saved["one-stage"], white=white)
        for i in range(6):
            assert np.array_equal(found.amodal_masks[i], masks[i] | world.visible[i])


@pytest.mark.parametrize("name", ["mask", "mask+rgb+depth", "3d-unet", "videomae"])
def test_any_masks_go_with_any_content(together, world, name):
    folder = together(name)
    found = arrays(complete(world, folder))
    masks = arrays(complete(world, folder, content="inpaint"))
    assert np.array_equal(found[0], masks[0]) and not np.array_equal(found[1], masks[1])


def test_given_masks_go_straight_to_content(saved, together, world, tmp_path):
    (tmp_path / "masks").mkdir()
    for i, mask in enumerate(world.amodal):
        write_png(tmp_path / "masks" / f"{i:05d}.png", mask.astype(np.uint8) * 255)
    alone = complete(world, saved["content"], amodal_masks=str(tmp_path / "masks"))
    for i in range(6):
        assert np.array_equal(alone.amodal_masks[i], world.amodal[i] | world.visible[i])
    beside = complete(world, together("mask"), amodal_masks=str(tmp_path / "masks"))
    assert np.array_equal(arrays(alone)[1], arrays(beside)[1])
    scene, inputs = inputs_of(world)
    whole = [tensor((f.crop(m | v) > 127) * np.uint8(255))
             for f, m, v in zip(inputs.framings, world.amodal, world.visible, strict=True)]  # fmt: skip
    pipe = DiffusionVASPipeline.from_pretrained(saved["content"])
    pipe.set_progress_bar_config(disable=True)
    objects = torch.stack(clips_of(scene, inputs)["objects"])[None]
    frames = pipe(objects, torch.stack(whole)[None], num_inference_steps=2, window=4, overlap=3,
                  generator=torch.Generator().manual_seed(0)).frames[0].numpy()  # fmt: skip
    for i in range(6):
        mask = inputs.framings[i].crop(world.amodal[i] | world.visible[i]) > 127
        colour = paste_back(inputs.framings[i], mask, (255 * frames[i]).round().astype(np.uint8))[1]
        hidden = world.amodal[i] & ~world.visible[i] & (alone.rgba[i][..., 3] == 255)
        assert np.array_equal(alone.rgba[i][hidden][:, :3], colour[hidden])
    (tmp_path / "masks" / "00005.png").unlink()
    with pytest.raises(InputError, match="5 amodal masks for 6 frames"):
        complete(world, saved["content"], amodal_masks=str(tmp_path / "masks"))


REFUSED = [
    ("mask", {}, "predicts amodal masks only; set content=inpaint"),
    ("videomae", {}, "predicts amodal masks only; set content=inpaint"),
    ("content", {}, "predicts content only; give amodal_masks=PATH"),
    ("one-stage", {"content": "inpaint"}, "one-stage checkpoint.*leave out content=inpaint"),
    ("one-stage", {"draws": 3}, "draws is 3, but no amodal mask is sampled"),
    ("3d-unet", {"content": "inpaint", "hypotheses": 2}, "3d-unet gives one result.*leave out --hypotheses"),
    ("videomae", {"content": "inpaint", "draws": 2}, "videomae predicts without noise; set draws=1"),
]


@pytest.mark.parametrize(("name", "options", "said"), REFUSED)
def test_what_a_checkpoint_cannot_do_is_refused(saved, world, name, options, said, tmp_path):
    with pytest.raises(InputError, match=said) as error:
        complete(world, saved[name], **options)
    assert "\n" not in str(error.value)


def test_a_checkpoint_in_the_wrong_place_or_of_another_method_is_refused(saved, together, world, tmp_path, capsys):
    with pytest.raises(InputError, match=r"recipe vas-content, which predicts content; move it to content-completion/"):
        complete(world, together("content"))
    write_world(world, tmp_path / "clip")
    args = ["complete", str(tmp_path / "clip/frames"), "--masks", str(tmp_path / "clip/visible_masks")]
    args += ["-o", str(tmp_path / "out"), "--weights", str(saved["mask"]), "--method"]
    for method in ("tgvac", "ic-amodal", "open-world", "pix2gestalt", "cogvideox-amodal"):
        assert main([*args, method]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "recipe vas-mask" in said and "--method diffusion-vas" in said
    assert main([*args, "diffusion-vas"]) == 2 and not (tmp_path / "out").exists()


def test_channels_that_are_not_those_of_the_kind(saved, world, tmp_path):
    import shutil

    folder = tmp_path / "checkpoint"
    shutil.copytree(saved["mask"], folder)
    read_kind(saved["mask+depth"]).write(folder)
    with pytest.raises(InputError, match="visible, depth, which take 12 input channels, but the network has 8"):
        complete(world, folder, content="inpaint")
    for text, said in (('{"recipe": 3}', "kind.json: recipe"), ("[]", "no configuration")):
        (folder / "kind.json").write_text(text)
        with pytest.raises(InputError, match=said):
            complete(world, folder, content="inpaint")


def test_a_checkpoint_of_amodal_crops_needs_boxes(saved, world, tmp_path):
    import shutil

    shutil.copytree(saved["mask"], tmp_path / "cropped")
    kind = read_kind(saved["mask"]).model_copy(update={"crop": "amodal"})
    CheckpointKind.model_validate(kind.model_dump()).write(tmp_path / "cropped")
    with pytest.raises(InputError, match=r"trained on crops to amodal boxes; give them with boxes=FILE.json"):
        complete(world, tmp_path / "cropped", content="inpaint")


def test_size_and_window_are_those_of_training_unless_set(saved, world):
    used = complete(world, saved["mask"], content="inpaint").info["method"]["options"]
    assert (used["pixels"], used["window"], used["framing"]) == (0, 4, "object")
    used = complete(world, saved["mask"], content="inpaint", window=6, framing="follow").info["method"]["options"]
    assert (used["window"], used["framing"]) == (6, "follow")


def test_bench_runs_them(saved, world, tmp_path):
    write_world(world, tmp_path / "data" / "world")
    args = ["bench", f"one={tmp_path / 'data'}", "-o", str(tmp_path / "out"), "--methods", "diffusion-vas", "--quiet"]
    sets = ["--set", "diffusion-vas.content=inpaint", "--weights", f"diffusion-vas={saved['videomae']}"]
    assert main([*args, *sets]) == 0
    asked = json.loads((tmp_path / "out" / "bench.json").read_text())["asked"]
    assert asked["methods"]["diffusion-vas"]["window"] == 4


def test_masks_can_be_cut_off_after_resizing(saved, world):
    """As on TAO-Amodal: the decoded masks are resized to the frame, then the sum of their channels is cut off."""
    scene, inputs = inputs_of(world)
    clip = torch.stack(clips_of(scene, inputs)["visible"])[None]
    pipe = DiffusionVASPipeline.from_pretrained(saved["mask"])
    pipe.set_progress_bar_config(disable=True)
    for fps in (8, 2):
        frames = pipe(
            clip, num_inference_steps=2, window=4, overlap=3, fps=fps, generator=torch.Generator().manual_seed(0)
        ).frames[0].numpy()  # fmt: skip
        found = complete(world, saved["mask"], content="inpaint", binarise="after", fps=fps)
        for i in range(6):
            sums = inputs.framings[i].uncrop((255 * frames[i]).round().sum(-1).astype(np.float32))
            assert np.array_equal(found.amodal_masks[i], (sums > 382) | world.visible[i])
    before = arrays(complete(world, saved["mask"], content="inpaint", fps=2))[0]
    assert not np.array_equal(arrays(found)[0], before)
    assert not np.array_equal(before, arrays(complete(world, saved["mask"], content="inpaint"))[0])


def test_bench_uses_the_settings_of_the_released_evaluation(saved, tmp_path):
    entries = {"tao": data_layouts.tao_amodal(tmp_path / "tao"), "sail": data_layouts.sail_vos(tmp_path / "sail")}
    args = ["bench", *(f"{name}={entry}" for name, entry in entries.items()), "-o", str(tmp_path / "out"), "--quiet"]
    args += ["--methods", "published=diffusion-vas,mine=diffusion-vas", "--set", "mine.fps=5"]
    args += ["--set", "diffusion-vas.content=inpaint", "--set", "diffusion-vas.steps=1"]
    assert main([*args, "--weights", f"diffusion-vas={saved['mask']}"]) == 0
    used = {}
    for path in (tmp_path / "out" / "runs").rglob("result.json"):
        options = json.loads(path.read_text())["method"]["options"]
        used[path.parts[-4], path.parts[-2]] = (options["framing"], options["fps"], options["binarise"])
    assert used == {
        ("tao", "published"): ("squeeze", 2, "after"),
        ("sail", "published"): ("squeeze", 8, "before"),
        ("tao", "mine"): ("squeeze", 5, "after"),
        ("sail", "mine"): ("squeeze", 5, "before"),
    }


def test_bench_crops_each_clip_to_its_true_boxes(saved, tmp_path):
    """Boxes of TAO-Amodal as they are; those of SAIL-VOS from its amodal masks."""
    entries = {"tao": data_layouts.tao_amodal(tmp_path / "tao"), "sail": data_layouts.sail_vos(tmp_path / "sail")}
    args = ["bench", *(f"{name}={entry}" for name, entry in entries.items()), "-o", str(tmp_path / "out"), "--quiet"]
    args += ["--table", "vas-8", "--methods", "Amodal-cropped", "--set", "Amodal-cropped.steps=1"]
    assert main([*args, "--weights", f"diffusion-vas={saved['mask']}"]) == 0
    for name, entry in entries.items():
        (sample,) = open_dataset(entry)
        if name == "tao":
            boxes = [[x, y, x + w, y + h] for x, y, w, h in sample.truth.boxes.tolist()]
        else:
            found = [np.nonzero(mask) for mask in sample.truth.amodal]
            boxes = [[int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1] for y, x in found]
        (tmp_path / "boxes.json").write_text(json.dumps(boxes))
        options = {"content": "inpaint", "boxes": str(tmp_path / "boxes.json"), "steps": 1}
        expected = unocclude.complete(
            sample.clip, sample.visible, method="diffusion-vas", weights=str(saved["mask"]), pictures=False,
            options=sample.options["diffusion-vas"] | options, pad=sample.pad,
        )  # fmt: skip
        (run,) = (tmp_path / "out" / "runs" / name).glob("*/Amodal-cropped")
        assert np.array_equal(arrays(unocclude.Completion(run))[0], arrays(expected)[0])


def test_a_regressor_beside_a_sampler_in_one_top_k_bench(saved, world, tmp_path):
    write_world(world, tmp_path / "data" / "world")
    args = ["bench", f"one={tmp_path / 'data'}", "-o", str(tmp_path / "out"), "--quiet", "--hypotheses", "2"]
    args += ["--methods", "VideoMAE=diffusion-vas,Ours=diffusion-vas", "--set", "diffusion-vas.content=inpaint"]
    args += ["--weights", f"VideoMAE={saved['videomae']}", "--weights", f"Ours={saved['mask']}"]
    assert main([*args, "--set", "Ours.steps=1"]) == 0
    state = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert list(state["top_k"]["one"]) == ["Ours"] and len(state["top_k"]["one"]["Ours"]["miou"]) == 2
