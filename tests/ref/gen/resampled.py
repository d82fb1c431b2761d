"""interpolate and grid_sample as torch.nn.functional has them, in f64; `make_refs.py resampled` writes them."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .store import F32, F64, Family, rounded


def literal(v):
  return "None" if v is None else str(v)


def interpolated(f, x):
  wide = torch.from_numpy(x.astype(F64))
  for tag, size, scale in (
    ("up", (8, 9), None),
    ("double", (10, 12), None),
    ("down", (3, 2), None),
    ("mixed", (3, 13), None),
    ("one", (1, 1), None),
    ("scale_2", None, 2),
    ("scale_half", None, 0.5),
    ("scale_1_5", None, 1.5),
    ("scale_pair", None, (1.3, 2.0)),
  ):
    how = f"size={literal(size)}, scale={literal(scale)}"
    y = F.interpolate(wide, size=size, scale_factor=scale, mode="nearest").numpy()
    f.case(f"nearest_{tag}", f"prelude: interpolate(x0, {how})", [x], [rounded(y, F32)])
    for corners in (False, True):
      y = F.interpolate(wide, size=size, scale_factor=scale, mode="bilinear", align_corners=corners).numpy()
      name = f"bilinear_{tag}_{'corners' if corners else 'centres'}"
      text = f"prelude: interpolate(x0, {how}, mode='bilinear', align_corners={corners})"
      f.case(name, text, [x], [rounded(y, F32)], "1e-6")


def sampled(f, x):
  grid = f.rng("grid").uniform(-1.4, 1.4, (2, 4, 3, 2)).astype(F32)
  grid[0, 0] = [[-1, -1], [1, 1], [0, 0]]  # on corners and in the middle
  grid[0, 1, 0] = [3e9, -5e12]  # far out, in pixels beyond i32
  wide, at = torch.from_numpy(x.astype(F64)), torch.from_numpy(grid.astype(F64))
  for mode in ("bilinear", "nearest"):
    for padding in ("zeros", "border"):
      for corners in (False, True):
        y = F.grid_sample(wide, at, mode=mode, padding_mode=padding, align_corners=corners).numpy()
        name = f"grid_{mode}_{padding}_{'corners' if corners else 'centres'}"
        text = f"prelude: grid_sample(x0, x1, mode='{mode}', padding='{padding}', align_corners={corners})"
        f.case(name, text, [x, grid], [rounded(y, F32)], "2e-6" if mode == "bilinear" else "exact")


def write():
  f = Family("resampled")
  x = f.rng("x").normal(size=(2, 3, 5, 6)).astype(F32)
  interpolated(f, x)
  sampled(f, x)
  size = f.write(Path(__file__).resolve().parent.parent)
  print(f"{f.name}: {len(f.cases)} cases, {size} bytes")
