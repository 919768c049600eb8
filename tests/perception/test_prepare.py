"""Resizing and normalisation against transformers' Pillow processors with the published settings."""

import numpy as np
import pytest
from PIL import Image

from unocclude.perception.prepare import CLIP, centre_crop, longest_side, normalised, resized, shortest_side

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = [(60, 41), (41, 60), (33, 33), (7, 50), (300, 97)]


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def test_normalisation_against_the_documented_values():
    image = picture(5, 7)
    for colours, documented in (
        ((), [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]),
        ((CLIP,), [(0.48145466, 0.26862954), (0.4578275, 0.26130258), (0.40821073, 0.27577711)]),
    ):
        given = normalised(image, *colours)
        assert given.shape == (3, 5, 7) and given.dtype == np.float32
        for channel, (mean, deviation) in enumerate(documented):
            np.testing.assert_allclose(given[channel], (image[..., channel] / 255 - mean) / deviation, atol=1e-5)
        np.testing.assert_allclose(normalised(image / 255, *colours), given, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_clip_as_its_processor_does(size):
    prepare = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 30}, crop_size=30, image_mean=CLIP[0], image_std=CLIP[1]
    )
    wanted = prepare(picture(*size), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(normalised(centre_crop(picture(*size), 30), CLIP), wanted, atol=1e-5)


@pytest.mark.parametrize("size", SIZES[:3])
def test_grounding_dino_as_its_processor_does(size):
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    prepare = GroundingDinoImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 67}, do_pad=False)
    wanted = prepare(picture(*size), return_tensors="np")["pixel_values"][0]
    given = normalised(resized(picture(*size), shortest_side(*size, 40, 67)))
    np.testing.assert_allclose(given, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("frame", "network"),
    [
        # get_size_with_aspect_ratio of DETR and Grounding DINO, size 800, max_size 1333
        ((480, 640), (800, 1066)),
        ((640, 480), (1066, 800)),
        ((1080, 1920), (750, 1333)),
        ((1000, 300), (1333, 400)),
        ((800, 800), (800, 800)),
        ((1, 1), (800, 800)),
        ((2, 5000), (1, 2500)),
    ],
)
def test_shorter_side_800_longer_1333(frame, network):
    assert shortest_side(*frame, 800, 1333) == network


@pytest.mark.parametrize("size", SIZES)
def test_sam_as_its_processor_does(size):
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    prepare = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    out = prepare(picture(*size), return_tensors="np")
    assert tuple(out["reshaped_input_sizes"][0]) == longest_side(*size, 64)
    given = normalised(resized(picture(*size), longest_side(*size, 64)))
    np.testing.assert_allclose(given, out["pixel_values"][0][:, : given.shape[1], : given.shape[2]], atol=1e-5)


def test_filters_are_pillows():
    image = picture(20, 30)
    for name in ("BILINEAR", "BICUBIC", "NEAREST", "LANCZOS"):
        wanted = np.asarray(Image.fromarray(image).resize((11, 9), getattr(Image.Resampling, name)))
        np.testing.assert_array_equal(resized(image, (9, 11), name), wanted)
