"""BERT in PyTorch's own functions, fastest as this library offers them without compiling: no more than torch is needed."""

import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


def load(folder):
  """A function of (ids, mask, types) that gives (last_hidden_state, pooler_output)."""
  c = json.loads((folder / "config.json").read_text())
  w = load_file(folder / "model.safetensors")
  heads, eps, width = c["num_attention_heads"], c["layer_norm_eps"], c["hidden_size"]

  def dense(x, name):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

  def norm(x, name):
    return F.layer_norm(x, (width,), w[f"{name}.weight"], w[f"{name}.bias"], eps)

  for i in range(c["num_hidden_layers"]):  # q, k and v in one product
    p = f"encoder.layer.{i}.attention.self"
    for part in ("weight", "bias"):
      w[f"{p}.qkv.{part}"] = torch.cat([w[f"{p}.{name}.{part}"] for name in ("query", "key", "value")])

  def forward(ids, mask, types):
    batch, seq = ids.shape
    hidden = torch.zeros(batch, 1, 1, seq).masked_fill(mask[:, None, None] == 0, torch.finfo(torch.float32).min)
    x = F.embedding(ids, w["embeddings.word_embeddings.weight"])
    x = x + F.embedding(types, w["embeddings.token_type_embeddings.weight"])
    x = norm(x + w["embeddings.position_embeddings.weight"][:seq], "embeddings.LayerNorm")
    for i in range(c["num_hidden_layers"]):
      p = f"encoder.layer.{i}"
      q, k, v = dense(x, f"{p}.attention.self.qkv").view(batch, seq, 3, heads, -1).permute(2, 0, 3, 1, 4)
      o = F.scaled_dot_product_attention(q, k, v, hidden)
      o = dense(o.transpose(1, 2).reshape(batch, seq, width), f"{p}.attention.output.dense")
      x = norm(o + x, f"{p}.attention.output.LayerNorm")
      h = dense(F.gelu(dense(x, f"{p}.intermediate.dense")), f"{p}.output.dense")
      x = norm(h + x, f"{p}.output.LayerNorm")
    return x, torch.tanh(dense(x[:, 0], "pooler.dense"))

  return forward
