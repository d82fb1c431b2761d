"""The checkpoints of the zoo without a softmax, judged by what is written here from the papers as plainly as can be:
matrices of all weights, a loop over time. A case is (batch, seq, what sets it apart)."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import elu, gelu, relu

from gen.buckets import position_bucket
from gen.checkpoints import Family, join_heads, new_module, save_state, split_heads, tokens


def angles(n, width):
  """[n, width / 2]"""
  return torch.arange(n).double()[:, None] * 10000.0 ** (-torch.arange(0, width, 2).double() / width)


# -- Katharopoulos et al. 2020 --

class LinearAttention(nn.Module):
  def __init__(self, width, heads, causal):
    super().__init__()
    self.query_projection, self.key_projection = nn.Linear(width, width), nn.Linear(width, width)
    self.value_projection, self.out_projection = nn.Linear(width, width), nn.Linear(width, width)
    self.heads, self.causal = heads, causal

  def forward(self, x, mask):
    q, k = (elu(split_heads(p(x), self.heads)) + 1 for p in (self.query_projection, self.key_projection))
    v = split_heads(self.value_projection(x), self.heads)
    k = k * mask[:, None, :, None]
    pairs = k[..., :, None] * v[..., None, :]  # [batch, heads, time, width, width]
    if self.causal:  # the recurrence of section 3.4
      out, s, z = [], torch.zeros_like(pairs[:, :, 0]), torch.zeros_like(k[:, :, 0])
      for t in range(x.shape[1]):
        s, z = s + pairs[:, :, t], z + k[:, :, t]
        out.append((q[:, :, t, None] @ s)[:, :, 0] / ((q[:, :, t] * z).sum(-1, keepdim=True) + 1e-6))
      o = torch.stack(out, 2)
    else:
      weights = q @ k.transpose(-1, -2)
      o = weights @ v / (weights.sum(-1, keepdim=True) + 1e-6)
    return self.out_projection(join_heads(o))


class LinearLayer(nn.Module):
  def __init__(self, width, heads, hidden, causal, act):
    super().__init__()
    self.attention = LinearAttention(width, heads, causal)
    self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
    self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
    self.act = {"relu": relu, "gelu": gelu}[act]

  def forward(self, x, mask):
    x = self.norm1(x + self.attention(x, mask))
    return self.norm2(x + self.linear2(self.act(self.linear1(x))))


class LinearTransformer(nn.Module):
  def __init__(self, vocab_size, max_len, n_layers, n_heads, query_dimensions, feed_forward_dimensions, mixtures, causal,
               activation="gelu", final_normalization=True):
    super().__init__()
    width = n_heads * query_dimensions
    self.value_embedding = nn.Embedding(vocab_size, width)
    self.transformer = nn.Module()
    self.transformer.layers = nn.ModuleList(
        LinearLayer(width, n_heads, feed_forward_dimensions, causal, activation) for _ in range(n_layers))
    self.transformer.norm = nn.LayerNorm(width) if final_normalization else nn.Identity()
    self.predictor = nn.Linear(width, 3 * mixtures)

  def forward(self, input_ids, attention_mask):
    x = self.value_embedding(input_ids)
    a = angles(*x.shape[1:])
    x = x + torch.stack((a.sin(), a.cos()), -1).flatten(1)
    for layer in self.transformer.layers:
      x = layer(x, attention_mask)
    return self.predictor(self.transformer.norm(x))


# -- Hua et al. 2022 --

class ScaleNorm(nn.Module):
  def __init__(self, width):
    super().__init__()
    self.g = nn.Parameter(torch.ones(1))

  def forward(self, x):
    return x / (x.norm(dim=-1, keepdim=True) * x.shape[-1] ** -0.5).clamp(min=1e-5) * self.g


def rotate(x, width):
  """Neighbours of the first `width` channels are coordinates of a point, turned by its place."""
  a = angles(x.shape[1], width)
  turned = torch.view_as_complex(x[..., :width].unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(a), a)
  return torch.cat((torch.view_as_real(turned).flatten(-2), x[..., width:]), -1)


class GatedAttention(nn.Module):
  def __init__(self, c):
    super().__init__()
    inner = int(c.dim * c.expansion_factor)
    self.c, self.inner = c, inner
    self.norm = ScaleNorm(c.dim) if c.norm_type == "scalenorm" else nn.LayerNorm(c.dim)
    self.to_hidden = nn.Sequential(nn.Linear(c.dim, 2 * inner), nn.SiLU())
    self.to_qk = nn.Sequential(nn.Linear(c.dim, c.query_key_dim), nn.SiLU())
    self.to_out = nn.Linear(inner, c.dim)
    self.qk_offset_scale, self.rel_pos_bias = nn.Module(), nn.Module()
    uses = 2 if c.attention == "quadratic" else 4
    self.qk_offset_scale.gamma = nn.Parameter(torch.ones(uses, c.query_key_dim))
    self.qk_offset_scale.beta = nn.Parameter(torch.zeros(uses, c.query_key_dim))
    self.rel_pos_bias.relative_attention_bias = nn.Embedding(c.num_buckets, 1)

  def weights(self, z, mask):
    """[batch, seq, seq]: of every token for every token, the linear ones too."""
    c, n = self.c, z.shape[1]
    turned = [z * g + b for g, b in zip(self.qk_offset_scale.gamma, self.qk_offset_scale.beta)]
    if c.rotary_dim:
      turned = [rotate(x, min(c.rotary_dim, c.query_key_dim)) for x in turned]
    at = np.arange(n)
    distance = at[None] - at[:, None]
    buckets = torch.from_numpy(position_bucket(distance, c.num_buckets, c.max_distance, c.causal))
    bias = self.rel_pos_bias.relative_attention_bias(buckets)[..., 0]
    past = torch.from_numpy(distance <= 0) if c.causal else torch.ones(n, n, dtype=torch.bool)
    if c.attention == "quadratic":
      q, k = turned
      a = relu(q @ k.transpose(1, 2) / n + bias) ** 2 * past
    else:
      group = torch.from_numpy(at // c.group_size)
      q, q_linear, k, k_linear = turned
      a = relu(q @ k.transpose(1, 2) / c.group_size + bias) ** 2 * (past & (group[:, None] == group[None]))
      linear = q_linear @ k_linear.transpose(1, 2)
      a = a + (linear / c.group_size * (group[:, None] > group[None]) if c.causal else linear / n)
    return a * mask[:, None]

  def forward(self, x, mask):
    h = self.norm(x)
    if self.c.shift_tokens:
      back, stay = h.chunk(2, -1)
      h = torch.cat((torch.cat((torch.zeros_like(back[:, :1]), back[:, :-1]), 1), stay), -1)
    v, gate = self.to_hidden(h).chunk(2, -1)
    return x + self.to_out(gate * (self.weights(self.to_qk(h), mask) @ v))


class Flash(nn.Module):
  def __init__(self, **settings):
    super().__init__()
    self.c = SimpleNamespace(**settings)
    self.token_emb = nn.Embedding(self.c.vocab_size, self.c.dim)
    self.abs_pos_emb = nn.Module()
    self.abs_pos_emb.scale = nn.Parameter(torch.ones(1))
    self.layers = nn.ModuleList(GatedAttention(self.c) for _ in range(self.c.depth))
    self.norm = nn.LayerNorm(self.c.dim)
    if not self.c.tie_word_embeddings:
      self.to_logits = nn.Linear(self.c.dim, self.c.vocab_size)

  def forward(self, input_ids, attention_mask):
    x = self.token_emb(input_ids)
    a = angles(*x.shape[1:])
    x = x + torch.cat((a.sin(), a.cos()), -1) * self.abs_pos_emb.scale
    for layer in self.layers:
      x = layer(x, attention_mask)
    x = self.norm(x)
    return x @ self.token_emb.weight.T if self.c.tie_word_embeddings else self.to_logits(x)


def family(module, output):
  return Family(new_module(module), save_state, tokens, lambda model, inputs: {output: model(**inputs)})


LINEAR, FLASH = family(LinearTransformer, "prediction"), family(Flash, "logits")

# name: (family, config, cases)
CHECKPOINTS = {
  "linear_transformer-causal": (
    LINEAR,
    dict(vocab_size=61, max_len=64, n_layers=2, n_heads=4, query_dimensions=8, feed_forward_dimensions=40, mixtures=3,
         causal=True),
    [(1, 1, "full"), (2, 33, "right"), (1, 64, "full")],
  ),
  "linear_transformer-all": (
    LINEAR,
    dict(vocab_size=47, max_len=90, n_layers=2, n_heads=3, query_dimensions=10, feed_forward_dimensions=37, mixtures=2,
         causal=False, activation="relu"),
    [(1, 5, "full"), (3, 17, "ragged"), (2, 90, "right")],
  ),
  "linear_transformer-wide": (
    LINEAR,
    dict(vocab_size=31, max_len=50, n_layers=1, n_heads=2, query_dimensions=19, feed_forward_dimensions=50, mixtures=10,
         causal=True, final_normalization=False),
    [(2, 21, "ragged"), (4, 3, "right")],
  ),
  "flash-quadratic": (
    FLASH,
    dict(attention="quadratic", vocab_size=53, dim=32, depth=2, query_key_dim=16, expansion_factor=2,
         norm_type="layernorm", num_buckets=32, max_distance=128, rotary_dim=0, shift_tokens=False, causal=False,
         tie_word_embeddings=True),
    [(1, 1, "full"), (3, 24, "ragged"), (1, 70, "full")],
  ),
  "flash-quadratic-causal": (
    FLASH,
    dict(attention="quadratic", vocab_size=47, dim=20, depth=3, query_key_dim=11, expansion_factor=1.5,
         norm_type="scalenorm", num_buckets=12, max_distance=20, rotary_dim=6, shift_tokens=True, causal=True,
         tie_word_embeddings=False),
    [(2, 24, "right"), (1, 61, "full")],
  ),
  "flash-quadratic-rotary": (
    FLASH,
    dict(attention="quadratic", vocab_size=59, dim=26, depth=1, query_key_dim=24, expansion_factor=2,
         norm_type="scalenorm", num_buckets=16, max_distance=40, rotary_dim=24, shift_tokens=True, causal=False,
         tie_word_embeddings=True),
    [(2, 13, "left"), (1, 96, "full")],
  ),
  "flash-mixed": (
    FLASH,
    dict(attention="mixed", vocab_size=61, dim=32, depth=2, group_size=8, query_key_dim=16, expansion_factor=2,
         norm_type="scalenorm", num_buckets=32, max_distance=128, rotary_dim=32, shift_tokens=True, causal=False,
         tie_word_embeddings=True),
    [(1, 1, "full"), (3, 20, "ragged"), (2, 64, "right")],
  ),
  "flash-mixed-causal": (
    FLASH,
    dict(attention="mixed", vocab_size=43, dim=24, depth=2, group_size=7, query_key_dim=10, expansion_factor=2,
         norm_type="layernorm", num_buckets=16, max_distance=30, rotary_dim=4, shift_tokens=True, causal=True,
         tie_word_embeddings=False),
    [(1, 6, "full"), (2, 20, "ragged"), (1, 70, "full"), (3, 14, "right")],
  ),
  "flash-mixed-wide": (
    FLASH,
    dict(attention="mixed", vocab_size=37, dim=18, depth=3, group_size=32, query_key_dim=9, expansion_factor=1.5,
         norm_type="scalenorm", num_buckets=32, max_distance=128, rotary_dim=0, shift_tokens=False, causal=True,
         tie_word_embeddings=True),
    [(2, 64, "right"), (1, 33, "full"), (3, 5, "ragged")],
  ),
}
