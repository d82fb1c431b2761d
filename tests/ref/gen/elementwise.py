"""Unary, binary, comparison, logic and `where` cases. f32 and halves: numpy and scipy in f64; f64: mpmath; integers:
Python."""

import operator

import numpy as np
import scipy.special

from . import math_bits
from .store import BF16, BOOL, F16, F32, F64, I32, I64, I8, U8, Family, rounded

NASTY = np.array(
  [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1.1754942e-38, -1.1754942e-38, 1.17549435e-38,
    -1.17549435e-38, 3.4028235e38, -3.4028235e38, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49999997, -0.49999997, 0.99999994,
    -0.99999994, 1.0000001, 3.1415927, -1.5707964, 8388607.5, -8388607.5, 8388609.0, 16777216.0, 1e-10, -1e-10, 1e10,
    -1e10, 88.72284, 88.7, -87.3, -88.8, -103.9, -104.1, 9.0, -9.0, 3.9, -3.9, 17.0, -17.0, 0.25, 100.0,
  ],
  F32,
)


def sign(x):
  return np.where(x == 0, x, np.sign(x))


def round_away(x):
  return np.copysign(np.floor(np.abs(x) + 0.5), x)  # exact for f32 and halves in f64


def erfinv(x):
  return np.copysign(scipy.special.erfinv(x), x)  # scipy loses the sign of zero


# operator: (function in f64, sampler of ordinary operands, bound); the nasty operands are the same for all
UNARY = {
  "neg": (np.negative, lambda g, n: 10 * g.normal(size=n), "exact"),
  "abs": (np.abs, lambda g, n: 10 * g.normal(size=n), "exact"),
  "sign": (sign, lambda g, n: g.integers(-2, 3, n) * 0.75, "exact"),
  "floor": (np.floor, lambda g, n: g.integers(-40, 40, n) / 8, "exact"),
  "ceil": (np.ceil, lambda g, n: g.integers(-40, 40, n) / 8, "exact"),
  "round_even": (np.rint, lambda g, n: g.integers(-40, 40, n) / 4, "exact"),
  "round_away": (round_away, lambda g, n: g.integers(-40, 40, n) / 4, "exact"),
  "sqrt": (np.sqrt, lambda g, n: np.exp(g.uniform(-20, 20, n)), "exact"),
  "rsqrt": (lambda x: 1 / np.sqrt(x), lambda g, n: np.exp(g.uniform(-20, 20, n)), "ulp:2"),
  "exp": (np.exp, lambda g, n: g.uniform(-20, 20, n), "ulp:2"),
  "expm1": (np.expm1, lambda g, n: g.choice([1e-6, 1e-2, 1, 10], n) * g.normal(size=n), "ulp:2"),
  "log": (np.log, lambda g, n: np.exp(g.uniform(-20, 20, n)), "ulp:2"),
  "log1p": (np.log1p, lambda g, n: g.choice([1e-6, 1e-2, 1, 50], n) * g.uniform(-0.99, 1, n).clip(-0.019), "ulp:2"),
  "sin": (np.sin, lambda g, n: g.uniform(-30, 30, n), "ulp:2"),
  "cos": (np.cos, lambda g, n: g.uniform(-30, 30, n), "ulp:2"),
  "tan": (np.tan, lambda g, n: g.uniform(-30, 30, n), "ulp:4"),
  "atan": (np.arctan, lambda g, n: g.choice([1e-3, 1, 30], n) * g.normal(size=n), "ulp:2"),
  "tanh": (np.tanh, lambda g, n: g.choice([1e-3, 0.3, 3], n) * g.normal(size=n), "ulp:2"),
  "sigmoid": (scipy.special.expit, lambda g, n: g.uniform(-20, 20, n), "ulp:2"),
  "erf": (scipy.special.erf, lambda g, n: g.choice([1e-3, 0.3, 2], n) * g.normal(size=n), "ulp:2"),
  "erfinv": (erfinv, lambda g, n: g.uniform(-0.999, 0.999, n), "ulp:4"),
  "isnan": (np.isnan, lambda g, n: g.choice([1.0, np.nan, np.inf, 0.0], n), "exact"),
  "isinf": (np.isinf, lambda g, n: g.choice([1.0, np.nan, np.inf, -np.inf], n), "exact"),
}
SHAPES = [(7, 11), (1, 61), (5, 1, 13), (67,)]


def result(y, dtype):
  return y if y.dtype == BOOL else rounded(y, dtype)


def unary():
  f = Family("unary")
  for i, (op, (fn, sample, tol)) in enumerate(UNARY.items()):
    shape = SHAPES[i % len(SHAPES)]
    with np.errstate(all="ignore"):
      x = sample(f.rng(op), int(np.prod(shape))).astype(F32).reshape(shape)
      f.case(op, f"{op}(%0)", [x], [result(fn(x.astype(F64)), F32)], tol)
      f.case(f"{op}_nasty", f"{op}(%0)", [NASTY], [result(fn(NASTY.astype(F64)), F32)], tol)
  bits = f.rng("not").integers(0, 2, (3, 5)).astype(BOOL)
  f.case("not", "not(%0)", [bits], [~bits])
  return f


def unary_dtypes():
  """The same operators on halves, f64 and integers."""
  f = Family("unary_dtypes")
  for op, (fn, sample, tol) in UNARY.items():
    for name, dtype in (("f16", F16), ("bf16", BF16)):
      with np.errstate(all="ignore"):
        ordinary = rounded(sample(f.rng(f"{op}_{name}"), 19), dtype)
        x = np.concatenate([ordinary, np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)])
        y = result(fn(x.astype(F64)), dtype)
      f.case(f"{op}_{name}", f"{op}(%0)", [x], [y], "exact" if tol == "exact" else "ulp:1")
    x = sample(f.rng(f"{op}_f64"), 17)
    exact = fn(x) if tol == "exact" else math_bits.correctly_rounded(op, F64, x)
    f.case(f"{op}_f64", f"{op}(%0)", [x], [result(exact, F64)], "exact" if tol == "exact" else "ulp:2")
  for name, dtype in (("i8", I8), ("u8", U8), ("i32", I32), ("i64", I64)):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 0, 1, info.max - 1, 2, 100], dtype)
    if info.min < 0:
      x = np.concatenate([x, np.array([-1, -100, info.min + 1], dtype)])
    wide = [int(v) for v in x]
    for op, fn in (("neg", operator.neg), ("abs", abs), ("sign", lambda v: (v > 0) - (v < 0))):
      f.case(f"{op}_{name}", f"{op}(%0)", [x], [wrapped([fn(v) for v in wide], dtype)])
  return f


def wrapped(values, dtype):
  """Python integers in two's complement of the dtype."""
  info = np.iinfo(dtype)
  span = int(info.max) - int(info.min) + 1
  return np.array([(int(v) - int(info.min)) % span + int(info.min) for v in values], dtype)


# -- two operands --


def pairs(values):
  """All pairs of the values, as two flat arrays."""
  a, b = np.meshgrid(values, values, indexing="ij")
  return a.ravel(), b.ravel()


NASTY_PAIRS = np.array(
  [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1.1754942e-38, 1.17549435e-38, 3.4028235e38, -3.4028235e38,
    0.5, -3.0, 16777216.0, 1.0000001,
  ],
  F32,
)
FLOAT_BINARY = {
  "add": np.add,
  "sub": np.subtract,
  "mul": np.multiply,
  "div": np.divide,
  "pow": np.power,
  "min": np.minimum,
  "max": np.maximum,
  "eq": np.equal,
  "lt": np.less,
  "le": np.less_equal,
}


def binary():
  """f32. `floordiv` is the floor of the exact quotient, `mod` what it leaves, as Python and numpy have them: 1 // 0.1f
  is 9 although 1 / 0.1f rounds to 10. The sign of a zero result, and inf // x (numpy gives NaN), are not asked for."""
  f = Family("binary")
  a, b = pairs(NASTY_PAIRS)
  zeros = (a == 0) & (b == 0)
  for i, (op, fn) in enumerate(FLOAT_BINARY.items()):
    g, shape = f.rng(op), SHAPES[i % len(SHAPES)]
    x, y = (3 * g.normal(size=(2, *shape))).astype(F32)
    if op == "pow":
      x = np.abs(x)
    if op in ("eq", "le", "lt"):
      x, y = np.rint(x), np.rint(y)
    tol = "ulp:4" if op == "pow" else "exact"
    text = f"{op}(%0, %1)"
    keep = ~zeros if op in ("min", "max") else np.full(a.shape, True)  # which zero min and max give is open
    with np.errstate(all="ignore"):
      f.case(op, text, [x, y], [result(fn(x.astype(F64), y.astype(F64)), F32)], tol)
      f.case(f"{op}_nasty", text, [a[keep], b[keep]], [result(fn(a[keep].astype(F64), b[keep].astype(F64)), F32)], tol)

  g = f.rng("pow_integral")
  x, y = (-g.uniform(0.2, 4, 31)).astype(F32), g.integers(-9, 10, 31).astype(F32)
  f.case("pow_integral", "pow(%0, %1)", [x, y], [rounded(np.power(x.astype(F64), y.astype(F64)), F32)], "ulp:4")

  g = f.rng("floordiv")
  x = (g.integers(-4096, 4096, 77) / 256).astype(F32).reshape(7, 11)
  y = (g.choice([-1, 1], 77) * g.integers(1, 2048, 77) / 256).astype(F32).reshape(7, 11)
  y[0], x[0] = np.where(np.arange(11) % 2 == 0, 2, -2), np.arange(-5, 6)
  near = [[1, 1, 0.3, 0.6, 5.5, -1, 1, -0.3, 1.1, 7], [0.1, 0.01, 0.1, 0.2, 1.1, 0.1, -0.1, -0.1, 0.1, 0.7]]
  near = np.array(near, F32)
  for op, fn in (("floordiv", np.floor_divide), ("mod", np.mod)):
    text, keep = f"{op}(%0, %1)", np.isfinite(a) if op == "floordiv" else np.full(a.shape, True)
    f.case(op, text, [x, y], [fn(x, y)], "0")
    close = rounded(fn(*near.astype(F64)), F32)
    f.case(f"{op}_near_integer", text, list(near), [close], "0" if op == "floordiv" else "1e-7")
    with np.errstate(all="ignore"):
      z = rounded(fn(a[keep].astype(F64), b[keep].astype(F64)), F32)
    f.case(f"{op}_nasty", text, [a[keep], b[keep]], [z], "0")
  return f


def binary_dtypes():
  f = Family("binary_dtypes")
  for name, dtype in (("f16", F16), ("bf16", BF16)):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    for op, fn in FLOAT_BINARY.items():
      g = f.rng(f"{op}_{name}")
      x, y = rounded(g.normal(size=(2, 23)) * 2, dtype)
      if op == "pow":
        x = np.abs(x)
      x = np.concatenate([x, special, np.full(5, 2, dtype)])
      y = np.concatenate([y, np.full(5, 3, dtype), special])
      with np.errstate(all="ignore"):
        z = result(fn(x.astype(F64), y.astype(F64)), dtype)
      f.case(f"{op}_{name}", f"{op}(%0, %1)", [x, y], [z], "ulp:1" if op == "pow" else "exact")
  for op, fn in FLOAT_BINARY.items():
    x, y = f.rng(f"{op}_f64").normal(size=(2, 17))
    if op == "pow":
      x = np.abs(x)
    z = math_bits.correctly_rounded("pow", F64, x, y) if op == "pow" else fn(x, y)
    f.case(f"{op}_f64", f"{op}(%0, %1)", [x, y], [z], "ulp:2" if op == "pow" else "exact")
  a, b = pairs(np.array([False, True]))
  f.case("eq_bool", "eq(%0, %1)", [a, b], [a == b])
  f.case("and", "and(%0, %1)", [a, b], [a & b])
  f.case("or", "or(%0, %1)", [a, b], [a | b])
  return f


def binary_int():
  f = Family("binary_int")
  integer = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "min": min,
    "max": max,
    "floordiv": lambda p, q: p // q if q else 0,
    "mod": lambda p, q: p % q if q else 0,
  }
  compare = {"eq": operator.eq, "lt": operator.lt, "le": operator.le}
  for name, dtype in (("i8", I8), ("u8", U8), ("i32", I32), ("i64", I64)):
    info = np.iinfo(dtype)
    values = {int(info.min), int(info.max), int(info.max) - 1, 0, 1, 2, 7, 100}
    values |= {-1, -2, -7} if info.min < 0 else {128, 200}
    values |= {2**53 + 1, 2**53 + 2} if dtype == I64 else set()  # i64 must not pass through f64
    a, b = pairs(np.array(sorted(values), dtype))
    for op, fn in (integer | compare).items():
      z = [fn(int(p), int(q)) for p, q in zip(a, b)]
      f.case(f"{op}_{name}", f"{op}(%0, %1)", [a, b], [np.array(z, BOOL) if op in compare else wrapped(z, dtype)])
  return f


def where():
  f = Family("where")
  for name, dtype in (
    ("f32", F32),
    ("f16", F16),
    ("bf16", BF16),
    ("f64", F64),
    ("i8", I8),
    ("u8", U8),
    ("i32", I32),
    ("i64", I64),
  ):
    g = f.rng(name)
    x, y = (40 * g.normal(size=(2, 3, 1, 5))).astype(F64)
    x, y = (rounded(v, dtype) if dtype.kind in "fV" else np.abs(v).astype(dtype) for v in (x, y))
    c = g.integers(0, 2, x.shape).astype(BOOL)
    f.case(f"where_{name}", "where(%0, %1, %2)", [c, x, y], [np.where(c, x, y)])
  c = np.array([1, 0, 1, 0, 1, 0, 1, 0], BOOL)
  x = np.array([0.0, np.nan, -0.0, np.inf, np.nan, 1, 1e-45, -np.inf], F32)
  y = np.array([np.nan, -0.0, np.inf, 1e-45, 1, np.nan, np.nan, 0.0], F32)
  f.case("where_nasty", "where(%0, %1, %2)", [c, x, y], [np.where(c, x, y)])
  a, b = f.rng("where_bool").integers(0, 2, (2, 8)).astype(BOOL)
  f.case("where_bool", "where(%0, %1, %2)", [c, a, b], [np.where(c, a, b)])
  return f


FAMILIES = {
  "unary": unary,
  "unary_dtypes": unary_dtypes,
  "binary": binary,
  "binary_dtypes": binary_dtypes,
  "binary_int": binary_int,
  "where": where,
}
