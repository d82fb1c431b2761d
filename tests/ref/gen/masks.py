"""Masks of tokens for the checkpoints of transformer models."""

import numpy as np


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
