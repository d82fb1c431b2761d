"""BERT: Devlin et al. 2018, arXiv:1810.04805; MiniLM: Wang et al. 2020. Names as in published checkpoints."""

import numpy as np

CONFIG = dict(model_type="bert", vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
              intermediate_size=3072, max_position_embeddings=512, type_vocab_size=2, hidden_act="gelu",
              layer_norm_eps=1e-12)


def forward(l, c, input_ids, attention_mask, token_type_ids):
  h, f, heads, eps = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"], c["layer_norm_eps"]

  def table(name, rows, ids):
    return l.take(f"embeddings.{name}_embeddings.weight", c[rows], h, ids)

  x = l.add(table("word", "vocab_size", input_ids), table("token_type", "type_vocab_size", token_type_ids))
  x = l.add(x, table("position", "max_position_embeddings", l.positions(input_ids, c["max_position_embeddings"])))
  x = l.layer_norm(x, "embeddings.LayerNorm", h, eps)
  hidden = l.hidden(attention_mask)
  for i in range(c["num_hidden_layers"]):
    p = f"encoder.layer.{i}"
    q, k, v = l.linears(x, [f"{p}.attention.self.{part}" for part in ("query", "key", "value")], h, h)
    o = l.linear(l.attention(q, k, v, heads, h // heads, hidden), f"{p}.attention.output.dense", h, h)
    x = l.layer_norm(l.add(o, x), f"{p}.attention.output.LayerNorm", h, eps)
    y = l.linear(l.gelu(l.linear(x, f"{p}.intermediate.dense", h, f)), f"{p}.output.dense", f, h)
    x = l.layer_norm(l.add(y, x), f"{p}.output.LayerNorm", h, eps)
  pooled = l.tanh(l.linear_rows(l.first_token(x), "pooler.dense", h, h))
  return {"last_hidden_state": x, "pooler_output": pooled}


def inputs(c, batch, seq, rng):
  """Token ids, a mask that hides nothing, types."""
  return {"input_ids": rng.integers(0, c["vocab_size"], (batch, seq)),
          "attention_mask": np.ones((batch, seq), np.int64),
          "token_type_ids": (np.arange(seq) >= seq // 2).astype(np.int64) * np.ones((batch, 1), np.int64)}
