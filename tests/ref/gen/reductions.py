"""Reductions over axes and windows (numpy in f64; windows by jax), running folds (numpy), and the linear
recurrence."""

import jax
import numpy as np

from .elementwise import wrapped
from .store import BF16, BOOL, F16, F32, F64, I32, I64, I8, U8, Family, rounded

jax.config.update("jax_enable_x64", True)

FOLDS = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min}
SUM_TOL = "5e-7"  # one rounding, in units of the largest result; sums whose terms cancel are not asked for


def axes_text(op, axes):
  return f"{op}(%0) {{axes=[{','.join(map(str, axes))}]}}"


def arg_over(fn, x, axes):
  """Row-major index over the axes, of the first extremum; NaN is the extremum of both kinds, as numpy has it."""
  kept = [i for i in range(x.ndim) if i not in axes]
  rows = x.transpose(kept + list(axes)).reshape([x.shape[i] for i in kept] + [-1])
  return fn(rows, axis=-1).astype(I32)


def reduce():
  f = Family("reduce")
  shapes = {
    "a": ((3, 1, 7), (0,)),
    "b": ((2, 5, 3, 4), (1, 3)),
    "c": ((13, 17), (1,)),
    "d": ((2, 3, 5), (0, 1, 2)),
    "e": ((1, 11, 1), (0, 2)),
    "f": ((5, 3, 8), (1,)),
  }
  for op, fn in FOLDS.items():
    for tag, (shape, axes) in shapes.items():
      g = f.rng(f"{op}_{tag}")
      x = (g.uniform(0.5, 1.6, shape) if op == "prod" else g.normal(size=shape) + 0.5).astype(F32)
      tol = {"sum": SUM_TOL, "prod": "ulp:4"}.get(op, "exact")
      f.case(f"{op}_{tag}", axes_text(op, axes), [x], [rounded(fn(x.astype(F64), axis=axes), F32)], tol)
    for name, dtype in (("i8", I8), ("u8", U8), ("i32", I32), ("i64", I64)):
      info = np.iinfo(dtype)
      x = f.rng(f"{op}_{name}").integers(info.min, info.max, (3, 5, 2), dtype=dtype, endpoint=True)
      wide = fn(x.astype(object), axis=1)  # Python integers
      f.case(f"{op}_{name}", axes_text(op, (1,)), [x], [wrapped(wide.ravel(), dtype).reshape(wide.shape)])
    for name, dtype in (("f16", F16), ("bf16", BF16), ("f64", F64)):
      x = f.rng(f"{op}_{name}").uniform(0.5, 1.5, (4, 37))
      x = x if dtype == F64 else rounded(x, dtype)
      y = rounded(fn(x.astype(np.longdouble), axis=1).astype(F64), dtype)  # accumulated wider, rounded once
      loose = "ulp:1" if dtype != F64 else "1e-14"
      f.case(f"{op}_{name}", axes_text(op, (1,)), [x], [y], loose if op in ("sum", "prod") else "exact")
  x = f.rng("sum_bool").integers(0, 2, (5, 301)).astype(BOOL)
  f.case("sum_bool", axes_text("sum", (1,)), [x], [x.sum(1).astype(I32)])

  # f32 sums that lose everything when accumulated in f32: 1 + 4096 terms of 2^-25
  x = np.full((2, 4097), 2.0**-25, F32)
  x[:, 0] = [1, -1]
  f.case("sum_small_terms", axes_text("sum", (1,)), [x], [rounded(x.astype(F64).sum(1), F32)], "ulp:1")
  rows = np.array(
    [
      [np.inf, 1, 2],
      [-np.inf, 1, 2],
      [np.inf, -np.inf, 2],
      [np.nan, 1, 2],
      [-0.0, -0.0, -0.0],
      [3e38, 3e38, -3e38],
      [1e-45, 1e-45, 0],
      [1, np.nan, np.inf],
    ],
    F32,
  )
  with np.errstate(all="ignore"):
    for op, fn in FOLDS.items():
      if op == "sum":  # a sum of -0 may start at +0; one that passes f32's range may or may not overflow
        rows_in = np.delete(rows, (4, 5), 0)
      else:
        rows_in = np.delete(rows, 5, 0) if op == "prod" else rows
      f.case(f"{op}_nasty", axes_text(op, (1,)), [rows_in], [rounded(fn(rows_in.astype(F64), axis=1), F32)])
  return f


def argreduce():
  f = Family("argreduce")
  for op, fn in (("argmax", np.argmax), ("argmin", np.argmin)):
    for tag, shape, axes in (
      ("a", (3, 1, 7), (2,)),
      ("b", (2, 5, 3, 4), (1, 3)),
      ("c", (13, 17), (0,)),
      ("d", (2, 3, 5), (0, 1, 2)),
      ("e", (7, 1, 2), (1,)),
      ("f", (4, 6, 5), (0, 2)),
    ):
      x = f.rng(f"{op}_{tag}").normal(size=shape).astype(F32)
      f.case(f"{op}_{tag}", axes_text(op, axes), [x], [arg_over(fn, x, axes)])
    for name, dtype in (("i8", I8), ("u8", U8), ("i32", I32), ("i64", I64), ("f16", F16), ("bf16", BF16), ("f64", F64)):
      x = f.rng(f"{op}_{name}").integers(0, 6, (5, 9)).astype(F64)  # many ties
      x = rounded(x, dtype) if dtype in (F16, BF16, F64) else x.astype(dtype)
      f.case(f"{op}_{name}", axes_text(op, (1,)), [x], [arg_over(fn, x.astype(F64), (1,))])
    ties = f.rng(f"{op}_ties").integers(-1, 2, (6, 3, 4)).astype(F32)
    f.case(f"{op}_ties", axes_text(op, (1, 2)), [ties], [arg_over(fn, ties, (1, 2))])
    rows = np.array(
      [
        [1, np.nan, 3, np.nan],
        [np.inf, np.inf, 1, 2],
        [-np.inf, -np.inf, -np.inf, -np.inf],
        [0.0, -0.0, 0.0, -0.0],
        [-0.0, 0.0, -0.0, 0.0],
        [np.nan, np.nan, np.inf, 1],
        [1e-45, 0, -1e-45, 0],
        [3.4e38, np.inf, -3.4e38, -np.inf],
      ],
      F32,
    )
    f.case(f"{op}_nasty", axes_text(op, (1,)), [rows], [arg_over(fn, rows, (1,))])
  big = np.array([[2**53, 2**53 + 1, 2**53 + 1, 5]], I64)  # equal as f64
  f.case("argmax_i64_wide", axes_text("argmax", (1,)), [big], [np.array([1], I32)])
  return f


def windows():
  """Windowed reductions: pools. `else` is what a read outside the operand gives."""
  f = Family("reduce_window")
  fold = {"amax": (jax.lax.max, -np.inf), "amin": (jax.lax.min, np.inf), "sum": (jax.lax.add, 0.0)}
  for tag, op, shape, k, s, p, d in (
    ("max2", "amax", (2, 3, 6, 8), (2, 2), (2, 2), (0, 0), (1, 1)),
    ("max3_pad", "amax", (1, 2, 7, 5), (3, 3), (2, 2), (1, 1), (1, 1)),
    ("max_dilated", "amax", (1, 1, 9, 9), (2, 3), (1, 2), (0, 1), (3, 2)),
    ("min3_pad", "amin", (1, 2, 5, 5), (3, 2), (1, 1), (1, 0), (1, 1)),
    ("sum2", "sum", (2, 1, 5, 7), (2, 3), (2, 2), (0, 0), (1, 1)),
    ("sum3_pad", "sum", (1, 2, 6, 5), (3, 3), (1, 2), (1, 1), (1, 1)),
  ):
    x = f.rng(tag).normal(size=shape).astype(F32) + F32.type(0.25)
    fn, start = fold[op]
    y = jax.lax.reduce_window(
      x.astype(F64),
      start,
      fn,
      (1, 1, *k),
      (1, 1, *s),
      [(0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])],
      window_dilation=(1, 1, *d),
    )
    axis = lambda o, r, i: (
      "("
      + (f"{o}*{s[i]}" if s[i] > 1 else o)
      + "+"
      + (f"{r}*{d[i]}" if d[i] > 1 else r)
      + (f"-{p[i]}" if p[i] else "")
      + ")"
    )
    sizes = f"y = {y.shape[2]}, x = {y.shape[3]}, ky = {k[0]}, kx = {k[1]}"
    outside = f", else={start}" if any(p) and op != "sum" else ""
    text = f'{op}(%0) {{map="n c {axis("y", "ky", 0)} {axis("x", "kx", 1)} -> n c y x; {sizes}"{outside}}}'
    f.case(f"{op}_{tag}", text, [x], [rounded(np.asarray(y), F32)], SUM_TOL if op == "sum" else "exact")
  return f


SCANS = {
  "sum": (np.cumsum, 0.0),
  "prod": (np.cumprod, 1.0),
  "max": (np.maximum.accumulate, -np.inf),
  "min": (np.minimum.accumulate, np.inf),
}


def scanned(fn, start, x, axis, reverse, exclusive):
  x = np.flip(x, axis) if reverse else x
  y = fn(x, axis=axis)
  if exclusive:
    first = np.full_like(np.take(y, [0], axis), start)
    y = np.concatenate([first, np.take(y, range(x.shape[axis] - 1), axis)], axis)
  return np.flip(y, axis) if reverse else y


def scan():
  f = Family("scan")
  for op, (fn, start) in SCANS.items():
    for reverse in (0, 1):
      for exclusive in (0, 1):
        name = f"{op}{'_reverse' if reverse else ''}{'_exclusive' if exclusive else ''}"
        flags = (", reverse=1" if reverse else "") + (", exclusive=1" if exclusive else "")
        for axis, shape in ((1, (3, 7, 2)), (0, (5, 1))):
          g = f.rng(f"{name}_{axis}")
          x = (g.uniform(0.5, 1.5, shape) if op == "prod" else g.normal(size=shape)).astype(F32)
          y = scanned(fn, start, x.astype(F64), axis, reverse, exclusive)
          tol = {"sum": SUM_TOL, "prod": "ulp:4"}.get(op, "exact")
          f.case(f"{name}_{axis}", f'scan(%0) {{op="{op}", axis={axis}{flags}}}', [x], [rounded(y, F32)], tol)
  x = f.rng("sum_i32").integers(-(2**30), 2**30, (4, 9)).astype(I32)
  f.case("sum_i32", 'scan(%0) {op="sum", axis=1}', [x], [np.cumsum(x, 1, dtype=I64).astype(I32)])
  x = f.rng("sum_i64").integers(-(2**61), 2**61, (2, 9))
  f.case("sum_i64", 'scan(%0) {op="sum", axis=1}', [x], [np.cumsum(x, 1)])
  x = f.rng("max_i32").integers(-9, 9, (3, 6)).astype(I32)
  f.case("max_i32", 'scan(%0) {op="max", axis=0}', [x], [np.maximum.accumulate(x, 0)])
  rows = np.array([[1, np.nan, 3, 2], [np.inf, 1, -np.inf, 2], [-np.inf, -np.inf, 0, 1]], F32)
  with np.errstate(all="ignore"):
    for op, (fn, _) in SCANS.items():
      f.case(f"{op}_nasty", f'scan(%0) {{op="{op}", axis=1}}', [rows], [fn(rows, axis=1)])

  for axis, shape in ((1, (3, 11, 2)), (0, (6, 5)), (2, (2, 1, 13))):
    g = f.rng(f"linrec_{axis}")
    a, b = g.uniform(-1, 1, shape).astype(F32), g.normal(size=shape).astype(F32)
    h, out = 0.0, []
    for t in range(shape[axis]):
      h = np.take(a, t, axis).astype(F64) * h + np.take(b, t, axis)
      out.append(h)
    f.case(f"linrec_{axis}", f"linrec(%0, %1) {{axis={axis}}}", [a, b], [rounded(np.stack(out, axis), F32)], "5e-7")
  return f


FAMILIES = {"reduce": reduce, "argreduce": argreduce, "reduce_window": windows, "scan": scan}
