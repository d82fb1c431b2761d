"""A block of the UNet of Stable Diffusion: tests/bench/sd_block.yaml says whose."""

import numpy as np

CONFIG = dict(channels=320, side=64, num_heads=8, groups=32, time_width=1280, context_length=77, context_width=768)


def forward(l, c, sample, time, context):
  n, groups, heads = c["channels"], c["groups"], c["num_heads"]

  def attend(x, context, p, width):
    if context is x:
      q, k, v = l.linears(x, [f"{p}.to_{part}" for part in "qkv"], n, n, bias=False)
    else:
      q = l.linear(x, f"{p}.to_q", n, n, bias=False)
      k, v = l.linears(context, [f"{p}.to_{part}" for part in "kv"], width, n, bias=False)
    return l.linear(l.attention(q, k, v, heads, n // heads), f"{p}.to_out.0", n, n)

  x = resnet(l, sample, time, "resnets.0", n, groups, c["time_width"])
  p = "attentions.0"
  h = l.conv(l.group_norm(x, f"{p}.norm", groups, n, 1e-6), f"{p}.proj_in", n, n, 1)
  t, b = l.tokens(h), f"{p}.transformer_blocks.0"
  y = l.layer_norm(t, f"{b}.norm1", n, 1e-5)
  t = l.add(attend(y, y, f"{b}.attn1", n), t)
  t = l.add(attend(l.layer_norm(t, f"{b}.norm2", n, 1e-5), context, f"{b}.attn2", c["context_width"]), t)
  y = l.linear(l.layer_norm(t, f"{b}.norm3", n, 1e-5), f"{b}.ff.net.0.proj", n, 8 * n)
  y, gate = l.parts(y, 2, 4 * n)
  t = l.add(l.linear(l.mul(y, l.gelu(gate)), f"{b}.ff.net.2", 4 * n, n), t)
  h = l.conv(l.image(t, c["side"]), f"{p}.proj_out", n, n, 1)
  return {"hidden": l.add(h, x)}


def resnet(l, x, time, p, n, groups, time_width):
  h = l.conv(l.silu(l.group_norm(x, f"{p}.norm1", groups, n, 1e-5)), f"{p}.conv1", n, n, 3, padding=1)
  h = l.add(h, l.of_image(l.linear_rows(l.silu(time), f"{p}.time_emb_proj", time_width, n)))
  h = l.conv(l.silu(l.group_norm(h, f"{p}.norm2", groups, n, 1e-5)), f"{p}.conv2", n, n, 3, padding=1)
  return l.add(x, h)


def inputs(c, batch, seq, rng):
  shapes = {"sample": (c["channels"], c["side"], c["side"]), "time": (c["time_width"],),
            "context": (c["context_length"], c["context_width"])}
  return {name: rng.standard_normal((batch, *shape), np.float32) for name, shape in shapes.items()}
