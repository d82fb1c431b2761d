"""Small BERT checkpoints and what BertModel of the transformers library computes from them, in f64.

    python tests/ref/make_refs.py bert

In:   nothing. Needs torch and transformers, which requirements.txt leaves out for their size; the committed files are from
torch 1.13 and transformers 4.40.2. Out: a folder tests/bert/NAME for each checkpoint, every file at most 100 KB:
  config.json                          as save_pretrained writes it
  model.safetensors                    f32; or several files and model.safetensors.index.json, as save_pretrained cuts them
  cases.safetensors                    <case>.input_ids, .attention_mask, .token_type_ids (i32[batch, seq]);
                                       <case>.last_hidden_state, .pooler_output (f32)
The weights are random, an order of magnitude wider than a trained model's, so that softmax, gelu and tanh leave their
linear ranges. Among the masks are rows that hide every token.
"""

import shutil
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import BertConfig, BertForPreTraining, BertModel

from gen.checkpoints import finish, mask_of

OUT = Path(__file__).resolve().parents[2] / "bert"

# name: (how the checkpoint is stored, config, [(batch, seq, mask)])
CHECKPOINTS = {
  "gelu": (
    "whole",
    dict(hidden_size=32, num_attention_heads=2, num_hidden_layers=2, intermediate_size=64, vocab_size=50),
    [(1, 1, "full"), (2, 7, "right"), (4, 16, "ragged"), (1, 40, "full")],
  ),
  "gelu_new": (
    "whole",
    dict(hidden_size=48, num_attention_heads=6, num_hidden_layers=1, intermediate_size=36, vocab_size=97,
         hidden_act="gelu_new", type_vocab_size=1),
    [(1, 5, "full"), (3, 11, "left"), (2, 33, "right")],
  ),
  "relu": (
    "shards",
    dict(hidden_size=96, num_attention_heads=4, num_hidden_layers=1, intermediate_size=130, vocab_size=61,
         hidden_act="relu", layer_norm_eps=1e-5),
    [(1, 1, "full"), (2, 13, "ragged"), (1, 17, "left")],
  ),
  "deep": (
    "shards",
    dict(hidden_size=40, num_attention_heads=5, num_hidden_layers=3, intermediate_size=72, vocab_size=300,
         type_vocab_size=3),
    [(2, 3, "right"), (4, 24, "ragged"), (1, 40, "full")],
  ),
  "odd": (
    "whole",
    dict(hidden_size=33, num_attention_heads=3, num_hidden_layers=1, intermediate_size=47, vocab_size=83),
    [(1, 2, "full"), (3, 19, "ragged"), (2, 31, "hidden")],
  ),
  "first_names": (
    "first names",
    dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=1, intermediate_size=40, vocab_size=71),
    [(1, 9, "full"), (2, 18, "left")],
  ),
}


def randomise(model, rng):
  """Weights in f32, whatever the library's own initialisation."""
  for name, p in model.named_parameters():
    centre, spread = (1.0, 0.3) if "LayerNorm.weight" in name else (0.0, 0.2)
    p.data = torch.from_numpy((centre + spread * rng.standard_normal(tuple(p.shape))).astype(np.float32))


def save(model, stored, folder):
  if stored != "first names":
    model.save_pretrained(folder, max_shard_size="90KB" if stored == "shards" else "1GB")
    return
  model.config.save_pretrained(folder)  # a checkpoint of pretraining with the names of the first release
  names = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v.numpy()
           for k, v in model.state_dict().items() if k != "cls.predictions.decoder.weight"}
  names["bert.embeddings.position_ids"] = np.arange(model.config.max_position_embeddings)[None]
  save_file(names, folder / "model.safetensors")


def write(name):
  stored, settings, shapes = CHECKPOINTS[name]
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  config = BertConfig(max_position_embeddings=40, **settings)
  model = (BertForPreTraining if stored == "first names" else BertModel)(config).eval()
  randomise(model, rng)
  folder = OUT / name
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  save(model, stored, folder)
  model = model.double()
  tensors = {}
  for i, (batch, seq, kind) in enumerate(shapes):
    ids = rng.integers(0, config.vocab_size, (batch, seq), dtype=np.int32)
    types = rng.integers(0, config.type_vocab_size, (batch, seq), dtype=np.int32)
    mask = mask_of(kind, batch, seq, rng)
    with torch.no_grad():
      out = getattr(model, "bert", model)(*(torch.from_numpy(x.astype(np.int64)) for x in (ids, mask, types)))
    case = f"{i}_{kind}"
    tensors |= {f"{case}.input_ids": ids, f"{case}.attention_mask": mask, f"{case}.token_type_ids": types}
    tensors |= {f"{case}.last_hidden_state": out.last_hidden_state.numpy().astype(np.float32)}
    tensors |= {f"{case}.pooler_output": out.pooler_output.numpy().astype(np.float32)}
  finish(folder, f"bert/{name}", len(shapes), tensors)


def write_all():
  for name in CHECKPOINTS:
    write(name)
