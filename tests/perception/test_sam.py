"""SAM and SAM 2: tiny ones in the published formats, against transformers' own way of calling them."""

import numpy as np
import pytest
from PIL import Image

from support import tiny_models
from support.tiny_models import SAM2_SIDE, torch, transformers
from unocclude import Clip, InputError
from unocclude.perception.prepare import longest_side, normalised
from unocclude.perception.prompt import Cue
from unocclude.perception.sam import TOGETHER, Sam, Sam2
from unocclude.perception.sam2_video import Sam2Video

rng = np.random.default_rng(3)
IMAGE = np.asarray(Image.fromarray(rng.integers(0, 256, (5, 8, 3), np.uint8)).resize((60, 40)))
MASK = np.zeros((40, 60), bool)
MASK[10:20, 5:30] = True


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    return Sam(tiny_models.write_sam(tmp_path_factory.mktemp("sam")), "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.write_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def sam2(folder):
    return Sam2(folder, "cpu")


@pytest.fixture(scope="module")
def video(folder):
    return Sam2Video(folder, "cpu")


CUES = [
    Cue(boxes=[(5, 5, 30, 30)]),
    Cue(points=[(10, 10)]),
    Cue(points=[(10, 10), (40, 30)], labels=[True, False]),
    Cue(mask=MASK),
    Cue(boxes=[(10, 0, 50, 30)]),
    Cue(points=[(3, 3)], boxes=[(0, 0, 9, 9)]),
]


def test_sam_as_transformers_runs_it(sam):
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    prepare = SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16}, mask_pad_size={"height": 16, "width": 16},
    )  # fmt: skip
    processor = transformers.SamProcessor(prepare)
    for image in (IMAGE, IMAGE.transpose(1, 0, 2).copy()):
        for cue, prompt in (
            (Cue(boxes=[(5, 5, 30, 30)]), {"input_boxes": [[[5.0, 5.0, 30.0, 30.0]]]}),
            (
                Cue(points=[(10, 10), (30, 30)], labels=[True, False]),
                {"input_points": [[[10.0, 10.0], [30.0, 30.0]]], "input_labels": [[1, 0]]},
            ),
        ):
            inputs = processor(images=image, return_tensors="pt", **prompt)
            sizes = [inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")]
            floats = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
            with torch.inference_mode():
                out = sam.model(**floats, multimask_output=False)
            wanted = prepare.post_process_masks(out.pred_masks, *sizes)[0][0, 0].numpy()
            masks, scores = sam(image, [cue])
            assert 0.02 < wanted.mean() < 0.98
            np.testing.assert_array_equal(masks[0], wanted)
            assert scores[0] == pytest.approx(float(out.iou_scores), abs=1e-5)


def test_sam2_as_transformers_runs_it(sam2):
    small = np.asarray(Image.fromarray(IMAGE).resize((SAM2_SIDE, SAM2_SIDE), Image.Resampling.BILINEAR))
    pixels = (small / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    pixels = torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32)
    box = torch.tensor([[[5 * SAM2_SIDE / 60, 5 * SAM2_SIDE / 40, 30 * SAM2_SIDE / 60, 30 * SAM2_SIDE / 40]]])
    with torch.inference_mode():
        out = sam2.model(pixel_values=pixels, input_boxes=box, multimask_output=False)
        wide = torch.nn.functional.interpolate(out.pred_masks[0], (SAM2_SIDE,) * 2, mode="bilinear")
        wanted = torch.nn.functional.interpolate(wide, (40, 60), mode="bilinear")[0, 0].numpy() > 0
    masks, scores = sam2(IMAGE, [Cue(boxes=[(5, 5, 30, 30)])])
    assert 0.02 < wanted.mean() < 0.98
    np.testing.assert_array_equal(masks[0], wanted)
    assert scores[0] == pytest.approx(float(out.iou_scores), abs=1e-5)


@pytest.mark.parametrize("which", ["sam", "sam2"])
def test_cues_together_give_what_they_give_alone(which, request):
    segment = request.getfixturevalue(which)
    cues = CUES + [Cue(boxes=[(k, k, k + 9, k + 9)]) for k in range(TOGETHER + 3)]
    masks, scores = segment(IMAGE, cues)
    assert masks.shape == (len(cues), 40, 60) and masks.dtype == bool and scores.dtype == np.float32
    for k, cue in enumerate(cues):
        alone, score = segment(IMAGE, [cue])
        assert (alone[0] != masks[k]).mean() < 0.005, k  # batched sums differ in the last bit
        assert score[0] == pytest.approx(scores[k], abs=1e-4)
    assert len({mask.tobytes() for mask in masks[:6]}) == 6
    assert segment(IMAGE, [])[0].shape == (0, 40, 60)


@pytest.mark.parametrize("which", ["sam", "sam2"])
def test_a_mask_says_more_than_its_box(which, request):
    segment = request.getfixturevalue(which)
    holed = MASK.copy()
    holed[12:18, 10:25] = False
    same_box = [Cue(mask=MASK), Cue(mask=holed), Cue(boxes=[(5, 10, 30, 20)])]
    _, scores = segment(IMAGE, same_box)
    assert len(set(scores.tolist())) == 3


def test_one_point_takes_the_best_of_three(sam):
    with torch.inference_mode():
        embedding = sam.model.get_image_embeddings(sam._pixels(IMAGE, longest_side(40, 60, 64)))
        out = sam.model(
            image_embeddings=embedding,
            input_points=torch.tensor([[[[10 * 64 / 60, 12 * 43 / 40]]]]),
            input_labels=torch.tensor([[[1]]]),
        )
    assert out.iou_scores.shape[-1] == 3
    assert sam(IMAGE, [Cue(points=[(10, 12)])])[1][0] == pytest.approx(float(out.iou_scores.max()), abs=1e-3)


def test_bad_cues_are_refused(video):
    with pytest.raises(InputError, match="the mask is empty"):
        Cue(mask=np.zeros((4, 4)))
    with pytest.raises(InputError, match="2 labels for 1 points"):
        Cue(points=[(1, 1)], labels=[True, False])
    clip = moving(3)
    for objects, words in (
        ([{}], "marks no object"),
        ([{1: Cue(points=[(1, 1)], labels=[False])}], "marks no object"),
        ([{3: Cue(points=[(1, 1)])}], "frame 3 does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            video(clip, objects)
    assert video(clip, []) == []


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    for kind, name in ((Sam, "sam-vit-huge"), (Sam2, "sam2.1-hiera-large"), (Sam2Video, "sam2.1-hiera-large")):
        with pytest.raises(InputError, match=rf"{name}.*is missing"):
            kind()


class Counted:
    """Frames of a picture that moves, and how often each was read."""

    height, width, fps = 40, 60, 10.0

    def __init__(self, count):
        self.times = [i / self.fps for i in range(count)]
        self.read_frames = []

    def __len__(self):
        return len(self.times)

    def read(self, i):
        self.read_frames.append(i)
        return np.roll(IMAGE, (i, 2 * i), (0, 1))


def moving(count):
    return Clip(Counted(count), cache_bytes=0)


def as_transformers_runs_it(model, clip, cues):
    """All frames in memory at once, nothing ever forgotten: the documented way."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    frames = [np.asarray(Image.fromarray(f).resize((SAM2_SIDE,) * 2, Image.Resampling.BILINEAR)) for f in clip]
    pixels = np.stack([normalised(frame) for frame in frames])  # rounded as ours, so that masks agree to the pixel
    session = Sam2VideoInferenceSession(
        video=torch.from_numpy(pixels),
        video_height=40,
        video_width=60,
        dtype=torch.float32,
    )
    masks = {}
    with torch.inference_mode():
        for i, cue in cues.items():
            index = session.obj_id_to_idx(1)
            if cue.mask is not None:
                mask = torch.nn.functional.interpolate(
                    torch.tensor(cue.mask).float()[None, None], (SAM2_SIDE,) * 2, mode="bilinear", antialias=True
                )
                session.add_mask_inputs(index, i, (mask >= 0.5).float())
            else:
                x0, y0, x1, y1 = np.array(cue.bounds) * np.tile([SAM2_SIDE / 60, SAM2_SIDE / 40], 2)
                corners = torch.tensor([[[[x0, y0], [x1, y1]]]], dtype=torch.float32)
                labels = torch.tensor([[[2, 3]]], dtype=torch.int32)
                session.add_point_inputs(index, i, {"point_coords": corners, "point_labels": labels})
            session.obj_with_new_inputs = [1]
            model(session, frame_idx=i)
        for reverse in (False, True):
            for out in model.propagate_in_video_iterator(session, start_frame_idx=min(cues), reverse=reverse):
                wide = torch.nn.functional.interpolate(out.pred_masks, (40, 60), mode="bilinear")
                masks[out.frame_idx] = wide[0, 0].numpy() > 0
    return np.stack([masks[i] for i in range(len(clip))])


@pytest.mark.parametrize(
    "cues",
    [
        {0: Cue(boxes=[(5, 5, 30, 30)])},
        {9: Cue(mask=MASK)},
        {4: Cue(boxes=[(5, 5, 30, 30)]), 13: Cue(mask=MASK)},
    ],
    ids=["a box", "a mask in the middle", "both"],
)
def test_video_as_transformers_runs_it(video, cues):
    clip = moving(16)
    told = []
    track = video(clip, [cues], lambda done, total: told.append((done, total)))[0]
    wanted = as_transformers_runs_it(video.model, clip, cues)
    assert 0.01 < wanted.mean() < 0.99 and len({mask.tobytes() for mask in wanted}) > 8
    for i, cue in cues.items():  # a given mask is kept, and not what is left of it at the network's size
        wanted[i] = wanted[i] if cue.mask is None else cue.mask
    np.testing.assert_array_equal(np.stack(list(track)), wanted)
    assert track.origin == "sam2" and told[-1] == (16, 16) and [d for d, _ in told] == sorted(d for d, _ in told)


def test_objects_do_not_disturb_each_other(video):
    clip = moving(8)
    first, second = {2: Cue(boxes=[(5, 5, 30, 30)])}, {5: Cue(mask=MASK)}
    together = video(clip, [first, second])
    for track, cues in zip(together, (first, second), strict=True):
        assert track.fingerprint == video(clip, [cues])[0].fingerprint
    assert together[0].fingerprint != together[1].fingerprint


def test_a_correction_changes_what_comes_after_it(video):
    clip = moving(12)
    start = {3: Cue(boxes=[(5, 5, 30, 30)])}
    plain = video(clip, [start])[0]
    corrected = video(clip, [{**start, 7: Cue(points=[(40, 30), (10, 10)], labels=[False, True])}])[0]
    same = [bool((plain[i] == corrected[i]).all()) for i in range(12)]
    assert all(same[3:6]) and not same[6] and not same[7] and not all(same[8:])  # 6 is nearer to 7 than to 3


def test_a_correction_before_the_start_reaches_both_ways(video):
    clip = moving(12)
    start = {8: Cue(boxes=[(5, 5, 30, 30)])}
    plain = video(clip, [start])[0]
    corrected = video(clip, [{**start, 4: Cue(points=[(40, 30), (10, 10)], labels=[False, True])}])[0]
    same = [bool((plain[i] == corrected[i]).all()) for i in range(12)]
    assert all(same[6:]) and not any(same[4:6]) and not all(same[:4])


def test_hidden_frames_are_empty_and_masks_are_kept(video):
    clip = moving(8)
    track = video(clip, [{1: Cue(boxes=[(5, 5, 30, 30)]), 4: Cue(hidden=True), 6: Cue(mask=MASK)}])[0]
    assert not track[4].any() and track.confidence[[4, 6]].tolist() == [1, 1]
    np.testing.assert_array_equal(track[6], MASK)
    assert ((track.confidence >= 0) & (track.confidence <= 1)).all() and len(set(track.confidence.tolist())) > 3


def test_a_mask_with_points_is_segmented_on_its_own(video, sam2):
    clip = moving(4)
    cue = Cue(mask=MASK, points=[(2, 2), (30, 20)], labels=[True, False])
    mask = sam2(clip[1], [cue])[0][0]
    mask[2, 2] = True
    assert video(clip, [{1: cue}])[0].fingerprint == video(clip, [{1: Cue(mask=mask)}])[0].fingerprint


def test_memory_does_not_grow_with_the_clip(video):
    clip = moving(40)
    follower = video._followers(clip, [{10: Cue(boxes=[(5, 5, 30, 30)])}])[0]
    most = 0
    for i in [*range(10, 40), *range(9, -1, -1)]:
        follower.step(i, i < 10)
        outputs = follower.session.output_dict_per_obj[0]
        most = max(most, len(outputs["non_cond_frame_outputs"]))
        assert list(outputs["cond_frame_outputs"]) == [10]
        assert not any("high_res_masks" in out for kept in outputs.values() for out in kept.values())
    assert most <= 4 * follower.reach  # around the start, and behind the frame
    assert len(follower.session.cache._vision_features) == 1
    reads = clip._source.read_frames
    assert len(reads) <= 42 and set(reads) == set(range(40))  # each frame once, the first one twice
