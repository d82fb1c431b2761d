"""What the generators of small transformer checkpoints share: what makes a checkpoint, tokens and their masks, heads, and
the files of a folder."""

import json
import sys
from types import SimpleNamespace
from typing import Callable, NamedTuple

import numpy as np
from safetensors.numpy import save_file

MAX_BYTES = 100_000


class Family(NamedTuple):
  """How checkpoints of one model are made and what judges them."""

  build: Callable  # settings -> module with a config
  save: Callable  # module, settings, folder: writes config.json and model.safetensors
  draw: Callable  # config, case, rng -> {input: array}
  run: Callable  # module, {input: tensor} -> {output: tensor}


def mask_of(kind, batch, seq, rng):
  """1 sees a token: all; some from the left or the right; any of them; or, in the last row, none."""
  lengths = rng.integers(1, seq + 1, (batch, 1))
  mask = {
    "full": np.ones((batch, seq)),
    "right": np.arange(seq) < lengths,
    "left": np.arange(seq) >= seq - lengths,
    "ragged": rng.random((batch, seq)) < 0.6,
    "hidden": np.arange(seq) < lengths * (np.arange(batch)[:, None] < batch - 1),
  }[kind].astype(np.int32)
  if kind == "ragged":
    mask[:, 0] = 1
  return mask


def tokens(config, case, rng):
  batch, seq, kind = case
  return {"input_ids": rng.integers(0, config.vocab_size, (batch, seq), dtype=np.int32),
          "attention_mask": mask_of(kind, batch, seq, rng)}


def new_module(module):
  """Its arguments are keys of the config."""

  def new(settings):
    model = module(**settings)
    model.config = SimpleNamespace(**settings)
    return model

  return new


def split_heads(x, n):
  return x.unflatten(-1, (n, -1)).transpose(1, 2)


def join_heads(x):
  return x.transpose(1, 2).flatten(2)


def save_state(model, settings, folder):
  (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
  save_file({name: p.numpy() for name, p in model.state_dict().items()}, folder / "model.safetensors")


def finish(folder, title, n_cases, tensors):
  """Writes cases.safetensors; every file of the folder must be small and readable."""
  save_file(tensors, folder / "cases.safetensors")
  for f in folder.iterdir():
    f.chmod(0o644)
  sizes = {f.name: f.stat().st_size for f in sorted(folder.iterdir())}
  assert max(sizes.values()) <= MAX_BYTES, sizes
  print(f"{title}: {n_cases} cases, {len(sizes)} files, {sum(sizes.values())} bytes")


def write_each(write, known, names):
  """Writes the named checkpoints, all of them when none is named."""
  for name in names:
    if name not in known:
      sys.exit(f"error: no checkpoint `{name}`; there are: {' '.join(known)}")
  for name in names or known:
    write(name)
