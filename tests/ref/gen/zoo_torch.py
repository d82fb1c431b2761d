"""The checkpoints of the zoo whose judge is torch, or is written here from the paper. A case is (batch, sizes..., what
sets it apart)."""

import json
from types import SimpleNamespace

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import gelu, silu

from gen.checkpoints import Family, join_heads, mask_of, new_module, save_state, split_heads


# -- Vaswani et al. 2017: torch.nn.Transformer --

def sequences(config, case, rng):
  batch, src, tgt, kind = case
  return {"src": rng.standard_normal((batch, src, config.d_model)).astype(np.float32),
          "tgt": rng.standard_normal((batch, tgt, config.d_model)).astype(np.float32),
          "src_key_padding_mask": mask_of(kind, batch, src, rng) == 0,
          "tgt_key_padding_mask": mask_of(kind, batch, tgt, rng) == 0,
          "memory_key_padding_mask": mask_of(kind, batch, src, rng) == 0}


def new_transformer(settings):
  arguments = {k: v for k, v in settings.items() if k != "tgt_is_causal"}
  model = nn.Transformer(batch_first=True, **arguments)
  model.config = SimpleNamespace(**settings)
  return model


def run_transformer(model, x):
  n = x["tgt"].shape[1]
  causal = torch.ones(n, n, dtype=torch.bool).triu(1) if getattr(model.config, "tgt_is_causal", True) else None
  with torch.enable_grad():  # the fast path of inference gives zeros for padding
    memory = model.encoder(x["src"], src_key_padding_mask=x["src_key_padding_mask"])
    output = model(x["src"], x["tgt"], tgt_mask=causal, **{k: v for k, v in x.items() if k.endswith("_padding_mask")})
  return {"output": output.detach(), "memory": memory.detach()}


# -- Cai et al. 2024 --

class Medusa(nn.Module):
  def __init__(self, heads, layers, base):
    super().__init__()
    self.base = hf.LlamaForCausalLM(hf.LlamaConfig(**base))
    self.config, width = self.base.config, base["hidden_size"]
    self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(heads))
    self.outs = nn.ModuleList(nn.Linear(width, base["vocab_size"], bias=False) for _ in range(heads))
    self.layers = layers

  def forward(self, input_ids, position_ids, tree_mask):
    x = self.base.model(input_ids, attention_mask=tree_mask[:, None], position_ids=position_ids, use_cache=False)[0]
    guesses = []
    for block, out in zip(self.blocks, self.outs):
      h = x
      for _ in range(self.layers):
        h = h + silu(block(h))
      guesses.append(out(h))
    return {"medusa_logits": torch.stack(guesses), "logits": self.base.lm_head(x)}


def save_medusa(model, settings, folder):
  """The base as published, and the heads in a file of their own."""
  model.base.save_pretrained(folder)
  (folder / "generation_config.json").unlink(missing_ok=True)
  (folder / "config.json").rename(folder / "config.base.json")
  heads = {}
  for k, (block, out) in enumerate(zip(model.blocks, model.outs)):
    heads |= {f"{k}.0.linear.{name}": p for name, p in block.state_dict().items()}
    heads |= {f"{k}.{model.layers}.weight": out.weight.data}
  save_file(heads, folder / "medusa_lm_head.safetensors")
  config = {"medusa_num_heads": len(model.outs), "medusa_num_layers": model.layers}
  (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def trees(config, case, rng):
  """A prompt, then a random tree below its last token: the mask holds each token's ancestors."""
  batch, prompt, nodes, _ = case
  n = prompt + nodes
  mask, position = np.zeros((batch, n, n), bool), np.zeros((batch, n), np.int32)
  for b in range(batch):
    for i in range(n):
      parent = i - 1 if i <= prompt else rng.integers(prompt - 1, i)
      mask[b, i] = mask[b, parent] if i else False
      mask[b, i, i] = True
      position[b, i] = mask[b, i].sum() - 1
  return {"input_ids": rng.integers(0, config.vocab_size, (batch, n), dtype=np.int32), "position_ids": position,
          "tree_mask": mask}


# -- Wang et al. 2021 --

class Attention(nn.Module):
  def __init__(self, width, heads):
    super().__init__()
    self.query_projection, self.key_projection = nn.Linear(width, width), nn.Linear(width, width)
    self.value_projection, self.out_projection = nn.Linear(width, width), nn.Linear(width, width)
    self.heads = heads

  def forward(self, x, y, causal=False):
    q, k, v = (split_heads(p(z), self.heads) for p, z in
               ((self.query_projection, x), (self.key_projection, y), (self.value_projection, y)))
    return self.out_projection(join_heads(weigh(q, k, causal) @ v))


def weigh(q, k, causal=False):
  s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
  return (s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -torch.inf) if causal else s).softmax(-1)


class SelfAttention(nn.Module):
  def __init__(self, width, heads):
    super().__init__()
    self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width), heads

  def forward(self, x):
    q, k, v = (split_heads(y, self.heads) for y in self.qkv(x).chunk(3, -1))
    return self.proj(join_heads(weigh(q, k) @ v))


class FeedForward(nn.Module):
  def __init__(self, width, hidden):
    super().__init__()
    self.net = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width))

  def forward(self, x):
    return self.net(x)


class PreNorm(nn.Module):
  def __init__(self, width, fn):
    super().__init__()
    self.fn = nn.Module()
    self.fn.norm, self.fn.fn = nn.LayerNorm(width), fn

  def forward(self, x):
    return x + self.fn.fn(self.fn.norm(x))


class DecoderLayer(nn.Module):
  def __init__(self, width, heads, hidden):
    super().__init__()
    self.self_attention, self.cross_attention = Attention(width, heads), Attention(width, heads)
    self.conv1, self.conv2 = nn.Conv1d(width, hidden, 1), nn.Conv1d(hidden, width, 1)
    self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

  def forward(self, x, memory):
    x = self.norm1(x + self.self_attention(x, x, causal=True))
    x = self.norm2(x + self.cross_attention(x, memory))
    return self.norm3(x + self.conv2(gelu(self.conv1(x.transpose(1, 2)))).transpose(1, 2))


class OadTR(nn.Module):
  def __init__(self, enc_layers, dim_rgb, dim_feature, embedding_dim, num_heads, num_layers, hidden_dim, query_num,
               decoder_layers, decoder_num_heads, decoder_embedding_dim, decoder_embedding_dim_out, numclass):
    super().__init__()
    width = embedding_dim
    self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
    self.linear_encoding = nn.Linear(dim_feature, width)
    self.position_encoding, self.encoder, self.decoder = nn.Module(), nn.Module(), nn.Module()
    self.position_encoding.pe = nn.Embedding(enc_layers + 1, width)
    self.encoder.net = nn.Sequential(*(
        PreNorm(width, fn) for _ in range(num_layers)
        for fn in (SelfAttention(width, num_heads), FeedForward(width, hidden_dim))))
    self.pre_head_ln = nn.LayerNorm(width)
    self.decoder_cls_token = nn.Parameter(torch.zeros(1, query_num, width))
    self.decoder.layers = nn.Sequential(*(
        DecoderLayer(width, decoder_num_heads, decoder_embedding_dim_out) for _ in range(decoder_layers)))
    self.decoder.norm = nn.LayerNorm(width)
    self.mlp_head, self.classifier = nn.Linear(2 * width, numclass), nn.Linear(width, numclass)

  def forward(self, sequence_input_rgb, sequence_input_flow):
    x = self.linear_encoding(torch.cat((sequence_input_rgb, sequence_input_flow), 2))
    x = torch.cat((x, self.cls_token.expand(len(x), -1, -1)), 1) + self.position_encoding.pe.weight
    x = self.pre_head_ln(self.encoder.net(x))
    y = self.decoder_cls_token.expand(len(x), -1, -1)
    for layer in self.decoder.layers:
      y = layer(y, x)
    y = self.decoder.norm(y)
    return {"labels_encoder": self.mlp_head(torch.cat((x[:, -1], y.mean(1)), 1)), "labels_decoder": self.classifier(y)}


def features(config, case, rng):
  shape = (case[0], config.enc_layers)
  return {"sequence_input_rgb": rng.standard_normal((*shape, config.dim_rgb)).astype(np.float32),
          "sequence_input_flow": rng.standard_normal((*shape, config.dim_feature - config.dim_rgb)).astype(np.float32)}


TRANSFORMER = Family(new_transformer, save_state, sequences, run_transformer)
MEDUSA = Family(lambda s: Medusa(**s), save_medusa, trees, lambda model, inputs: model(**inputs))
OADTR = Family(new_module(OadTR), save_state, features, lambda model, inputs: model(**inputs))

# name: (family, config, cases)
CHECKPOINTS = {
  "transformer-post": (
    TRANSFORMER,
    dict(d_model=32, nhead=4, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=40, tgt_is_causal=True),
    [(1, 1, 1, "full"), (2, 13, 7, "right"), (1, 33, 40, "full")],
  ),
  "transformer-pre": (
    TRANSFORMER,
    dict(d_model=24, nhead=3, num_encoder_layers=2, num_decoder_layers=1, dim_feedforward=37, activation="gelu",
         norm_first=True, tgt_is_causal=True),
    [(3, 5, 12, "ragged"), (2, 40, 21, "right")],
  ),
  "transformer-free": (
    TRANSFORMER,
    dict(d_model=20, nhead=5, num_encoder_layers=1, num_decoder_layers=3, dim_feedforward=28, layer_norm_eps=1e-6,
         bias=False, tgt_is_causal=False),
    [(2, 11, 7, "left"), (4, 3, 17, "ragged")],
  ),
  "medusa-mha": (
    MEDUSA,
    dict(heads=3, layers=1, base=dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=38,
                                      vocab_size=61)),
    [(1, 1, 0, "prompt"), (2, 5, 9, "tree"), (1, 30, 20, "tree")],
  ),
  "medusa-gqa": (
    MEDUSA,
    dict(heads=5, layers=1, base=dict(hidden_size=30, num_attention_heads=6, num_key_value_heads=2,
                                      num_hidden_layers=1, intermediate_size=50, vocab_size=47, head_dim=10)),
    [(3, 4, 9, "tree"), (1, 1, 26, "tree")],
  ),
  "medusa-layers": (
    MEDUSA,
    dict(heads=2, layers=2, base=dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=1, intermediate_size=41,
                                      vocab_size=53, tie_word_embeddings=True)),
    [(2, 7, 12, "tree"), (1, 17, 3, "tree")],
  ),
  "oadtr-small": (
    OADTR,
    dict(enc_layers=8, dim_rgb=20, dim_feature=33, embedding_dim=32, num_heads=4, num_layers=1, hidden_dim=32,
         query_num=2, decoder_layers=1, decoder_num_heads=2, decoder_embedding_dim=32, decoder_embedding_dim_out=32,
         numclass=7),
    [(1, "video"), (3, "videos")],
  ),
  "oadtr-deep": (
    OADTR,
    dict(enc_layers=17, dim_rgb=9, dim_feature=16, embedding_dim=20, num_heads=5, num_layers=2, hidden_dim=29,
         query_num=8, decoder_layers=3, decoder_num_heads=4, decoder_embedding_dim=20, decoder_embedding_dim_out=23,
         numclass=22),
    [(2, "videos"), (1, "video")],
  ),
  "oadtr-long": (
    OADTR,
    dict(enc_layers=64, dim_rgb=3, dim_feature=8, embedding_dim=21, num_heads=3, num_layers=1, hidden_dim=15,
         query_num=5, decoder_layers=2, decoder_num_heads=1, decoder_embedding_dim=21, decoder_embedding_dim_out=30,
         numclass=5),
    [(1, "video"), (4, "videos")],
  ),
}
