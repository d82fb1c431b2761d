"""The checkpoints of the zoo that the transformers library judges. A case is (batch, sizes..., what sets it apart)."""

import numpy as np
import torch
import transformers as hf
from safetensors.numpy import save_file

from gen.checkpoints import Family, mask_of, tokens

LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=2.5)


def save(model, settings, folder):
  model.save_pretrained(folder)
  (folder / "generation_config.json").unlink(missing_ok=True)


def family(config_class, model_class, outputs, draw=tokens, save=save, **given):
  def run(model, inputs):
    out = model(**inputs, **given)
    return {name: out[name] for name in outputs}

  return Family(lambda settings: model_class(config_class(**settings)), save, draw, run)


# -- vision --

def pixels(config, case, rng):
  height, width = np.broadcast_to(config.image_size, 2)
  return {"pixel_values": rng.standard_normal((case[0], config.num_channels, height, width)).astype(np.float32)}


# -- texts that end with a token of their own --

def texts(config, case, rng):
  """The end is where pooling looks; behind it may be more of it. The first configs give a wrong id and mean the largest."""
  batch, seq, kind = case
  end = config.vocab_size - 1 if config.eos_token_id == 2 else config.eos_token_id
  ids = rng.integers(0, config.vocab_size - 1, (batch, seq), dtype=np.int32)
  ids[ids == end] = 0
  at = rng.integers(0, seq, (batch, 1))
  ids = np.where(np.arange(seq) == at, end, ids)
  ids = np.where((np.arange(seq) > at) & (np.arange(batch)[:, None] % 2 == 1), end, ids).astype(np.int32)
  return {"input_ids": ids, "attention_mask": mask_of(kind, batch, seq, rng)}


def save_with_prefix(model, settings, folder):
  """As published: the encoder under a name of its own, and a constant."""
  model.config.save_pretrained(folder)
  names = {f"text_model.{k}": v.numpy() for k, v in model.state_dict().items()}
  names["text_model.embeddings.position_ids"] = np.arange(model.config.max_position_embeddings)[None]
  save_file(names, folder / "model.safetensors")


def whole_clip(settings):
  picture = dict(hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, image_size=2, patch_size=2)
  return hf.CLIPModel(hf.CLIPConfig(text_config=settings, vision_config=picture, projection_dim=4))


# -- translation --

def pairs(config, case, rng):
  batch, seq, decoder_seq, kind = case
  return {"input_ids": rng.integers(0, config.vocab_size, (batch, seq), dtype=np.int32),
          "attention_mask": mask_of(kind, batch, seq, rng),
          "decoder_input_ids": rng.integers(0, config.decoder_vocab_size, (batch, decoder_seq), dtype=np.int32),
          "decoder_attention_mask": mask_of(kind, batch, decoder_seq, rng)}


def translator(settings):
  model = hf.MarianMTModel(hf.MarianConfig(**settings))
  model.final_logits_bias.copy_(torch.linspace(-1, 1, model.final_logits_bias.numel()))  # zeros in a new model
  return model


GPT2 = family(hf.GPT2Config, hf.GPT2LMHeadModel, ["logits"], use_cache=False)
LLAMA = family(hf.LlamaConfig, hf.LlamaForCausalLM, ["logits"], use_cache=False)
VIT = family(hf.ViTConfig, hf.ViTModel, ["last_hidden_state", "pooler_output"], pixels)
T5 = family(hf.T5Config, hf.T5EncoderModel, ["last_hidden_state"])
CLIP = family(hf.CLIPTextConfig, hf.CLIPTextModel, ["last_hidden_state", "pooler_output"], texts)
WHOLE_CLIP = Family(whole_clip, save, lambda config, case, rng: texts(config.text_config, case, rng),
                    lambda model, inputs: CLIP.run(model.text_model, inputs))
MARIAN = family(hf.MarianConfig, hf.MarianMTModel, ["logits", "encoder_last_hidden_state"], pairs, use_cache=False)
MARIAN = MARIAN._replace(build=translator)

# name: (family, config, cases)
CHECKPOINTS = {
  "gpt2-plain": (
    GPT2,
    dict(n_embd=32, n_head=2, n_layer=1, vocab_size=53, n_positions=40),
    [(1, 1, "full"), (2, 7, "right"), (3, 16, "left"), (1, 40, "full")],
  ),
  "gpt2-scaled": (
    GPT2,
    dict(n_embd=30, n_head=5, n_layer=2, n_inner=47, vocab_size=71, n_positions=33, activation_function="relu",
         scale_attn_by_inverse_layer_idx=True),
    [(1, 5, "full"), (2, 33, "left"), (4, 13, "right")],
  ),
  "llama-mha": (
    LLAMA,
    dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=38, vocab_size=61),
    [(1, 1, "full"), (3, 9, "right"), (2, 37, "left")],
  ),
  "llama-gqa": (
    LLAMA,
    dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=10, num_hidden_layers=1,
         intermediate_size=50, vocab_size=47, rope_parameters=LLAMA3, tie_word_embeddings=True),
    [(1, 64, "full"), (2, 31, "right"), (3, 6, "left")],
  ),
  "llama-linear": (
    LLAMA,
    dict(hidden_size=24, num_attention_heads=4, num_key_value_heads=1, num_hidden_layers=2, intermediate_size=36,
         vocab_size=43, rope_parameters=LINEAR, attention_bias=True, mlp_bias=True),
    [(1, 29, "full"), (2, 12, "left")],
  ),
  "vit-square": (
    VIT,
    dict(hidden_size=32, num_attention_heads=2, num_hidden_layers=2, intermediate_size=64, image_size=16, patch_size=4),
    [(1, "image"), (3, "images")],
  ),
  "vit-ragged": (
    VIT,
    dict(hidden_size=33, num_attention_heads=3, num_hidden_layers=1, intermediate_size=41, image_size=[13, 30],
         patch_size=[4, 5], num_channels=2, hidden_act="gelu_new", qkv_bias=False, pooler_output_size=19),
    [(2, "images"), (1, "image")],
  ),
  "vit-deep": (
    VIT,
    dict(hidden_size=20, num_attention_heads=5, num_hidden_layers=4, intermediate_size=28, image_size=21, patch_size=3,
         num_channels=1, hidden_act="relu", layer_norm_eps=1e-5, pooler_act="relu"),
    [(1, "image"), (5, "images")],
  ),
  "t5_encoder-relu": (
    T5,
    dict(d_model=32, d_kv=8, d_ff=50, num_layers=2, num_heads=4, vocab_size=61),
    [(1, 1, "full"), (2, 19, "right"), (3, 11, "hidden"), (1, 150, "full")],
  ),
  "t5_encoder-gated": (
    T5,
    dict(d_model=30, d_kv=12, d_ff=37, num_layers=2, num_heads=3, vocab_size=47, feed_forward_proj="gated-gelu"),
    [(1, 70, "full"), (2, 33, "ragged"), (3, 8, "left")],
  ),
  "t5_encoder-buckets": (
    T5,
    dict(d_model=24, d_kv=5, d_ff=40, num_layers=3, num_heads=5, vocab_size=53, feed_forward_proj="gated-silu",
         relative_attention_num_buckets=12, relative_attention_max_distance=20, layer_norm_epsilon=1e-5),
    [(2, 64, "ragged"), (4, 3, "right")],
  ),
  "clip_text-eos": (
    CLIP,
    dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=60, vocab_size=53,
         max_position_embeddings=40, eos_token_id=7),
    [(1, 1, "full"), (4, 9, "right"), (2, 40, "full")],
  ),
  "clip_text-first": (
    CLIP._replace(save=save_with_prefix),
    dict(hidden_size=36, num_attention_heads=3, num_hidden_layers=1, intermediate_size=47, vocab_size=71,
         max_position_embeddings=33, eos_token_id=2),
    [(1, 5, "full"), (3, 33, "right"), (4, 12, "left")],
  ),
  "clip_text-gelu": (
    CLIP,
    dict(hidden_size=20, num_attention_heads=5, num_hidden_layers=3, intermediate_size=33, vocab_size=97,
         max_position_embeddings=21, eos_token_id=96, hidden_act="gelu", layer_norm_eps=1e-6),
    [(2, 21, "ragged"), (5, 4, "right")],
  ),
  "clip_text-whole": (
    WHOLE_CLIP,
    dict(hidden_size=28, num_attention_heads=2, num_hidden_layers=1, intermediate_size=39, vocab_size=61,
         max_position_embeddings=26, eos_token_id=60, projection_dim=4),
    [(3, 26, "right"), (1, 2, "full")],
  ),
  "marian-shared": (
    MARIAN,
    dict(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
         encoder_ffn_dim=40, decoder_ffn_dim=48, vocab_size=61, max_position_embeddings=64, scale_embedding=True,
         activation_function="swish", pad_token_id=60),
    [(1, 1, 1, "full"), (2, 17, 9, "right"), (1, 33, 64, "full")],
  ),
  "marian-apart": (
    MARIAN,
    dict(d_model=24, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3, decoder_attention_heads=2,
         encoder_ffn_dim=36, decoder_ffn_dim=31, vocab_size=53, decoder_vocab_size=47, max_position_embeddings=40,
         share_encoder_decoder_embeddings=False, pad_token_id=46),
    [(3, 5, 12, "left"), (2, 40, 21, "right")],
  ),
  "marian-deep": (
    MARIAN,
    dict(d_model=20, encoder_layers=1, decoder_layers=3, encoder_attention_heads=5, decoder_attention_heads=1,
         encoder_ffn_dim=28, decoder_ffn_dim=33, vocab_size=43, max_position_embeddings=48, activation_function="relu",
         pad_token_id=42),
    [(2, 11, 7, "ragged"), (4, 3, 5, "right")],
  ),
}
