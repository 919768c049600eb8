"""LISA: names, prompts, answers and masks of the published source; and a server that talks as Gradio 3.39 does."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from unocclude import InputError
from unocclude.errors import UnoccludeError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

from PIL import Image  # noqa: E402

from support.tiny_ports import published, write_lisa  # noqa: E402
from unocclude.networks import lisa  # noqa: E402
from unocclude.perception import reason  # noqa: E402
from unocclude.perception.reason import Lisa, LisaServer  # noqa: E402

IMAGE_TOKEN = -200


def test_every_published_name_has_its_place():
    names = published("lisa")["names"]
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in names.items()}
        sam = {name.removeprefix(lisa.SAM): value for name, value in state.items() if name.startswith(lisa.SAM)}
        config = lisa.sam_config(sam)
        expected = transformers.SamModel(config).state_dict()
        llama = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                hidden_size=5120,
                intermediate_size=13824,
                num_hidden_layers=40,
                num_attention_heads=40,
                vocab_size=32003,
            )
        ).state_dict()
    renamed = {lisa.sam_name(name): value.shape for name, value in sam.items()}
    twice = expected.pop("shared_image_embedding.positional_embedding")
    assert renamed == {name: value.shape for name, value in expected.items()}
    assert renamed["prompt_encoder.shared_embedding.positional_embedding"] == twice.shape
    vision = config.vision_config
    assert (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads) == (1280, 32, 16)
    assert (vision.window_size, vision.global_attn_indexes) == (14, [7, 15, 23, 31])
    assert (vision.image_size, vision.patch_size, vision.mlp_dim) == (1024, 16, 5120)
    rest = {name: value.shape for name, value in state.items() if not name.startswith(lisa.SAM)}
    shared = {name: shape for name, shape in rest.items() if name in llama}
    assert shared == {name: value.shape for name, value in llama.items()}
    assert {name: tuple(shape) for name, shape in rest.items() if name not in llama and "inv_freq" not in name} == {
        f"{lisa.EYE}weight": (5120, 1024), f"{lisa.EYE}bias": (5120,),
        f"{lisa.SEG}0.weight": (5120, 5120), f"{lisa.SEG}0.bias": (5120,),
        f"{lisa.SEG}2.weight": (256, 5120), f"{lisa.SEG}2.bias": (256,),
    }  # fmt: skip


def test_answer_and_mask_are_the_published_ones(tmp_path):
    tiny = published("lisa")["tiny"]
    network = lisa.load(write_lisa(tmp_path), torch.float32)
    rng = np.random.default_rng(3)
    image, picture = (torch.tensor(rng.standard_normal((1, 3, n, n)), dtype=torch.float32) for n in (32, 64))
    at = tiny["tokens"].index(IMAGE_TOKEN)
    with torch.inference_mode():
        said, prompt = network.say(image, tiny["tokens"][:at], tiny["tokens"][at + 1 :], 330, 2, 8)
        logits = network.point(picture, prompt)
        square = torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear")[..., :48, :64]
        mask = torch.nn.functional.interpolate(square, (30, 40), mode="bilinear")[0, 0]
    assert said == tiny["said"]
    np.testing.assert_allclose(mask, tiny["mask"], atol=1e-5)


@pytest.mark.parametrize("model_file", [False, True])
def test_prompts_are_the_published_ones(tmp_path, model_file):
    if model_file:
        pytest.importorskip("sentencepiece")
    model = Lisa(write_lisa(tmp_path, model_file=model_file), "cpu")
    prompts = published("lisa")["prompts"]
    assert len(prompts) > 3
    for query, tokens in prompts.items():
        before, after = model.tokens(query)
        assert [*before, IMAGE_TOKEN, *after] == tokens
    assert model.tokens(" \n  the 2 cups") == model.tokens("the 2 cups")


def pointing(folder, strength=1.0, **options):
    """A checkpoint that likes, or never says, [SEG]."""
    tiny = published("lisa")["tiny"]
    from support.tiny_ports import random_tensors

    head = random_tensors(tiny["names"], tiny["seed"])["lm_head.weight"]
    head[330] *= strength
    return write_lisa(folder, lm_head__weight=head, **options)


def picture(seed=0, height=45, width=60):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_mask_of_an_image(tmp_path, monkeypatch):
    monkeypatch.setattr(reason, "MAX_TOKENS", 16)
    model = Lisa(pointing(tmp_path, 3.0), "cpu")
    query = "the cat behind the plant"
    mask, text = model(picture(), query)
    assert mask.shape == (45, 60) and mask.dtype == bool and 0.02 < mask.mean() < 0.98
    assert "[SEG]" in text and "\n" not in text
    again = model(picture(), query)
    assert (again[0] == mask).all() and again[1] == text
    assert (model(picture(1), query)[0] != mask).any() or model(picture(1), query)[1] != text

    # the published steps, one after another
    scaled = Image.fromarray(picture()).resize((int(32 * 60 / 45), 32), Image.Resampling.BICUBIC)
    eye = np.asarray(scaled)[:, 5:37] / 255
    eye = (eye - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    whole = np.asarray(Image.fromarray(picture()).resize((64, 48), Image.Resampling.BILINEAR)).astype(float)
    whole = (whole - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    whole = np.pad(whole, ((0, 16), (0, 0), (0, 0)))
    eye, whole = (torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32) for x in (eye, whole))
    with torch.inference_mode():
        said, prompt = model.network.say(eye, *model.tokens(query), 330, 2, 16)
        logits = model.network.point(whole, prompt)
        square = torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear")[..., :48, :]
        wide = torch.nn.functional.interpolate(square, (45, 60), mode="bilinear")[0, 0].numpy()
    clear = abs(wide) > 1e-4
    assert clear.mean() > 0.9 and ((wide > 0) == mask)[clear].all()
    assert said.count(330) > 1  # and the first of them points
    with torch.inference_mode():
        first = model.network.say(eye, *model.tokens(query), 330, 2, said.index(330) + 1)[1]
    torch.testing.assert_close(prompt, first)


def test_answer_that_points_at_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(reason, "MAX_TOKENS", 4)
    mask, text = Lisa(pointing(tmp_path, 0.0), "cpu")(picture(), "the cat")
    assert mask.shape == (45, 60) and not mask.any() and "[SEG]" not in text


def test_answer_ends_with_its_end(tmp_path):
    model = lisa.load(write_lisa(tmp_path), torch.float32)
    tiny = published("lisa")["tiny"]
    at = tiny["tokens"].index(IMAGE_TOKEN)
    image = torch.tensor(np.random.default_rng(3).standard_normal((1, 3, 32, 32)), dtype=torch.float32)
    with torch.inference_mode():
        said, prompt = model.say(image, tiny["tokens"][:at], tiny["tokens"][at + 1 :], 330, tiny["said"][3], 8)
        assert said == tiny["said"][:4] and prompt is None
        assert model.say(image, tiny["tokens"][:at], tiny["tokens"][at + 1 :], 330, 2, 0)[0] == []


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (3000, 2)])
def test_strange_images_cost_nothing(tmp_path, monkeypatch, size):
    monkeypatch.setattr(reason, "MAX_TOKENS", 8)
    mask, _ = Lisa(pointing(tmp_path, 3.0), "cpu")(picture(0, *size), "2 cups")
    assert mask.shape == size


@pytest.mark.parametrize(("query", "said"), [("", "empty"), (" ?! ", "empty"), ("cat " * 1250, "5000 characters")])
def test_bad_queries_are_refused(tmp_path, query, said):
    with pytest.raises(InputError, match=said):
        LisaServer()(picture(), query)
    with pytest.raises(InputError, match=said):
        Lisa(write_lisa(tmp_path), "cpu")(picture(), query)


def test_what_is_missing_or_wrong_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "home"))
    with pytest.raises(InputError, match=r"LISA needs the checkpoint lisa-13b-llama2-v1.*clip-vit-large-patch14"):
        Lisa()
    folder = write_lisa(tmp_path / "tiny")
    drawn_ones = published("lisa")["tiny"]["names"]
    for part in ("mask_decoder.transformer", "image_encoder.blocks", "pe_layer", "layers.0.mlp", "text_hidden_fcs"):
        name = next(name for name in drawn_ones if part in name)
        shard = next(path for path in folder.glob("*.bin") if name in torch.load(path))
        whole = torch.load(shard)
        torch.save({key: value for key, value in whole.items() if key != name}, shard)
        with pytest.raises(InputError, match="does not hold a LISA"):
            Lisa(folder, "cpu")
        torch.save(whole, shard)
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace("[SEG]", "[CUT]"))
    with pytest.raises(InputError, match=r"its tokenizer lacks \[SEG\]"):
        Lisa(folder, "cpu")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json or tokenizer\.model"):
        Lisa(folder, "cpu")
    for name, said in (("model__mm_projector__weight", "do not fit together"), ("lm_head__weight", "not hold a LISA")):
        misfit = write_lisa(tmp_path / name, **{name: torch.zeros(32, 17)})
        with pytest.raises(InputError, match=said):
            Lisa(misfit, "cpu")


class _Gradio(BaseHTTPRequestHandler):
    """LISA/app.py on Gradio 3.39, as that was seen to talk: the mask is where red is over 127."""

    answer = None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/api/predict" and self.headers["Content-Type"] == "application/json"
        query, picture = body["data"]
        kind, _, data = picture.partition(",")
        assert kind == "data:image/png;base64"
        red = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))[..., 0]
        mask = {"headers": list(range(1, red.shape[1] + 1)), "data": (red > 127).tolist()}
        reply = {"data": [picture, mask, f"ASSITANT: {query}: Sure, [SEG] .</s>"], "is_generating": False}
        status, content = type(self).answer or (200, json.dumps(reply).encode())
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    _Gradio.answer = None
    serving = HTTPServer(("127.0.0.1", 0), _Gradio)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}/"
    serving.shutdown()
    serving.server_close()


def test_server_gives_mask_and_answer(server):
    mask, text = LisaServer(server)(picture(), 'What is "the cat"?')
    np.testing.assert_array_equal(mask, picture()[..., 0] > 127)
    assert mask.dtype == bool and text == 'What is "the cat"?: Sure, [SEG] .'


@pytest.mark.parametrize(("query", "character"), [("the 2 cups", "2"), ("half-open door", "-"), ("katze über", "ü")])
def test_what_the_server_would_refuse_is_not_sent(query, character):
    with pytest.raises(InputError, match=f"not '{character}'"):
        LisaServer("http://127.0.0.1:9/")(picture(), query)


@pytest.mark.parametrize(
    ("status", "content", "kind", "said"),
    [
        (500, b'{"error":null}', UnoccludeError, "failed on this query \\(500\\); see its log"),
        (200, b"<html>", InputError, "is not a LISA server"),
        (200, b"[]", InputError, "is not a LISA server"),
        (200, b'{"data": ["", "Sure"]}', InputError, "returns no mask.*saraao/amodal"),
        (200, b'{"data": ["", {"data": [[true]]}, ""]}', UnoccludeError, r"shape \(1, 1\) for \(45, 60\)"),
        (200, b'{"data": ["", {"data": [[true], []]}, ""]}', UnoccludeError, "rows differ in length"),
        (200, b" " * 2_000_000, UnoccludeError, "more than"),
    ],
)
def test_strange_answers_are_named(server, status, content, kind, said):
    _Gradio.answer = (status, content)
    with pytest.raises(kind, match=said) as caught:
        LisaServer(server)(picture(), "the cat")
    assert type(caught.value) is kind


def test_server_that_found_nothing(server):
    _Gradio.answer = (200, b'{"data": ["", {"headers": [], "data": []}, "ASSITANT: No.</s>"]}')
    mask, text = LisaServer(server)(picture(), "the cat")
    assert mask.shape == (45, 60) and not mask.any() and text == "No."


def test_server_that_is_not_there():
    with pytest.raises(InputError, match=r"no LISA server answers at http://127\.0\.0\.1:9"):
        LisaServer("http://127.0.0.1:9/")(picture(), "the cat")
    for url in ("file:///etc/passwd", "127.0.0.1:7860", ""):
        with pytest.raises(InputError, match="no address"):
            LisaServer(url)


def test_every_text_is_put_to_the_server(server, monkeypatch, tmp_path):
    from unocclude.perception.text import TextToMask

    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("UNOCCLUDE_LISA", server)
    for text in ("What could one drink from?", "the cup"):
        np.testing.assert_array_equal(TextToMask("cpu")(picture(), text), picture()[..., 0] > 127)
    monkeypatch.delenv("UNOCCLUDE_LISA")
    with pytest.raises(InputError, match="weights fetch grounding-dino-tiny"):
        TextToMask("cpu")(picture(), "What could one drink from?")
