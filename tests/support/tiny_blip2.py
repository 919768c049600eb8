"""A tiny BLIP-2 drawn from a seed, in the published format."""

import torch
import transformers


def write_blip2(folder):
    """A BLIP-2 with the parts and files of the published one, and letters for words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz", "<image>"]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="</s>",
        additional_special_tokens=["<image>"],
    ).save_pretrained(folder)  # fmt: skip
    layer = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    config = transformers.Blip2Config(
        vision_config={**layer, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14},
        qformer_config={**layer, "num_hidden_layers": 2, "encoder_hidden_size": 16, "vocab_size": 30},
        text_config=transformers.OPTConfig(
            vocab_size=len(words), hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=64, word_embed_proj_dim=16, bos_token_id=2, eos_token_id=2, pad_token_id=1,
        ).to_dict(),
        num_query_tokens=4, image_token_index=len(words) - 1,
    )  # fmt: skip
    model = transformers.Blip2ForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(4)
    for value in model.parameters():
        if value.ndim > 1:  # norms stay as they are
            value.data = torch.randn(value.shape, generator=generator) * 0.5
    model.get_input_embeddings().weight.data[2] = 0  # weights are tied: the first word would be said again
    model.save_pretrained(folder)
    transformers.BlipImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder
