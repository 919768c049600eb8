"""The table of published checkpoints; each method has its own row.

Repositories and licences are as stated by primary sources (the page of the repository on the hub, its licence file).
Revisions and hashes are pinned for files in git repositories, computed from the files at the given commit, and for
torchvision's files, whose names contain the first digits of their hashes. Repositories on the hub are not pinned: the
newest revision is fetched, and what the hub states about it is recorded.
"""

from typing import Any

from unocclude.weights.checkpoint import UNKNOWN, Checkpoint, Part

TEXTS = ("*.json", "*.txt", "*.model", "README.md", "LICENSE*")
"""Patterns of additional small files: tokenizers, shard indices, the model card and the licence."""


def _transformers(source: str, *more: str, licence: str = UNKNOWN, **facts: Any) -> Part:
    files = ("config.json", "model*.safetensors|pytorch_model*.bin", *more)
    return Part(facts.pop("name", ""), files, source, TEXTS, licence, **facts)


def _pipeline(source: str, *networks: str, licence: str = UNKNOWN, **facts: Any) -> Part:
    """A diffusers pipeline; networks: its components with weights."""
    files = ("model_index.json", *(f"{part}/*.safetensors|{part}/*.bin" for part in networks))
    return Part(facts.pop("name", ""), files, source, (*TEXTS, *(f"*/{text}" for text in TEXTS)), licence, **facts)


_DEPTH = ("huggingface.co/depth-anything/Depth-Anything-V2-Large-hf", "cc-by-nc-4.0")


def _file(source: str, sha256: str, revision: str = "", **facts: Any) -> Part:
    """One file at a URL, in which `REVISION` is replaced by the commit."""
    name = source.rpartition("/")[2]
    files = facts.pop("files", (name,))
    return Part("", files, source.replace("REVISION", revision), revision=revision, sha256=((name, sha256),), **facts)


_LPIPS = "github.com/richzhang/PerceptualSimilarity/raw/REVISION/lpips/weights/v0.1"
_LPIPS_AT = "082bb24f84c091ea94de2867d34c4544f68e0963"
_RAM = "github.com/xinyu1205/recognize-anything/raw/REVISION/ram/data"
_RAM_AT = "7cb804a8609e9f4b1a50b7f31436d2df40bb9481"
_RAM_HASHES = {
    "ram_tag_list.txt": "5d96d2f7225527480ad773aaac76b6e5c08a18adf6eae9ca7d2ab923d5e7bd8b",
    "ram_tag_list_threshold.txt": "b6f81d0de1bc7f9c251af512c413eae976c77dbfbadf700d4e3d90510f4c6447",
}

CHECKPOINTS = {
    checkpoint.id: checkpoint
    for checkpoint in (
        Checkpoint(
            "lpips-alex",
            "LPIPS",
            (
                _file("download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79", files=("alexnet-owt-*.pth",)),
                _file(
                    f"{_LPIPS}/alex.pth",
                    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
                    _LPIPS_AT,
                    licence="BSD-2-Clause",
                ),
            ),
        ),
        Checkpoint(
            "lpips-vgg",
            "LPIPS",
            (
                _file("download.pytorch.org/models/vgg16-397923af.pth", "397923af", files=("vgg16-*.pth",)),
                _file(
                    f"{_LPIPS}/vgg.pth",
                    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
                    _LPIPS_AT,
                    licence="BSD-2-Clause",
                ),
            ),
        ),
        Checkpoint(
            "clip-vit-base-patch32",
            "CLIP",
            (_transformers("huggingface.co/openai/clip-vit-base-patch32", "preprocessor_config.json"),),
        ),
        Checkpoint(
            "blip2-opt-2.7b",
            "captioning",
            (
                _transformers(
                    "huggingface.co/Salesforce/blip2-opt-2.7b",
                    "preprocessor_config.json",
                    "tokenizer.json",
                    licence="mit",
                ),
            ),
        ),
        Checkpoint(
            "i3d-kinetics-400",
            "FVD",
            (Part("", ("i3d_pretrained_400.pt",), "github.com/SongweiGe/TATS, tats/fvd"),),
        ),
        Checkpoint(
            "sam-vit-huge", "SAM", (_transformers("huggingface.co/facebook/sam-vit-huge", licence="apache-2.0"),)
        ),
        Checkpoint(
            "sam2.1-hiera-large",
            "SAM 2",
            (_transformers("huggingface.co/facebook/sam2.1-hiera-large", licence="apache-2.0"),),
        ),
        Checkpoint("sam3", "SAM 3", (_transformers("huggingface.co/facebook/sam3", "tokenizer.json", gated=True),)),
        Checkpoint(
            "grounding-dino-tiny",
            "Grounding DINO",
            (
                _transformers(
                    "huggingface.co/IDEA-Research/grounding-dino-tiny", "tokenizer.json", licence="apache-2.0"
                ),
            ),
        ),
        Checkpoint(
            "instaorder-od",
            "occlusion order",
            (
                Part(
                    "",
                    ("InstaOrder_InstaOrderNet_od.pth.tar",),
                    "the InstaOrder_ckpt.zip that github.com/POSTECH-CVLab/InstaOrder links to",
                ),
            ),
        ),
        Checkpoint(
            "ram-plus",
            "tagging",
            (
                Part(
                    "",
                    ("ram_plus_swin_large_14m.pth",),
                    "huggingface.co/xinyu1205/recognize-anything-plus-model",
                    TEXTS,
                ),
                *(
                    _file(f"{_RAM}/{name}", digest, _RAM_AT, licence="Apache-2.0")
                    for name, digest in _RAM_HASHES.items()
                ),
            ),
        ),
        Checkpoint(
            "lisa-13b-llama2-v1",
            "LISA",
            (
                _transformers("huggingface.co/xinlai/LISA-13B-llama2-v1", "tokenizer.json|tokenizer.model"),
                _transformers("huggingface.co/openai/clip-vit-large-patch14", name="vision_tower"),
            ),
        ),
        Checkpoint("depth-anything-v2-large", "depth", (_transformers(_DEPTH[0], licence=_DEPTH[1]),)),
        Checkpoint(
            "diffusion-vas",
            "Diffusion-VAS",
            (
                *(
                    _pipeline(f"huggingface.co/kaihuac/diffusion-vas-{name}", "unet", "vae", "image_encoder", name=name)
                    for name in ("amodal-segmentation", "content-completion")
                ),
                _transformers(_DEPTH[0], licence=_DEPTH[1], name="depth", optional=True),
            ),
        ),
        Checkpoint(
            "stable-diffusion-2-inpainting",
            "open-world",
            (
                _pipeline(
                    "huggingface.co/stabilityai/stable-diffusion-2-inpainting",
                    *("unet", "vae", "text_encoder"),
                    licence="openrail++",
                    mirrors=("huggingface.co/sd2-community/stable-diffusion-2-inpainting",),
                ),
            ),
        ),
        Checkpoint(
            "flux.1-fill-dev",
            "IC-Amodal",
            (
                _pipeline(
                    "huggingface.co/black-forest-labs/FLUX.1-Fill-dev",
                    *("transformer", "vae", "text_encoder", "text_encoder_2"),
                    licence="FLUX.1 [dev] Non-Commercial License",
                    gated=True,
                ),
            ),
        ),
        Checkpoint(
            "tgvac",
            "TGVAC",
            (
                Part(
                    "",
                    (
                        "unet/config.json",
                        "vae/config.json",
                        "text_encoder/config.json",
                        "tokenizer/tokenizer_config.json",
                        "scheduler/scheduler_config.json",
                    ),
                    "the pipeline/ that recipe tgvac-motion writes (nobody has published any)",
                ),
            ),
        ),
        Checkpoint(
            "cogvideox-amodal",
            "CogVideoX-Amodal",
            (
                Part(
                    "",
                    (
                        "transformer/config.json",
                        "vae/config.json",
                        "text_encoder/config.json",
                        "tokenizer/tokenizer_config.json",
                        "scheduler/scheduler_config.json",
                    ),
                    "the pipeline/ that recipe cogvideox writes (nobody has published any)",
                ),
            ),
        ),
        Checkpoint(
            "stable-diffusion-v1-5",
            "TGVAC, to start from",
            (
                _pipeline(
                    "huggingface.co/runwayml/stable-diffusion-v1-5",
                    *("unet", "vae", "text_encoder"),
                    licence="creativeml-openrail-m",
                    mirrors=("huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",),
                ),
            ),
        ),
        Checkpoint(
            "animatediff-motion-adapter-v1-5-2",
            "TGVAC's motion module, to start from",
            (
                Part(
                    "",
                    ("config.json", "diffusion_pytorch_model.safetensors|diffusion_pytorch_model.bin"),
                    "huggingface.co/guoyww/animatediff-motion-adapter-v1-5-2",
                    TEXTS,
                ),
            ),
        ),
        Checkpoint(
            "pix2gestalt",
            "pix2gestalt",
            (
                Part(
                    "",
                    ("epoch=000005.ckpt|epoch=000010.ckpt",),
                    "huggingface.co/cvlab/pix2gestalt-weights",
                    TEXTS,
                    licence="cc-by-nc-4.0",
                ),
            ),
        ),
    )
}
"""All checkpoints by id."""
