"""What the generators of small transformer checkpoints share: masks of tokens, and the files of a folder."""

import numpy as np
from safetensors.numpy import save_file

MAX_BYTES = 100_000


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


def finish(folder, title, n_cases, tensors):
  """Writes cases.safetensors; every file of the folder must be small and readable."""
  save_file(tensors, folder / "cases.safetensors")
  for f in folder.iterdir():
    f.chmod(0o644)
  sizes = {f.name: f.stat().st_size for f in sorted(folder.iterdir())}
  assert max(sizes.values()) <= MAX_BYTES, sizes
  print(f"{title}: {n_cases} cases, {len(sizes)} files, {sum(sizes.values())} bytes")
