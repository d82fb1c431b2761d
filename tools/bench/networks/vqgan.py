"""The decoder of VQGAN: tests/bench/vqgan_decoder.yaml says whose."""

import numpy as np

CONFIG = dict(ch=128, ch_mult=[1, 1, 2, 2, 4], num_res_blocks=2, attn_resolutions=[16], resolution=256, z_channels=256,
              embed_dim=256, out_ch=3, groups=32, side=8)


def forward(l, c, latent):
  def norm(x, name, n):
    return l.group_norm(x, name, c["groups"], n, 1e-6)

  def resnet(x, p, n, out):
    h = l.conv(l.silu(norm(x, f"{p}.norm1", n)), f"{p}.conv1", n, out, 3, padding=1)
    h = l.conv(l.silu(norm(h, f"{p}.norm2", out)), f"{p}.conv2", out, out, 3, padding=1)
    return l.add(x if n == out else l.conv(x, f"{p}.nin_shortcut", n, out, 1), h)

  def attend(x, p, n, side):
    h = norm(x, f"{p}.norm", n)
    q, k, v = (l.tokens(l.conv(h, f"{p}.{part}", n, n, 1)) for part in "qkv")
    return l.add(x, l.conv(l.image(l.attention(q, k, v, 1, n), side), f"{p}.proj_out", n, n, 1))

  levels, side, n = len(c["ch_mult"]), c["side"], c["ch"] * c["ch_mult"][-1]
  x = l.conv(latent, "post_quant_conv", c["embed_dim"], c["z_channels"], 1)
  x = l.conv(x, "decoder.conv_in", c["z_channels"], n, 3, padding=1)
  x = resnet(x, "decoder.mid.block_1", n, n)
  x = resnet(attend(x, "decoder.mid.attn_1", n, side), "decoder.mid.block_2", n, n)
  for i in reversed(range(levels)):
    p, out = f"decoder.up.{i}", c["ch"] * c["ch_mult"][i]
    for j in range(c["num_res_blocks"] + 1):
      x, n = resnet(x, f"{p}.block.{j}", n, out), out
      if c["resolution"] // 2**i in c["attn_resolutions"]:
        x = attend(x, f"{p}.attn.{j}", n, side)
    if i > 0:
      x, side = l.conv(l.twice_as_large(x), f"{p}.upsample.conv", n, n, 3, padding=1), 2 * side
  return {"image": l.conv(l.silu(norm(x, "decoder.norm_out", n)), "decoder.conv_out", n, c["out_ch"], 3, padding=1)}


def inputs(c, batch, seq, rng):
  return {"latent": rng.standard_normal((batch, c["embed_dim"], c["side"], c["side"]), np.float32)}
