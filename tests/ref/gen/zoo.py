"""Small checkpoints of the transformer models and what the transformers library computes from them, in f64.

    python tests/ref/make_refs.py zoo

In:   nothing. Needs torch and transformers, which requirements.txt leaves out for their size; the committed files are from
torch 2.12.1 and transformers 5.24.0. Out: a folder tests/zoo/MODEL-NAME for each checkpoint, where
models/transformer/MODEL.yaml is the model, every file at most 100 KB:
  config.json, model.safetensors       as save_pretrained writes them, f32
  cases.safetensors                    <case>.in.INPUT (i32 or f32), <case>.out.OUTPUT (f32)
The weights are random and wider than a trained model's, so that softmax and activations leave their linear ranges.
"""

import shutil
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers as hf

from gen.checkpoints import finish, mask_of

OUT = Path(__file__).resolve().parents[2] / "zoo"
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=2.5)

# name: (class of the config, class of the model, config, [(batch, seq, mask)])
CHECKPOINTS = {
  "gpt2-plain": (
    hf.GPT2Config, hf.GPT2LMHeadModel,
    dict(n_embd=32, n_head=2, n_layer=1, vocab_size=53, n_positions=40),
    [(1, 1, "full"), (2, 7, "right"), (3, 16, "left"), (1, 40, "full")],
  ),
  "gpt2-scaled": (
    hf.GPT2Config, hf.GPT2LMHeadModel,
    dict(n_embd=30, n_head=5, n_layer=2, n_inner=47, vocab_size=71, n_positions=33, activation_function="relu",
         scale_attn_by_inverse_layer_idx=True),
    [(1, 5, "full"), (2, 33, "left"), (4, 13, "right")],
  ),
  "llama-mha": (
    hf.LlamaConfig, hf.LlamaForCausalLM,
    dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=38, vocab_size=61),
    [(1, 1, "full"), (3, 9, "right"), (2, 37, "left")],
  ),
  "llama-gqa": (
    hf.LlamaConfig, hf.LlamaForCausalLM,
    dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=10, num_hidden_layers=1,
         intermediate_size=50, vocab_size=47, rope_parameters=LLAMA3, tie_word_embeddings=True),
    [(1, 64, "full"), (2, 31, "right"), (3, 6, "left")],
  ),
  "llama-linear": (
    hf.LlamaConfig, hf.LlamaForCausalLM,
    dict(hidden_size=24, num_attention_heads=4, num_key_value_heads=1, num_hidden_layers=2, intermediate_size=36,
         vocab_size=43, rope_parameters=LINEAR, attention_bias=True, mlp_bias=True),
    [(1, 29, "full"), (2, 12, "left")],
  ),
}


def randomise(model, rng):
  """Weights in f32, whatever the library's own initialisation."""
  for name, p in model.named_parameters():
    is_norm = any(part in name for part in ("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"))
    centre, spread = (1.0, 0.3) if is_norm else (0.0, 0.2)
    p.data = torch.from_numpy((centre + spread * rng.standard_normal(tuple(p.shape))).astype(np.float32))


def write(name):
  config_class, model_class, settings, shapes = CHECKPOINTS[name]
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  config = config_class(**settings)
  model = model_class(config).eval()
  randomise(model, rng)
  folder = OUT / name
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  model.save_pretrained(folder)
  (folder / "generation_config.json").unlink(missing_ok=True)
  model = model.double()
  tensors = {}
  for i, (batch, seq, kind) in enumerate(shapes):
    given = {"input_ids": rng.integers(0, config.vocab_size, (batch, seq), dtype=np.int32),
             "attention_mask": mask_of(kind, batch, seq, rng)}
    with torch.no_grad():
      out = model(**{k: torch.from_numpy(v.astype(np.int64)) for k, v in given.items()}, use_cache=False)
    case = f"{i}_{kind}"
    tensors |= {f"{case}.in.{k}": v for k, v in given.items()}
    tensors |= {f"{case}.out.logits": out.logits.numpy().astype(np.float32)}
  finish(folder, f"zoo/{name}", len(shapes), tensors)


def write_all():
  for name in CHECKPOINTS:
    write(name)
