"""Every pair of dtypes, by exact rational arithmetic: floats round once to nearest even, float to int truncates,
saturates and takes NaN to 0, int to int wraps, to bool is != 0, bool to a number is 0 or 1."""

from fractions import Fraction

import numpy as np

from .elementwise import wrapped
from .store import BOOL, DTYPES, FORMATS, Family, nearest, rounded


def exact(value):
  """A finite element as a Fraction."""
  return Fraction(float(value)) if np.asarray(value).dtype in FORMATS else Fraction(int(value))


def cast_one(value, to):
  """One element of any dtype in another."""
  is_float = np.asarray(value).dtype in FORMATS
  if is_float and not np.isfinite(float(value)):
    if to in FORMATS:
      return to.type(float(value))
    if to == BOOL:
      return True
    return 0 if np.isnan(float(value)) else np.iinfo(to).max if value > 0 else np.iinfo(to).min
  v = exact(value)
  if to == BOOL:
    return v != 0
  if to in FORMATS:
    if v == 0:
      return to.type(-0.0 if is_float and np.signbit(float(value)) else 0.0)
    return nearest(v < 0, abs(v.numerator), 1 - v.denominator.bit_length(), to)
  if is_float:
    info = np.iinfo(to)
    return min(max(int(v), int(info.min)), int(info.max))  # int() truncates
  return wrapped([int(v)], to)[0]


def casted(x, to):
  return np.array([cast_one(v, to) for v in x.ravel()], to).reshape(x.shape)


FLOATS = [0.0, 1, 2, 0.5, 1.5, 2.5, 0.99, 3.75, 100.4, 126.9, 1 / 3, 7e-3, 41.5, 64]
FLOATS += [-v for v in FLOATS]
BEYOND = [
  np.nan, np.inf, -np.inf, -0.0, 127.99, 128, 255.9, 256, 300, -1, -128.9, -129, -300, 2.0**31 - 128, 2.0**31 - 0.5,
  2.0**31, -(2.0**31), -(2.0**31) - 1, -(2.0**31) - 256, 2.0**53, 2.0**62, 2.0**63 - 1024, 2.0**63, -(2.0**63),
  -(2.0**63) - 2048, 1e30, -1e30, 3.4028235e38,
]
# narrowing: ties to even, ties broken far below, denormal results, both sides of overflow
TIES = [
  s * v
  for s in (1, -1)
  for v in (
    1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-40, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-40, 1 + 2**-8 - 2**-40,
    1 + 2**-24, 1 + 3 * 2**-24, 1 + 2**-24 + 2**-50, 2**-24, 2**-25, 2**-25 * (1 + 2**-20), 3 * 2**-25,
    2**-14 - 2**-25, 2**-26, 65504, 65519, 65519.996, 65520, 2.0**-149, 2.0**-150, 2.0**-150 * (1 + 2**-30), 2.0**-133,
    2.0**-134, 2.0**-126 - 2.0**-150, 3.4028235e38, 3.3895314e38, 3.3961775e38, 3.4028235677973362e38,
    3.4028235677973366e38, 1e300, 5e-324,
  )
]
INTEGERS = [
  0, 1, 2, 3, 7, 100, 127, -1, -2, -100, -128, 128, 200, 255, 256, 257, 2049, 2051, 65519, 65520, 2**24 + 1, 2**24 + 3,
  2**31 - 1, -(2**31), 2**31, 2**32 + 5, 2**53 + 1, 2**60 + 2**36 + 1, 2**60 + 2**36, 2**60 + 2**52 + 1,
  -(2**60) - 2**36 - 1, 2**63 - 1, -(2**63),
]


def cases(source, to):
  """(ordinary, nasty or None) operands of the source dtype."""
  if source == BOOL:
    return np.array([0, 1, 1, 0, 1], BOOL), None
  if source not in FORMATS:
    info = np.iinfo(source)
    fits = [v for v in INTEGERS if info.min <= v <= info.max]
    if to in FORMATS or to == BOOL:
      return np.array(fits, source), None
    within = np.iinfo(to)
    return np.array([v for v in fits if within.min <= v <= within.max], source), np.array(fits, source)
  with np.errstate(all="ignore"):
    if to in FORMATS:
      special = [np.nan, np.inf, -np.inf, 0.0, -0.0]
      return rounded(np.array(FLOATS), source), np.unique(rounded(np.array(TIES), source)).tolist() + special
    ordinary = [v for v in FLOATS if v >= 0 or to != DTYPES["u8"]]
    return rounded(np.array(ordinary), source), rounded(np.array(BEYOND), source)


def casts():
  f = Family("cast")
  for source_name, source in DTYPES.items():
    for to_name, to in DTYPES.items():
      if source == to:
        continue
      ordinary, nasty = cases(source, to)
      name, text = f"cast_{source_name}_{to_name}", f"cast(%0) {{to={to_name}}}"
      f.case(name, text, [ordinary], [casted(ordinary, to)])
      if nasty is not None:
        nasty = np.array(nasty, source)
        f.case(f"{name}_nasty", text, [nasty], [casted(nasty, to)])
  check(f)
  return f


def check(f):
  """numpy converts f64 to f32 and f16, and i64 to f32 and f64, in one rounding: it must agree."""
  for name in (
    "cast_f64_f32_nasty",
    "cast_f64_f16_nasty",
    "cast_i64_f64",
    "cast_i64_f32",
    "cast_i64_i8_nasty",
    "cast_f32_bf16_nasty",
  ):
    x, y = f.tensors[f"{name}.in0"], f.tensors[f"{name}.out0"]
    with np.errstate(all="ignore"):
      z = x.astype(y.dtype)
    nan = np.isnan(y) if y.dtype in FORMATS else np.zeros(y.shape, bool)
    assert np.array_equal(np.isnan(z) if y.dtype in FORMATS else nan, nan), name
    assert z[~nan].tobytes() == y[~nan].tobytes(), name


FAMILIES = {"cast": casts}
