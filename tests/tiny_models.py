"""Tiny seeded checkpoints in the published formats, for the tests of perception."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)


def seeded(model, seed=0, scale=0.15):
    """All weights but norms and biases drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    for _, value in sorted(model.named_parameters()):
        if value.ndim > 1:
            value.data = torch.randn(value.shape, generator=generator) * scale
    return model


def write_words(folder, words, **special):
    """A tokenizer that knows whole words and dots; what else it is told are its special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    known = {word: i for i, word in enumerate([*special.values(), *words, "."])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, last = special.get("cls_token", special.get("bos_token")), special.get("sep_token", special.get("eos_token"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, known[first]), (last, known[last])]
    )
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return len(known)


def write_sam(folder, seed=0):
    decoder = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 8, "mlp_dim": 32, "window_size": 4, "global_attn_indexes": [1],
            "num_pos_feats": 8,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 16},
        mask_decoder_config=decoder,
    )  # fmt: skip
    seeded(transformers.SamModel(config), seed).save_pretrained(folder)
    return folder


SAM2_SIDE = 64


def write_sam2(folder, seed=0):
    """SAM 2's video checkpoint: its image part is what Sam2Model reads."""
    side = SAM2_SIDE
    sizes = [[side // stride] * 2 for stride in (4, 8, 16)]
    config = transformers.Sam2VideoConfig(
        vision_config={
            "backbone_config": {
                "hidden_size": 8, "image_size": [side, side], "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 2], "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [4, 4], "model_type": "sam2_hiera_det_model",
            },
            "backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": sizes, "fpn_hidden_size": 128,
            "model_type": "sam2_vision_model",
        },
        prompt_encoder_config={"hidden_size": 128, "image_size": side, "mask_input_channels": 16},
        mask_decoder_config={"hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
        image_size=side, memory_attention_hidden_size=128, memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=sizes[2],
        memory_encoder_hidden_size=128, memory_encoder_output_channels=64, mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=32, max_object_pointers_in_encoder=4, num_maskmem=3,
    )  # fmt: skip
    model = seeded(transformers.Sam2VideoModel(config), seed)
    torch.nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 5.0)  # the object is there
    model.save_pretrained(folder)
    return folder
