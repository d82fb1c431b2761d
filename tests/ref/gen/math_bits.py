"""Correctly rounded elementary functions: thousands of f32 operands over every binade, results from mpmath at 240
bits."""

import ctypes
import ctypes.util

import mpmath
import numpy as np

from .store import F32, F64, Family, nearest

PRECISION = 240  # bits; far beyond what any f32 or f64 operand needs to decide the rounding of these functions


def to_nearest(value, dtype):
  """An mpf in the dtype, rounded once to nearest even."""
  if not mpmath.isfinite(value) or value == 0:
    return dtype.type(float(value))
  sign, magnitude, exponent, _ = value._mpf_
  return nearest(sign, int(magnitude), int(exponent), dtype)


LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
LIBM.pow.argtypes, LIBM.pow.restype = (ctypes.c_double, ctypes.c_double), ctypes.c_double

AT_SPECIAL = {
  "exp": np.exp,
  "expm1": np.expm1,
  "log": np.log,
  "log1p": np.log1p,
  "sin": np.sin,
  "cos": np.cos,
  "tan": np.tan,
  "atan": np.arctan,
  "tanh": np.tanh,
  "erf": lambda v: v if v == 0 or np.isnan(v) else np.sign(v),
  "erfinv": lambda v: v if v == 0 else np.nan,
  "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
  "rsqrt": lambda v: 1 / np.sqrt(v),
  "pow": LIBM.pow,  # numpy takes the square root for an exponent of 0.5, which differs at -0 and -inf
}


def at_special(fn, *x):
  """What C's libm gives for zeros, infinities and NaN, of which mpmath knows no signs."""
  with np.errstate(all="ignore"):
    return AT_SPECIAL[fn](*(F64.type(v) for v in x))


EXACT = {
  "exp": mpmath.exp,
  "expm1": mpmath.expm1,
  "log": mpmath.log,
  "log1p": mpmath.log1p,
  "sin": mpmath.sin,
  "cos": mpmath.cos,
  "tan": mpmath.tan,
  "atan": mpmath.atan,
  "tanh": mpmath.tanh,
  "erf": mpmath.erf,
  "erfinv": mpmath.erfinv,
  "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
  "rsqrt": lambda v: 1 / mpmath.sqrt(v),
  "pow": mpmath.power,
}
# beyond these |x| the result is decided: mpmath would only build astronomical exponents
SATURATED = {"exp": 1000, "tanh": 500, "erf": 40, "sigmoid": 1000}


def one(fn, dtype, *x):
  if any(v == 0 or not np.isfinite(v) for v in x) or (fn in ("rsqrt", "log") and x[0] < 0):
    return dtype.type(at_special(fn, *x))
  if fn in SATURATED and abs(x[0]) > SATURATED[fn]:
    return dtype.type(np.sign(x[0]) if fn in ("tanh", "erf") else at_special(fn, *x))
  if fn == "pow":
    if x[0] < 0 and x[1] != np.floor(x[1]):
      return dtype.type(np.nan)
    size = float(x[1]) * np.log2(abs(float(x[0])))
    if abs(size) > 1300:  # certain overflow or underflow of f64; the sign is that of an odd power
      with np.errstate(all="ignore"):
        return dtype.type(LIBM.pow(x[0], x[1]))
  value = EXACT[fn](*(mpmath.mpf(float(v)) for v in x))
  return to_nearest(value, dtype)


def correctly_rounded(fn, dtype, *x):
  """fn over arrays of operands, each result rounded once to the dtype."""
  with mpmath.workprec(PRECISION):
    return np.array([one(fn, dtype, *v) for v in zip(*x)], dtype)


# -- operands --


def binades(g, each):
  """f32 of both signs: `each` random fractions in every binade, the binades of the denormals included."""
  exponents = np.repeat(np.arange(-149, 128), each)
  x = np.ldexp(1 + g.random(exponents.size), exponents).astype(F32)
  x = np.minimum(x, np.finfo(F32).max)
  return np.where(np.arange(x.size) % 2 == 0, x, -x)


SPECIAL = np.array(
  [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1.1754942e-38, 1.17549435e-38, -1.17549435e-38,
    3.4028235e38, -3.4028235e38, 0.5, 2.0, 0.99999994, 1.0000001, 3.1415927, 1.5707964, 0.7853982, 710.0, 88.72283,
    88.72284, -87.33655, -103.97208, -103.97209, 104.0,
  ],
  F32,
)

# where a function varies, for the second half of its operands
ACTIVE = {
  "exp": lambda g, n: g.uniform(-105, 90, n),
  "log": lambda g, n: np.abs(1 + g.normal(size=n) * g.choice([1e-6, 1e-3, 0.3], n)),
  "tanh": lambda g, n: g.uniform(-10, 10, n) * g.choice([0.1, 1], n),
  "erf": lambda g, n: g.uniform(-4.2, 4.2, n) * g.choice([0.2, 1], n),
  "sigmoid": lambda g, n: g.uniform(-105, 20, n),
  "sin": lambda g, n: g.uniform(-1, 1, n) * g.choice([2, 30, 1e4], n),
  "cos": lambda g, n: g.uniform(-1, 1, n) * g.choice([2, 30, 1e4], n),
  "rsqrt": lambda g, n: g.uniform(0.5, 8, n),
}


def unary_family(fn):
  f = Family(f"math_{fn}")
  g = f.rng(fn)
  spread = binades(g, 7)
  if fn in ("log", "rsqrt"):  # negative operands give NaN: a few are enough
    spread = np.concatenate([np.abs(spread), spread[1:40:2]])
  x = np.concatenate([SPECIAL, spread, ACTIVE[fn](g, 2000).astype(F32)])
  f.case(fn, f"{fn}(%0)", [x], [correctly_rounded(fn, F32, x)], "ulp:2")
  return f


def power():
  f = Family("math_pow")
  g = f.rng("pow")
  special = np.concatenate([SPECIAL[:16], np.array([3.0, -3.0, -2.0, -0.5], F32)])
  a, b = (v.ravel() for v in np.meshgrid(special, special, indexing="ij"))
  spread = np.abs(binades(g, 4))
  target = g.uniform(-150, 129, spread.size)  # log2 of the result: up to and over both ends
  with np.errstate(all="ignore"):
    exponent = np.clip(target / np.log2(spread), -3e38, 3e38).astype(F32)
  x = np.concatenate([a, spread, g.uniform(0, 3, 1500).astype(F32), -g.uniform(0.1, 9, 500).astype(F32)])
  y = np.concatenate([b, exponent, g.normal(size=1500).astype(F32) * 8, g.integers(-12, 13, 500).astype(F32)])
  f.case("pow", "pow(%0, %1)", [x, y], [correctly_rounded("pow", F32, x, y)], "ulp:2")
  return f


FAMILIES = {f"math_{fn}": (lambda fn=fn: unary_family(fn)) for fn in ACTIVE} | {"math_pow": power}
