"""Reasoning segmentation with LISA, run locally on its published weights or on a server.

Both classes take an image (H, W, 3) uint8 RGB and a question or description, and return a mask (H, W) bool, empty if
the answer segments nothing, and the answer as text.
"""

import base64
import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError, UnoccludeError
from unocclude.media.images import encode_png
from unocclude.net import ERRORS, open_url
from unocclude.networks import device_for
from unocclude.perception.prepare import longest_side, normalised, resized
from unocclude.perception.text_prompt import LISA as DEFAULT
from unocclude.perception.text_prompt import check_text

MAX_TOKENS = 512
"""Maximum length of an answer, as published."""

BEFORE = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions. USER:"
)
AFTER = " ASSISTANT:"
"""The text before and after image and question in LISA's training (LLaVA's template v1)."""
START, END, SEG = "<im_start>", "<im_end>", "[SEG]"


class Lisa:
    """LISA (Lai et al., CVPR 2024) with greedy decoding, so answers are deterministic.

    weights: the id of the checkpoint, or a folder in its published format with CLIP ViT-L/14 in `vision_tower`. Raises
    InputError if the checkpoint is missing or does not match.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("LISA", device, transformers=True, extra="diffusion")
        if not (folder / "tokenizer.json").is_file() and importlib.util.find_spec("sentencepiece") is None:
            raise InputError(f"{folder}/tokenizer.model needs sentencepiece; install it with pip install sentencepiece")
        from transformers import CLIPImageProcessorPil, LlamaTokenizer

        from unocclude.networks.lisa import load
        from unocclude.networks.loading import checked_loading, dtype_for

        with checked_loading(folder, "LISA"):
            self.tokenizer = LlamaTokenizer.from_pretrained(folder, local_files_only=True)
        known = self.tokenizer.get_vocab()
        if lacking := [token for token in (SEG, START, END) if token not in known]:
            raise InputError(f"{folder} does not hold a LISA: its tokenizer lacks {lacking[0]}")
        self.dtype = dtype_for(self.device)
        self.network = load(folder, self.dtype).to(self.device)
        side = self.network.tower.config.image_size
        self.eye = CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )  # CLIP's own mean, deviation and bicubic filter are its defaults

    def __call__(self, image: np.ndarray, query: str) -> tuple[np.ndarray, str]:
        """The mask of the first [SEG] token in the answer, and the answer."""
        import torch

        check_text(query)
        before, after = self.tokens(query)
        pixels = self.eye(_middle(image), return_tensors="pt")["pixel_values"].to(self.device, self.dtype)
        seg, end = self.tokenizer.convert_tokens_to_ids(SEG), self.tokenizer.eos_token_id
        with torch.inference_mode():
            said, prompt = self.network.say(pixels, before, after, seg, end, MAX_TOKENS)
            mask = np.zeros(image.shape[:2], bool) if prompt is None else self._mask(image, prompt)
        return mask, clean(self.tokenizer.decode(said, skip_special_tokens=True))

    def tokens(self, query: str) -> tuple[list[int], list[int]]:
        """Tokens of the prompt before and after those of the image.

        As in the published environment, white space next to the image tokens is dropped, and the text after them starts
        a new word.
        """

        def of(text: str) -> list[int]:
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

        start, end = self.tokenizer.convert_tokens_to_ids([START, END])
        return [self.tokenizer.bos_token_id, *of(BEFORE), start], [end, *of(query.lstrip() + AFTER)]

    def _mask(self, image: np.ndarray, prompt: Any) -> np.ndarray:
        """Decode the mask (H, W) bool. SAM gets the image scaled by its longer side and padded right and below."""
        import torch
        from torch.nn.functional import interpolate

        side = self.network.sam.config.vision_config.image_size
        height, width = longest_side(image.shape[0], image.shape[1], side)
        picture = torch.zeros(1, 3, side, side)
        picture[..., :height, :width] = torch.from_numpy(
            normalised(resized(np.ascontiguousarray(image), (height, width)))
        )
        logits = self.network.point(picture.to(self.device, self.dtype), prompt).float()
        square = interpolate(logits, (side, side), mode="bilinear", align_corners=False)[..., :height, :width]
        wide = interpolate(square, image.shape[:2], mode="bilinear", align_corners=False)
        return np.asarray((wide[0, 0] > 0).cpu().numpy())


def _middle(image: np.ndarray, most: int = 8) -> np.ndarray:
    """Centre crop of an image to an aspect ratio of at most `most`.

    The vision tower uses only the centre square, but its preprocessing scales the whole image, so a line of pixels
    would become gigabytes.
    """
    reach = most * min(image.shape[:2])
    top, left = (max(0, (length - reach) // 2) for length in image.shape[:2])
    return np.ascontiguousarray(image[top : top + reach, left : left + reach])


def clean(answer: str) -> str:
    """Put an answer on one line."""
    return " ".join(answer.split())


class LisaServer:
    """A LISA server: `LISA/app.py` of saraao/amodal (commit 4f6edb2), a Gradio 3 interface.

    url: the address of the server; redirects are refused. timeout: total time for an answer in seconds. Raises
    InputError unless the address is http(s).
    """

    def __init__(self, url: str = "http://127.0.0.1:7860/", timeout: float = 600):
        if not re.fullmatch(r"https?://[^/\s\x00-\x20]+\S*", url):
            raise InputError(f"{url!r} is no address of a LISA server; give one such as http://127.0.0.1:7860/")
        self.url, self.timeout = url.rstrip("/"), timeout

    def __call__(self, image: np.ndarray, query: str) -> tuple[np.ndarray, str]:
        """Mask and answer. Raises InputError if the server would refuse the query or does not respond, UnoccludeError
        if it fails."""
        check_text(query)
        if refused := re.search(r"[^A-Za-z ,.!?'\"]", query):
            raise InputError(
                f"LISA's server accepts only letters, spaces and , . ! ? ' \", not {refused[0]!r}; rephrase the query"
            )
        picture = base64.b64encode(encode_png(image)).decode()
        answer = self._ask([query, f"data:image/png;base64,{picture}"], image.size)
        return self.read(self.given(answer), image.shape[:2])

    def read(self, data: list[Any], size: tuple[int, ...]) -> tuple[np.ndarray, str]:
        """Parse mask and answer from the outputs of the Gradio function.

        Raises InputError if the outputs are not those of LISA's app, UnoccludeError if the mask is invalid.
        """
        if len(data) != 3 or not isinstance(data[1], dict) or not isinstance(data[2], str):
            raise InputError(f"{self.url} returns no mask; it must run the LISA/app.py of github.com/saraao/amodal")
        mask = self._mask(data[1].get("data"), size)
        if mask.shape != size:
            raise UnoccludeError(f"{self.url} answered with a mask of shape {mask.shape} for {size}")
        # its own spelling
        return mask, clean(data[2].removeprefix("ASSITANT:").replace("</s>", ""))

    def _mask(self, rows: Any, size: tuple[int, ...]) -> np.ndarray:
        """Parse a mask from rows of true and false; an empty list is an empty mask."""
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise UnoccludeError(f"{self.url} answered with a mask that is no list of rows")
        if any(not isinstance(value, bool) for row in rows for value in row):
            raise UnoccludeError(f"{self.url} answered with a mask with values other than true and false")
        if len({len(row) for row in rows}) > 1:
            raise UnoccludeError(f"{self.url} answered with a mask whose rows differ in length")
        mask = np.array(rows, bool)
        return mask if mask.size else np.zeros(size, bool)

    def given(self, answer: bytes) -> list[Any]:
        """The outputs of the Gradio function in an answer; raises InputError if the answer is not Gradio's."""
        try:
            given = json.loads(answer)["data"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{self.url} is not a LISA server; give another address") from error
        return given if isinstance(given, list) else []

    def _ask(self, data: list[str], values: int) -> bytes:
        """Send inputs to the Gradio function and return the answer. values: number of values in the image."""
        body = json.dumps({"data": data}).encode()
        request = Request(f"{self.url}/api/predict", body, {"Content-Type": "application/json"})
        most = (1 << 20) + 16 * values  # the image as base64 PNG, and "false, " for every pixel of the mask
        try:
            with open_url(request, self.timeout) as response:
                answer = response.read(most + 1)
        except HTTPError as error:
            if 300 <= error.code < 400:
                raise InputError(
                    f"{self.url} sends on to another address, which is not followed; give that address"
                ) from error
            raise UnoccludeError(
                f"LISA's server {self.url} failed on this query ({error.code}); see its log"
            ) from error
        except TimeoutError as error:
            raise UnoccludeError(f"LISA's server {self.url}: {error}; see its log, or try again") from error
        except ERRORS as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split())
            raise InputError(
                f"no LISA server answers at {self.url}: {reason}; start one, or give another address"
            ) from error
        if len(answer) > most:
            raise UnoccludeError(f"{self.url} answered with more than {most} bytes; is it LISA's server?")
        return answer
