"""Random masks and frames for the tests of metrics."""

import math

import cv2
import numpy as np
import pytest


def pixels(mask):
    return {(y, x) for y in range(mask.shape[0]) for x in range(mask.shape[1]) if mask[y, x]}


def mean(values):
    return sum(values) / len(values) if values else math.nan


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, abs=1e-9)


def blobs(rng, count, height=20, width=26, share=0.5):
    """Smooth random masks, so that erosion leaves something."""
    stack = []
    for _ in range(count):
        noise = cv2.GaussianBlur(rng.random((height, width)), (0, 0), 3)
        stack.append(noise > np.quantile(noise, 1 - share))
    return np.array(stack)


def random_case(seed):
    rng = np.random.default_rng(seed)
    truth = blobs(rng, 7)
    visible = truth & ~blobs(rng, 7, share=0.3)
    pred = (truth & ~blobs(rng, 7, share=0.2)) | visible | blobs(rng, 7, share=0.1)
    visible[2] = truth[2]  # nothing hidden
    pred[3] = visible[3]  # a miss
    truth[4] = visible[4] = False  # no object, false prediction
    truth[5] = visible[5] = pred[5] = False  # nothing at all
    visible[6] = False  # fully hidden
    return pred, truth, visible


def random_rgba(seed, masks):
    """Smooth random appearance inside the masks, (T, H, W, 4) uint8."""
    rng = np.random.default_rng(seed)
    noise = np.array([cv2.GaussianBlur(rng.random((*mask.shape, 3)), (0, 0), 2) for mask in masks])
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return np.concatenate([(noise * 255 * masks[..., None]), 255 * masks[..., None]], -1).astype(np.uint8)
