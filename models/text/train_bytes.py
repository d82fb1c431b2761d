"""Trains a byte-level language model for models/transformer/llama.yaml, and Medusa heads on it for medusa.yaml.

    apt-get install bible-kjv && tools/python/venv
    build/venv/bin/python models/text/train_bytes.py            trains (20 minutes on one core), writes everything
    build/venv/bin/python models/text/train_bytes.py --heads    the same from the stored model: heads alone (4 minutes)
    build/venv/bin/python models/text/train_bytes.py --export   the same from the stored weights

In:   the King James Version of the Bible, 1611, as Debian's packages bible-kjv and bible-kjv-text (4.38) hold it; its
      copyright has expired. One verse a line, without its reference; an empty line before each chapter. 4.1 MB.
Out:  models/text/bytes/config.json, model.safetensors           named as LlamaForCausalLM names them; bf16
      models/text/bytes/medusa/config.json, medusa_lm_head.safetensors    as the authors of Medusa name them; bf16
      models/text/bytes/heldout.txt            the books HELD, which training never saw
      tests/data/bytes_expected.safetensors    what tests compare with, see export()

Method: Llama (Touvron et al. 2023, arXiv:2302.13971) from scratch, on windows from anywhere in the text. Matrices of
the layers by Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon: momentum, made orthogonal by five
Newton-Schulz steps), the rest by Adam (Kingma, Ba 2014, arXiv:1412.6980). The rate rises for WARM steps, stays, and
falls to 0 over the last part COOL. Medusa (Cai et al. 2024, arXiv:2401.10774): heads on the frozen model, head k on the
byte k + 2 places on. The seed is fixed: the same library versions on the same kind of processor give the same weights.
"""
import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
from ml_dtypes import bfloat16
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent / "bytes"
MODEL, MEDUSA = HERE / "model.safetensors", HERE / "medusa" / "medusa_lm_head.safetensors"
EXPECTED = HERE.parent.parent.parent / "tests" / "data" / "bytes_expected.safetensors"
TEXT_SHA256 = "cd45f0c9cedab8e4439bd6486c8952c77cc8b0ecc5d1f6ae3513f2039f47229d"
HELD = ("Ruth", "Jonah", "Jas")  # James; no other book tells what these tell
PROMPT = b"And it came to pass in those days, that "

VOCAB, WIDTH, LAYERS, HEADS, KV_HEADS, MLP, CONTEXT, GUESSES = 256, 128, 4, 4, 2, 384, 256, 3
HEAD_DIM, EPS, THETA = WIDTH // HEADS, 1e-5, 10000.0
CONFIG = dict(model_type="llama", vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=MLP, num_hidden_layers=LAYERS,
              num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, hidden_act="silu",
              max_position_embeddings=CONTEXT, rms_norm_eps=EPS, rope_theta=THETA, tie_word_embeddings=False,
              eos_token_id=0, max_new_tokens=200)
MEDUSA_CONFIG = dict(medusa_num_heads=GUESSES, medusa_num_layers=1, medusa_top_k=3, medusa_choices=[
    [0], [1], [2], [0, 0], [0, 1], [1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]])

SEED, BATCH, STEPS, MEDUSA_STEPS, CHUNK, WARM, COOL = 11, 16, 700, 500, 50, 50, 0.6
MUON_RATE, ADAM_RATE, MEDUSA_RATE = 0.02, 3e-3, 4e-3


# -- data --


def read_text():
  """Training text and held-out text, u8[n] each."""
  try:
    printed = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], capture_output=True, check=True).stdout.decode()
  except (OSError, subprocess.CalledProcessError) as e:
    sys.exit(f"error: cannot run `bible` ({e}); install it: apt-get install bible-kjv")
  found = hashlib.sha256(printed.encode()).hexdigest()
  if found != TEXT_SHA256:
    sys.exit(f"error: not the text of bible-kjv-text 4.38: sha256 {found}")
  parts, last = {True: [], False: []}, None
  for line in printed.splitlines():
    book, chapter, verse = re.fullmatch(r"(\d?[A-Za-z]+)(\d+):\d+ (.*)", line).groups()
    parts[book in HELD].append(verse + "\n" if (book, chapter) == last else "\n" + verse + "\n")
    last = book, chapter
  return tuple(np.frombuffer("".join(parts[held]).encode(), np.uint8) for held in (False, True))


def windows(text, starts):
  """i32[starts..., CONTEXT + 1]."""
  return text[np.asarray(starts)[..., None] + np.arange(CONTEXT + 1)].astype(np.int32)


# -- the model; names are those of the published checkpoints --


def init(key):
  """Weights f32 by name; matrices are normal, deviation 1/sqrt(inputs), and 0 where a residual branch ends."""
  shapes = {"model.embed_tokens": (VOCAB, WIDTH), "lm_head": (VOCAB, WIDTH), "model.norm": (WIDTH,)}
  for i in range(LAYERS):
    at = f"model.layers.{i}."
    shapes |= {at + "self_attn.q_proj": (HEADS * HEAD_DIM, WIDTH), at + "self_attn.o_proj": (WIDTH, HEADS * HEAD_DIM)}
    shapes |= {at + f"self_attn.{part}_proj": (KV_HEADS * HEAD_DIM, WIDTH) for part in "kv"}
    shapes |= {at + "mlp.gate_proj": (MLP, WIDTH), at + "mlp.up_proj": (MLP, WIDTH), at + "mlp.down_proj": (WIDTH, MLP)}
    shapes |= {at + f"{part}_layernorm": (WIDTH,) for part in ("input", "post_attention")}
  weights = {}
  for k, (name, shape) in zip(jax.random.split(key, len(shapes)), shapes.items()):
    gain = 0.0 if re.search("o_proj|down_proj|lm_head", name) else shape[-1] ** -0.5
    weights[name + ".weight"] = jnp.ones(shape) if len(shape) == 1 else gain * jax.random.normal(k, shape)
  return weights


def trunk(w, ids):
  """The normalised state f32[batch, time, WIDTH] after each byte."""
  batch, time = ids.shape
  angle = jnp.arange(time)[:, None] * THETA ** (-2 * jnp.arange(HEAD_DIM // 2) / HEAD_DIM)
  cos, sin, seen = jnp.cos(angle), jnp.sin(angle), jnp.tril(jnp.ones((time, time), bool))
  norm = lambda x, name: x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + EPS) * w[name + ".weight"]
  linear = lambda x, name: x @ w[name + ".weight"].T
  split = lambda x: x.reshape(batch, time, -1, HEAD_DIM).swapaxes(1, 2)

  def rotate(x):
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate((a * cos - b * sin, b * cos + a * sin), -1)

  def attend(x, at):  # heads that share keys are rows of one product
    q = rotate(split(linear(x, at + "q_proj"))).reshape(batch, KV_HEADS, -1, HEAD_DIM)
    k, v = rotate(split(linear(x, at + "k_proj"))), split(linear(x, at + "v_proj"))
    scores = (q @ k.swapaxes(2, 3) * HEAD_DIM**-0.5).reshape(batch, KV_HEADS, -1, time, time)
    p = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1).reshape(batch, KV_HEADS, -1, time)
    return linear((p @ v).reshape(batch, HEADS, time, HEAD_DIM).swapaxes(1, 2).reshape(batch, time, -1), at + "o_proj")

  x = w["model.embed_tokens.weight"][ids]
  for i in range(LAYERS):
    at = f"model.layers.{i}."
    x = x + attend(norm(x, at + "input_layernorm"), at + "self_attn.")
    h = norm(x, at + "post_attention_layernorm")
    x = x + linear(jax.nn.silu(linear(h, at + "mlp.gate_proj")) * linear(h, at + "mlp.up_proj"), at + "mlp.down_proj")
  return norm(x, "model.norm")


def bits(logits, ids):
  """-log2 of the probability that logits give to ids."""
  return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[..., None], -1)[..., 0] / np.log(2)


def loss(w, rows):
  return bits(trunk(w, rows[:, :-1]) @ w["lm_head.weight"].T, rows[:, 1:]).mean()


def medusa_loss(heads, w, rows):
  """Mean over the heads of the bits for the byte k + 2 places on."""
  x, total = trunk(w, rows[:, :-1]), 0
  for k in range(GUESSES):
    h = x + jax.nn.silu(x @ heads[f"{k}.0.linear.weight"].T + heads[f"{k}.0.linear.bias"])
    total += bits((h @ heads[f"{k}.1.weight"].T)[:, : -k - 1], rows[:, k + 2 :]).mean()
  return total / GUESSES


# -- training --


def orthogonal(m):
  """About m with all singular values 1."""
  wide = m.shape[0] <= m.shape[1]
  x = (m if wide else m.T) / (jnp.linalg.norm(m) + 1e-7)
  for _ in range(5):
    a = x @ x.T
    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
  return x if wide else x.T * (m.shape[0] / m.shape[1]) ** 0.5


def optimise(objective, weights, text, held, steps, rate):
  """The weights after `steps` steps; prints the mean objective of each CHUNK of them, and that of the held-out text."""
  muon = {k: k.startswith("model.layers.") and w.ndim == 2 for k, w in weights.items()}

  def step(state, now):
    w, m, v = state
    t, rows = now
    value, grad = jax.value_and_grad(objective)(w, rows)
    scale = jnp.minimum(jnp.minimum((t + 1) / WARM, 1), (steps - t) / (COOL * steps))
    m = {k: 0.95 * m[k] + g if muon[k] else 0.9 * m[k] + 0.1 * g for k, g in grad.items()}
    v = {k: v[k] if muon[k] else 0.98 * v[k] + 0.02 * g * g for k, g in grad.items()}
    adam = lambda k: m[k] / (1 - 0.9 ** (t + 1)) / (jnp.sqrt(v[k] / (1 - 0.98 ** (t + 1))) + 1e-8)
    change = {k: MUON_RATE * orthogonal(grad[k] + 0.95 * m[k]) if muon[k] else rate * adam(k) for k in w}
    return ({k: w[k] - scale * change[k] for k in w}, m, v), value

  chunk = jax.jit(lambda state, t, rows: jax.lax.scan(step, state, (t, rows)))
  score, unseen = jax.jit(objective), windows(held, range(0, len(held) - CONTEXT, CONTEXT))
  zero = {k: jnp.zeros_like(w) for k, w in weights.items()}
  state, rng, began = (weights, zero, zero), np.random.default_rng(SEED), time.process_time()
  for t in range(0, steps, CHUNK):
    rows = windows(text, rng.integers(0, len(text) - CONTEXT - 1, (CHUNK, BATCH)))
    state, values = chunk(state, t + jnp.arange(CHUNK, dtype=jnp.float32), rows)
    print(f"step {t + CHUNK}: {values.mean():.3f} bits a byte, held out {score(state[0], unseen):.3f}; "
          f"{time.process_time() - began:.0f} s", flush=True)
  return state[0]


def save(weights, file):
  file.parent.mkdir(parents=True, exist_ok=True)
  save_file({k: np.asarray(w).astype(bfloat16) for k, w in sorted(weights.items())}, file)
  print(f"{file.name}: {sum(w.size for w in weights.values())} parameters, {file.stat().st_size} bytes")


def load(file):
  return {k: jnp.asarray(w, jnp.float32) for k, w in load_file(file).items()}


def train_heads(model, text, held):
  heads = {}
  for k in range(GUESSES):  # as the authors begin: each guesses what the model says next
    heads |= {f"{k}.0.linear.weight": jnp.zeros((WIDTH, WIDTH)), f"{k}.0.linear.bias": jnp.zeros(WIDTH)}
    heads |= {f"{k}.1.weight": model["lm_head.weight"]}
  return optimise(lambda h, rows: medusa_loss(h, model, rows), heads, text, held, MEDUSA_STEPS, MEDUSA_RATE)


# -- results --


def bits_per_byte(w, held):
  """Of held[1:], each byte after at least CONTEXT / 2 others where there are so many; a rest of less is left out."""
  half = CONTEXT // 2
  rows = windows(held, range(0, len(held) - CONTEXT, half))
  each = np.asarray(bits(trunk(w, rows[:, :-1]) @ w["lm_head.weight"].T, rows[:, 1:]), np.float64)
  return np.concatenate((each[0], each[1:, half:].ravel())).mean()


def greedy(w):
  """PROMPT continued to CONTEXT bytes, and how far the best byte is ahead of the second where it is least so."""
  ids, least = np.zeros((1, CONTEXT), np.int32), np.inf
  ids[0, : len(PROMPT)] = list(PROMPT)
  score = jax.jit(lambda ids: trunk(w, ids)[0] @ w["lm_head.weight"].T)
  for t in range(len(PROMPT), CONTEXT):
    logits = np.asarray(score(ids)[t - 1])
    ids[0, t] = logits.argmax()
    least = min(least, np.subtract(*np.sort(logits)[:-3:-1]))
  return ids[0].astype(np.uint8), least


def export(w, text, held):
  """What tests compare with, from the stored weights: `text` u8[CONTEXT], of which the first `prompt` bytes are given,
  and bits_per_byte of the held-out text: by the model, by xz -9, and by xz -9 after the training text."""
  best = [dict(id=lzma.FILTER_LZMA2, preset=9)]
  xz = lambda data: 8 * len(lzma.compress(data.tobytes(), lzma.FORMAT_RAW, filters=best))
  both = np.concatenate((text, held))
  scores = np.float32([bits_per_byte(w, held), xz(held) / len(held), (xz(both) - xz(text)) / len(held)])
  print("held out: model %.3f bits a byte; xz -9 %.3f, %.3f after the training text" % tuple(scores))
  completed, least = greedy(w)
  print(completed.tobytes().decode(errors="replace"))
  if least < 1e-3:
    sys.exit(f"error: the best byte is ahead by {least}, so rounding decides; another PROMPT, please")
  save_file({"text": completed, "prompt": np.int32([len(PROMPT)]), "bits_per_byte": scores}, EXPECTED)
  for config, file in ((CONFIG, MODEL), (MEDUSA_CONFIG, MEDUSA)):
    (file.parent / "config.json").write_text(json.dumps(config, indent=2) + "\n")
  (HERE / "heldout.txt").write_bytes(held)


if __name__ == "__main__":
  if sys.argv[1:] not in ([], ["--heads"], ["--export"]):
    sys.exit("usage: train_bytes.py [--heads | --export]")
  texts = read_text()
  print(f"{len(texts[0])} bytes to train on, {len(texts[1])} held out")
  if not sys.argv[1:]:
    start = init(jax.random.split(jax.random.key(SEED))[0])
    save(optimise(loss, start, *texts, STEPS, ADAM_RATE), MODEL)
  if sys.argv[1:] in ([], ["--heads"]):
    save(train_heads(load(MODEL), *texts), MEDUSA)
  export(load(MODEL), *texts)
