"""ViT: Dosovitskiy et al. 2020, arXiv:2010.11929. Names as in published checkpoints."""

import numpy as np

CONFIG = dict(model_type="vit", hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
              hidden_act="gelu", layer_norm_eps=1e-12, image_size=224, patch_size=16, num_channels=3)


def forward(l, c, pixel_values):
  h, f, heads, eps = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"], c["layer_norm_eps"]
  patch, patches = c["patch_size"], (c["image_size"] // c["patch_size"]) ** 2
  token = l.parameter("embeddings.cls_token", 1, 1, h)
  positions = l.parameter("embeddings.position_embeddings", 1, patches + 1, h)
  x = l.conv(pixel_values, "embeddings.patch_embeddings.projection", c["num_channels"], h, patch, stride=patch)
  x = l.add(l.before(l.tokens(x), token, h), positions)
  for i in range(c["num_hidden_layers"]):
    p = f"encoder.layer.{i}"
    y = l.layer_norm(x, f"{p}.layernorm_before", h, eps)
    q, k, v = l.linears(y, [f"{p}.attention.attention.{part}" for part in ("query", "key", "value")], h, h)
    x = l.add(l.linear(l.attention(q, k, v, heads, h // heads), f"{p}.attention.output.dense", h, h), x)
    y = l.layer_norm(x, f"{p}.layernorm_after", h, eps)
    x = l.add(l.linear(l.gelu(l.linear(y, f"{p}.intermediate.dense", h, f)), f"{p}.output.dense", f, h), x)
  x = l.layer_norm(x, "layernorm", h, eps)
  pooled = l.tanh(l.linear_rows(l.first_token(x), "pooler.dense", h, h))
  return {"last_hidden_state": x, "pooler_output": pooled}


def inputs(c, batch, seq, rng):
  side = c["image_size"]
  return {"pixel_values": rng.standard_normal((batch, c["num_channels"], side, side), np.float32)}
