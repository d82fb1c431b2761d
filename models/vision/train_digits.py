"""Trains models/vision/digits.yaml and writes its weights, its held-out images and the expected outputs.

    build/venv/bin/python models/vision/train_digits.py            trains (a minute on one core), writes everything
    build/venv/bin/python models/vision/train_digits.py --export   the same from the stored weights

In:   the UCI handwritten digits that come with scikit-learn: 1797 images, 8x8, values 0..16
      (E. Alpaydin, C. Kaynak 1998, Optical Recognition of Handwritten Digits; CC BY 4.0).
Out:  models/vision/digits.safetensors           weights, f32, named by the scopes of digits.yaml
      models/vision/digits/heldout.safetensors   images u8[n, 8, 8] (0..16) and labels i32[n] that training never saw
      models/vision/digits/<label>_<index>.png   8-bit grey: the first two of each label that the model reads right;
                                                 index counts within heldout.safetensors
      tests/data/digits_expected.safetensors     image f32[32, 8, 8], logits and probabilities f32[32, 10] for the first
                                                 32 held-out images, computed in f64 and rounded once

The model's input is pixel / 16. A PNG holds round(pixel * 255 / 16), so that grey / 255 is the same number to within
0.5 / 255; the script checks that this rounding changes no decision.

Method: Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), AdamW (Loshchilov, Hutter 2017,
arXiv:1711.05101) with a cosine schedule, label smoothing, small random shifts, turns and scalings of the training
images, and an exponential moving average of the weights. The seed is fixed: the same library versions on the same kind
of processor give the same weights.
"""
import hashlib
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits

jax.config.update("jax_enable_x64", True)  # training names f32 everywhere; the expected outputs are computed in f64

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE / "digits.safetensors"
EXPECTED = HERE.parent.parent / "tests" / "data" / "digits_expected.safetensors"
SPLIT_SHA256 = "59992a45f45365423610792fa2843f96b36818c9f633c86c312f5f5844bc2779"

# the config of digits.yaml
SIDE, PATCH, WIDTH, LAYERS, HEADS, MLP, CLASSES = 8, 2, 64, 2, 4, 128, 10
GRID = SIDE // PATCH

SEED, EPOCHS, BATCH = 7, 400, 96
PEAK_RATE, WEIGHT_DECAY, SMOOTHING, EMA = 2e-3, 0.05, 0.05, 0.998


# -- data --


def split(images):
  """Held-out mask bool[n]: the sha256 of an image's bytes, read as a big-endian number, is divisible by 5."""
  digest = lambda image: int.from_bytes(hashlib.sha256(image.tobytes()).digest(), "big")
  held = np.array([digest(image) % 5 == 0 for image in images])
  indices = ",".join(str(i) for i in np.flatnonzero(held))
  found = hashlib.sha256(indices.encode()).hexdigest()
  if found != SPLIT_SHA256:
    sys.exit(f"error: the held-out split is not the pinned one: {found}; the data set has changed")
  return held


def augment(key, images):
  """Random affine views of f32[n, 8, 8]: up to 12 degrees, 10% of size, 0.8 pixel of place; bilinear, 0 outside."""
  n = images.shape[0]
  k1, k2, k3 = jax.random.split(key, 3)
  angle = jax.random.uniform(k1, (n,), jnp.float32, -0.21, 0.21)
  scale = jax.random.uniform(k2, (n, 2), jnp.float32, 0.9, 1.1)
  shift = jax.random.uniform(k3, (n, 2), jnp.float32, -0.8, 0.8)
  centre = (SIDE - 1) / 2
  along = jnp.arange(SIDE, dtype=jnp.float32) - centre
  y, x = jnp.meshgrid(along, along, indexing="ij")

  def one(image, t, s, d):
    rows = s[0] * (jnp.cos(t) * y - jnp.sin(t) * x) + centre + d[0]
    cols = s[1] * (jnp.sin(t) * y + jnp.cos(t) * x) + centre + d[1]
    return jax.scipy.ndimage.map_coordinates(image, [rows, cols], order=1, mode="constant")

  return jax.vmap(one)(images, angle, scale, shift)


# -- the model; names are the full weight names of digits.yaml --


def init(key):
  """Weights f32 by name. Matrices: truncated normal, deviation 1/sqrt(inputs), halved where a residual branch ends."""
  shapes = {"patch_embedding": (WIDTH, PATCH * PATCH), "head": (CLASSES, WIDTH)}
  norms = ["norm"]
  for i in range(LAYERS):
    shapes |= {f"layers.{i}.attention.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value", "out")}
    shapes |= {f"layers.{i}.mlp.fc1": (MLP, WIDTH), f"layers.{i}.mlp.fc2": (WIDTH, MLP)}
    norms += [f"layers.{i}.attention_norm", f"layers.{i}.mlp_norm"]
  keys = jax.random.split(key, len(shapes) + 1)
  weights = {"position_embedding": 0.1 * jax.random.normal(keys[-1], (GRID * GRID, WIDTH), jnp.float32)}
  for k, (name, (rows, cols)) in zip(keys, shapes.items()):
    gain = 0.5 if name.endswith((".out", ".fc2")) else 1.0
    weights[name + ".weight"] = gain * cols**-0.5 * jax.random.truncated_normal(k, -2, 2, (rows, cols), jnp.float32)
    weights[name + ".bias"] = jnp.zeros(rows, jnp.float32)
  for name in norms:
    weights[name + ".weight"] = jnp.ones(WIDTH, jnp.float32)
    weights[name + ".bias"] = jnp.zeros(WIDTH, jnp.float32)
  return weights


def forward(weights, image):
  """Logits [n, 10] for image [n, 8, 8] in 0..1, in the dtype of the arguments."""
  n = image.shape[0]

  def linear(x, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]

  def layer_norm(x, name):
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-5) * weights[name + ".weight"] + weights[name + ".bias"]

  def heads(x):
    return x.reshape(n, GRID * GRID, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

  def attend(x, name):
    q, k, v = (heads(linear(x, f"{name}.{part}")) for part in ("query", "key", "value"))
    scores = q @ k.transpose(0, 1, 3, 2) * (WIDTH // HEADS) ** -0.5
    mixed = jax.nn.softmax(scores, axis=-1) @ v
    return linear(mixed.transpose(0, 2, 1, 3).reshape(n, GRID * GRID, WIDTH), name + ".out")

  tiles = image.reshape(n, GRID, PATCH, GRID, PATCH).transpose(0, 1, 3, 2, 4)
  x = linear(tiles.reshape(n, GRID * GRID, PATCH * PATCH), "patch_embedding") + weights["position_embedding"]
  for i in range(LAYERS):
    x = x + attend(layer_norm(x, f"layers.{i}.attention_norm"), f"layers.{i}.attention")
    h = linear(layer_norm(x, f"layers.{i}.mlp_norm"), f"layers.{i}.mlp.fc1")
    x = x + linear(jax.nn.gelu(h, approximate=False), f"layers.{i}.mlp.fc2")
  return linear(layer_norm(x, "norm").mean(1), "head")


# -- training --


def train(images, labels):
  """The averaged weights after EPOCHS passes over images f32[n, 8, 8] and labels [n]."""
  steps = EPOCHS * (len(images) // BATCH)
  decayed = lambda name: name.endswith(".weight") and "norm" not in name

  def loss(weights, image, label):
    log_p = jax.nn.log_softmax(forward(weights, image))
    target = (1 - SMOOTHING) * jax.nn.one_hot(label, CLASSES, dtype=jnp.float32) + SMOOTHING / CLASSES
    return -(target * log_p).sum(-1).mean()

  @jax.jit
  def step(t, weights, m, v, average, key, image, label):
    value, grad = jax.value_and_grad(loss)(weights, augment(key, image), label)
    warm = jnp.minimum(1.0, (t + 1) / 200)
    rate = PEAK_RATE * warm * 0.5 * (1 + jnp.cos(jnp.pi * t / steps))
    c1, c2 = 1 - 0.9 ** (t + 1), 1 - 0.99 ** (t + 1)
    m = {k: 0.9 * m[k] + 0.1 * grad[k] for k in grad}
    v = {k: 0.99 * v[k] + 0.01 * jnp.square(grad[k]) for k in grad}
    change = lambda k: (m[k] / c1) / (jnp.sqrt(v[k] / c2) + 1e-8) + (WEIGHT_DECAY * weights[k] if decayed(k) else 0)
    weights = {k: (w - rate * change(k)).astype(jnp.float32) for k, w in weights.items()}
    keep = jnp.minimum(EMA, (t + 1) / (t + 10))
    average = {k: (keep * average[k] + (1 - keep) * weights[k]).astype(jnp.float32) for k in weights}
    return weights, m, v, average, value

  rng = np.random.default_rng(SEED)
  key, start = jax.random.split(jax.random.key(SEED))
  weights = init(start)
  m = v = {k: jnp.zeros_like(w) for k, w in weights.items()}
  average = weights
  began, t = time.monotonic(), 0
  for epoch in range(EPOCHS):
    order = rng.permutation(len(images))
    for i in range(len(images) // BATCH):
      rows = order[i * BATCH : (i + 1) * BATCH]
      key, now = jax.random.split(key)
      weights, m, v, average, value = step(jnp.float32(t), weights, m, v, average, now, images[rows], labels[rows])
      t += 1
    if epoch % 40 == 39:
      print(f"epoch {epoch + 1}: loss {value:.4f}, {time.monotonic() - began:.0f} s", flush=True)
  return {k: np.asarray(w) for k, w in average.items()}


# -- results --


def evaluate(weights, image):
  """Logits in f64."""
  wide = {k: jnp.asarray(w, jnp.float64) for k, w in weights.items()}
  return np.asarray(forward(wide, jnp.asarray(image, jnp.float64)))


def export(weights, pixels, labels):
  """Writes the held-out set, the PNGs and the expected outputs; refuses below 97%."""
  logits = evaluate(weights, pixels / 16)
  right = logits.argmax(1) == labels
  print(f"held out: {right.sum()} of {len(right)} right, {100 * right.mean():.2f}%")
  if right.mean() < 0.97:
    sys.exit("error: below 97%; nothing written")
  grey = np.round(pixels * (255 / 16)).astype(np.uint8)
  if (evaluate(weights, grey / 255).argmax(1) != logits.argmax(1)).any():
    sys.exit("error: rounding to 8-bit grey changes a decision")

  (HERE / "digits").mkdir(exist_ok=True)
  save_file({"images": pixels, "labels": labels.astype(np.int32)}, HERE / "digits" / "heldout.safetensors")
  for old in (HERE / "digits").glob("*.png"):
    old.unlink()
  for label in range(CLASSES):
    for index in np.flatnonzero((labels == label) & right)[:2]:
      Image.fromarray(grey[index], mode="L").save(HERE / "digits" / f"{label}_{index}.png", optimize=True)

  few = logits[:32]
  p = np.exp(few - few.max(1, keepdims=True))
  p /= p.sum(1, keepdims=True)
  image = (pixels[:32] / 16).astype(np.float32)
  save_file({"image": image, "logits": few.astype(np.float32), "probabilities": p.astype(np.float32)}, EXPECTED)


def main():
  data = load_digits()
  pixels, labels = data.images.astype(np.uint8), data.target
  held = split(pixels)
  if "--export" in sys.argv[1:]:
    weights = load_file(WEIGHTS)
  else:
    weights = train((pixels[~held] / 16).astype(np.float32), labels[~held])
  export(weights, pixels[held], labels[held])
  save_file({k: weights[k] for k in sorted(weights)}, WEIGHTS)
  print(f"{sum(w.size for w in weights.values())} parameters, {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
  main()
