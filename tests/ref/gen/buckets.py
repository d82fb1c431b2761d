"""Relative positions in buckets: Raffel et al. 2019, arXiv:1910.10683, section 2.1."""

import numpy as np


def position_bucket(distance, buckets=32, max_distance=128, causal=False):
  """Of key - query. Half of the buckets hold one distance each; the others share the rest on a log scale, in f32."""
  n = buckets if causal else buckets // 2
  exact = n // 2
  d = np.maximum(-distance, 0) if causal else np.abs(distance)
  log = np.log(np.maximum(d, 1).astype(np.float32) / np.float32(exact)) / np.float32(np.log(max_distance / exact))
  far = np.minimum(exact + (log * np.float32(n - exact)).astype(np.int64), n - 1)
  return np.where(d < exact, d, far) + (0 if causal else n * (distance > 0))
