"""Tiny seeded checkpoints in the published formats, for the tests of perception."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()


def seeded(model, seed=0, scale=0.15):
    """All weights but norms and biases drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    for _, value in sorted(model.named_parameters()):
        if value.ndim > 1:
            value.data = torch.randn(value.shape, generator=generator) * scale
    return model


def write_words(folder, words, first, last, pad):
    """A tokenizer that knows whole words, at the ids given for them, between two marks; of how many ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(words, unk_token=pad))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, words[first]), (last, words[last])]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=first, eos_token=last, cls_token=first, sep_token=last,
        unk_token=pad, pad_token=pad, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    return max(words.values()) + 1


def write_grounding_dino(folder, seed=0):
    words = {"[PAD]": 0, "[CLS]": 101, "[SEP]": 102, ".": 1012, "red": 5, "cat": 6, "big": 7, "dog": 8, "plant": 9}
    config = transformers.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin", "image_size": 32, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2],
            "window_size": 4, "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": write_words(folder, words, "[CLS]", "[SEP]", "[PAD]"),
        },
        d_model=32, encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2, decoder_layers=2,
        decoder_ffn_dim=16, decoder_attention_heads=2, num_queries=12, num_feature_levels=4,
    )  # fmt: skip
    seeded(transformers.GroundingDinoForObjectDetection(config), seed).save_pretrained(folder)
    return folder


def write_clip(folder, seed=0):
    words = {"<pad>": 0, "<start>": 1, "a": 3, "photo": 4, "of": 5, "cat": 6, "dog": 7, "background": 8, "<end>": 9}
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **layers, "vocab_size": write_words(folder, words, "<start>", "<end>", "<pad>"),
            "max_position_embeddings": 12, "bos_token_id": 1, "eos_token_id": 9, "projection_dim": 8,
        },
        vision_config={**layers, "image_size": 32, "patch_size": 8, "projection_dim": 8},
        projection_dim=8,
    )  # fmt: skip
    seeded(transformers.CLIPModel(config), seed, 0.5).save_pretrained(folder)
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return folder


def write_sam3(folder, seed=0):
    words = {"<pad>": 0, "<start>": 1, "cat": 2, "red": 3, "dog": 4, "<end>": 5}
    part = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_layers": 1}
    config = transformers.Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
                "num_attention_heads": 2, "image_size": 112, "window_size": 4, "global_attn_indexes": [1],
                "pretrain_image_size": 56,
            },
            "fpn_hidden_size": 32, "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={
            "model_type": "clip_text_model", "vocab_size": write_words(folder, words, "<start>", "<end>", "<pad>"),
            "hidden_size": 16, "intermediate_size": 16, "projection_dim": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 5,
        },
        geometry_encoder_config=part, detr_encoder_config=part, detr_decoder_config={**part, "num_queries": 10},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )  # fmt: skip
    seeded(transformers.Sam3Model(config), seed).save_pretrained(folder)
    return folder


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
