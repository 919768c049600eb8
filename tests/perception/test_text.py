"""Words: Grounding DINO, CLIP's choice of tags, SAM 3, and text prompts through the command line."""

import json

import numpy as np
import pytest
from PIL import Image

import unocclude
from support import small_clip, tiny_models
from support.tiny_models import torch
from unocclude import InputError
from unocclude.mask_files import read_masks
from unocclude.perception import grounding_dino
from unocclude.perception.clean_masks import clean
from unocclude.perception.clip_classifier import ClipClassifier
from unocclude.perception.grounding_dino import GroundingDino, caption
from unocclude.perception.prepare import HALF, normalised, resized, shortest_side
from unocclude.perception.sam import Cue, Sam, Sam2
from unocclude.perception.text import Sam3, TextToMask

IMAGE = np.asarray(Image.fromarray(np.random.default_rng(5).integers(0, 256, (5, 8, 3), np.uint8)).resize((60, 40)))


PUBLISHED = grounding_dino.SHORTEST, grounding_dino.LONGEST, grounding_dino.BOX_THRESHOLD, grounding_dino.TEXT_THRESHOLD


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Grounding DINO's rule of resizing at a twelfth of its size."""
    monkeypatch.setattr(grounding_dino, "SHORTEST", 66)
    monkeypatch.setattr(grounding_dino, "LONGEST", 111)


def test_the_published_sizes_and_thresholds():
    assert PUBLISHED == (800, 1333, 0.35, 0.35)


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    return GroundingDino(tiny_models.write_grounding_dino(tmp_path_factory.mktemp("dino")), "cpu")


def test_captions_have_the_published_form():
    assert caption(["Cat", "red Dog "]) == "cat. red dog."
    assert caption(["a cat."]) == caption("A cat") == "a cat."


def test_boxes_phrases_and_scores(dino):
    tokens = dino.tokenizer("red cat. dog.")["input_ids"]
    assert tokens == [101, 5, 6, 1012, 8, 1012, 102]
    pixels = torch.from_numpy(normalised(resized(IMAGE, shortest_side(40, 60, 66, 111))))[None]
    with torch.inference_mode():
        out = dino.model(pixel_values=pixels, **dino.tokenizer("red cat. dog.", return_tensors="pt"))
    chances = out.logits[0].sigmoid().numpy()
    # thresholds between what there is, so that some boxes and some words are left out
    box, text = float(np.median(chances.max(1))), float(np.median(chances[:, 1:7]))
    found = dino(IMAGE, ["Red cat", "dog"], box, text)
    kept = [q for q in range(12) if chances[q].max() > box]
    assert 0 < len(kept) < 12
    np.testing.assert_allclose(found.scores, chances.max(1)[kept], atol=1e-5)
    words = {1: "red", 2: "cat", 4: "dog"}
    for k, q in enumerate(kept):
        x, y, w, h = out.pred_boxes[0, q].numpy() * [60, 40, 60, 40]
        np.testing.assert_allclose(found.boxes[k], [x - w / 2, y - h / 2, x + w / 2, y + h / 2], atol=1e-3)
        assert found.phrases[k] == " ".join(words[t] for t in words if chances[q, t] > text)
    assert len(set(found.phrases)) > 1
    assert len(dino(IMAGE, ["cat"], 1.0).scores) == 0
    assert len(dino(IMAGE, ["cat"] * 400).scores) >= 0  # more than fits is cut off
    with pytest.raises(InputError, match="name the object in words"):
        dino(IMAGE, [" "])


def test_tags_are_chosen_by_cosine(tmp_path):
    folder = tiny_models.write_clip(tmp_path / "clip")
    choose = ClipClassifier(folder, "cpu")
    given = choose(IMAGE, ["cat", "dog", "background"])
    scaled = Image.fromarray(IMAGE).resize((48, 32), Image.Resampling.BICUBIC).crop((8, 0, 40, 32))
    pixels = (np.asarray(scaled) / 255 - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    with torch.inference_mode():
        seen = choose.model.get_image_features(torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32))
        cosines = []
        for tag in ("cat", "dog", "background"):
            tokens = choose.tokenizer(f"a photo of a {tag}", return_tensors="pt")
            assert len(tokens["input_ids"][0]) == 7
            said = choose.model.get_text_features(**tokens)
            cosines.append(float(torch.nn.functional.cosine_similarity(seen.pooler_output, said.pooler_output)))
    wanted = np.exp(100 * (np.array(cosines) - max(cosines)))
    np.testing.assert_allclose(np.log(given), np.log(wanted / wanted.sum()), atol=1e-3)
    assert given.sum() == pytest.approx(1) and len(set(given.tolist())) == 3
    with pytest.raises(InputError, match="no tags"):
        choose(IMAGE, [])


def test_sam3_takes_the_best_instance(tmp_path):
    find = Sam3(tiny_models.write_sam3(tmp_path / "sam3"), "cpu", threshold=0.0)
    given = find(IMAGE, "red cat")
    pixels = torch.from_numpy(normalised(resized(IMAGE, (112, 112)), HALF))[None]
    ids = torch.tensor([[1, 3, 2, 5, 0, 0, 0, 0]])
    with torch.inference_mode():
        out = find.model(pixel_values=pixels, input_ids=ids, attention_mask=torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0]]))
        best = int(out.pred_logits[0].argmax())
        wide = torch.nn.functional.interpolate(out.pred_masks[:, best : best + 1].sigmoid(), (40, 60), mode="bilinear")
    np.testing.assert_array_equal(given, wide[0, 0].numpy() > 0.5)
    assert 0.01 < given.mean() < 0.99
    find.threshold = 1.0
    assert not find(IMAGE, "red cat").any()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home of weights, and what a text prompt needs there, when called."""
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "weights"))

    def fill(*ids):
        write = {
            "grounding-dino-tiny": tiny_models.write_grounding_dino,
            "sam2.1-hiera-large": tiny_models.write_sam2,
            "sam-vit-huge": tiny_models.write_sam,
            "sam3": tiny_models.write_sam3,
        }
        for name in ids:
            write[name](tmp_path / "weights" / name)

    return fill


def test_text_to_mask_is_the_best_box_masked(home):
    home("grounding-dino-tiny", "sam2.1-hiera-large")
    mask = TextToMask("cpu")(IMAGE, "red cat")
    found = GroundingDino(device="cpu")(IMAGE, ["red cat"])
    box = tuple(found.boxes[found.scores.argmax()].tolist())
    np.testing.assert_array_equal(mask, Sam2(device="cpu")(IMAGE, [Cue(boxes=[box])])[0][0])


@pytest.mark.parametrize("size", [(1, 1), (2, 3000), (3000, 1)])
def test_odd_images_do_not_crash(size, dino, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert np.isfinite(dino(image, ["cat"], 0.0).boxes).all()
    assert ClipClassifier(tiny_models.write_clip(tmp_path / "clip"), "cpu")(
        image, ["cat", "dog"]
    ).sum() == pytest.approx(1)
    cues = [Cue(boxes=[(0, 0, 1, 1)]), Cue(points=[(0, 0)]), Cue(mask=np.ones(size))]
    for write, kind in ((tiny_models.write_sam, Sam), (tiny_models.write_sam2, Sam2)):
        masks, scores = kind(write(tmp_path / kind.__name__), "cpu")(image, cues)
        assert masks.shape == (3, *size) and np.isfinite(scores).all()


@pytest.mark.parametrize("verb", ["track", "complete"])
def test_a_text_prompt_through_the_command_line(verb, tmp_path, home, capsys):
    home("grounding-dino-tiny", "sam2.1-hiera-large")
    frames = small_clip.make(tmp_path / "clip") / "frames"
    out = tmp_path / "out"
    more = ["--method", "modal", "--device", "cpu"] if verb == "complete" else []
    args = [verb, frames, "-o", out, "--text", "red cat", "--frame", 2, *more]
    code, _, err = small_clip.run(capsys, *args)
    assert code == 0, err
    info = json.loads((out / ("result.json" if verb == "complete" else "track.json")).read_text())
    assert info["tracker"] == "sam2" and info["arguments"]["prompt"] == {"frame": 2, "text": "red cat"}
    clip = unocclude.open(frames)
    expected = unocclude.track(clip, text="red cat", frame=2, device="cpu")
    used = clean(expected, clip.shots) if verb == "complete" else expected
    assert read_masks(out / "visible_masks").fingerprint == used.fingerprint
    found = TextToMask("cpu")(clip[2], "red cat")
    assert (expected[2] != found).mean() < 0.05 < found.mean()  # SAM 2 gives a mask back at its own resolution
    before = small_clip.contents(out)
    assert small_clip.run(capsys, *args, "--resume")[0] == 0 and small_clip.contents(out) == before


def test_without_sam2_our_own_tracker_follows(tmp_path, home):
    home("grounding-dino-tiny", "sam-vit-huge")
    clip = unocclude.open(small_clip.make(tmp_path / "clip") / "frames")
    track = unocclude.track(clip, text="red cat", device="cpu")
    assert track.origin == "flow+cut" and track.areas[0]


def test_one_picture_needs_no_tracking(tmp_path, home):
    home("grounding-dino-tiny", "sam2.1-hiera-large")
    clip = unocclude.Clip.from_frames([IMAGE])
    mask = TextToMask("cpu")(IMAGE, "cat")
    np.testing.assert_array_equal(unocclude.track(clip, text="cat", device="cpu")[0], mask)


@pytest.mark.parametrize("verb", ["track", "complete"])
def test_without_weights_the_line_that_fetches_them(verb, tmp_path, home, capsys):
    frames = small_clip.make(tmp_path / "clip") / "frames"
    for there in ((), ("sam2.1-hiera-large",)):
        home(*there)
        code, _, err = small_clip.run(capsys, verb, frames, "-o", tmp_path / "out", "--text", "a square")
        assert code == 2 and not (tmp_path / "out").exists()
        small_clip.assert_one_line(err, "`unocclude weights fetch grounding-dino-tiny sam2.1-hiera-large`", "--box")


def test_bad_texts_are_one_line(tmp_path, home, capsys, monkeypatch):
    monkeypatch.setattr(GroundingDino.__call__, "__defaults__", (1.0, 1.0))  # sure of nothing
    home("grounding-dino-tiny", "sam2.1-hiera-large")
    frames = small_clip.make(tmp_path / "clip") / "frames"
    for text, words in (
        ("", ["empty"]),
        (" .,! ", ["empty"]),
        ("cat " * 1250, ["5000 characters"]),
        ("42 cats", ["nothing fits", "42 cats"]),
    ):
        code, _, err = small_clip.run(capsys, "track", frames, "-o", tmp_path / "out", "--text", text)
        assert code == 2 and not (tmp_path / "out").exists(), text
        small_clip.assert_one_line(err, *words)
