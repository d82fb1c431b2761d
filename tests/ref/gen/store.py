"""Cases, their rounding to storage dtypes, and the safetensors files that hold them."""

import json
import re
import zlib

import ml_dtypes
import numpy as np

BF16 = np.dtype(ml_dtypes.bfloat16)
F16, F32, F64 = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
I8, U8, I32, I64, BOOL = (np.dtype(t) for t in (np.int8, np.uint8, np.int32, np.int64, np.bool_))
DTYPES = {"f32": F32, "f16": F16, "bf16": BF16, "f64": F64, "i8": I8, "u8": U8, "i32": I32, "i64": I64, "bool": BOOL}
STORED = {F32: "F32", F16: "F16", BF16: "BF16", F64: "F64", I8: "I8", U8: "U8", I32: "I32", I64: "I64", BOOL: "BOOL"}
MAX_BYTES = 100_000


# float formats: binary digits, exponent of the smallest and of the largest normal number
FORMATS = {F16: (11, -14, 15), BF16: (8, -126, 127), F32: (24, -126, 127), F64: (53, -1022, 1023)}


def nearest(negative, magnitude, exponent, dtype):
  """(-1)^negative * magnitude * 2^exponent, magnitude an integer, rounded once to nearest even as IEEE 754 has it."""
  digits, low, high = FORMATS[dtype]
  top = max(exponent + magnitude.bit_length() - 1, low)  # of the result's binade
  shift = top - digits + 1 - exponent
  if shift > 0:
    kept, rest = (magnitude >> shift, magnitude & ((1 << shift) - 1)) if shift <= magnitude.bit_length() + 1 else (0, 0)
    half = 1 << min(shift - 1, magnitude.bit_length() + 1)
    magnitude, exponent = kept + (rest > half or (rest == half and kept & 1)), exponent + shift
  over = magnitude.bit_length() + exponent - 1 > high
  value = float("inf") if over else float(np.ldexp(float(magnitude), exponent))
  return dtype.type(-value if negative else value)


def rounded(x, dtype):
  """f64 values in a float dtype, rounded once (ml_dtypes rounds f64 to bf16 twice)."""
  x = np.asarray(x, F64)
  if dtype != BF16:
    with np.errstate(all="ignore"):
      return x.astype(dtype)

  def one(v):
    n, d = abs(v).as_integer_ratio()
    return nearest(np.signbit(v), n, 1 - d.bit_length(), dtype)

  return np.array([one(v) if np.isfinite(v) else dtype.type(v) for v in x.ravel().tolist()], dtype).reshape(x.shape)


class Family:
  """The cases of one file."""

  def __init__(self, name):
    self.name = name
    self.cases = {}
    self.tensors = {}

  def rng(self, case):
    """A generator that depends on the names only: adding a case changes no other."""
    return np.random.default_rng(zlib.crc32(f"{self.name}/{case}".encode()))

  def case(self, name, text, ins, outs, tol="exact", weights=None):
    """Adds a case: operands, expected results (arrays of storage dtypes) and, for layers, weights by name below `m`."""
    assert re.fullmatch(r"[a-z0-9_]+", name) and name not in self.cases, name
    assert re.fullmatch(r"exact|ulp:\d+|\d+(\.\d+)?(e-\d+)?", tol), tol
    assert len(ins) == len({m for m in re.findall(r"%\d+|\bx\d+\b", text)}) or not ins, f"{name}: operands of {text}"
    self.cases[name] = (text, tol)
    for part, arrays in (("in", ins), ("out", outs)):
      for i, array in enumerate(arrays):
        self.add(f"{name}.{part}{i}", array)
    for weight, array in (weights or {}).items():
      self.add(f"{name}.m.{weight}", array)

  def add(self, name, array):
    array = np.asarray(array)
    assert array.dtype in STORED, f"{name}: {array.dtype}"
    self.tensors[name] = np.ascontiguousarray(array).reshape(array.shape)

  def write(self, folder):
    """Writes <folder>/<name>.safetensors, wide elements first so that all are aligned; gives its size in bytes."""
    metadata = {}
    for name, (text, tol) in self.cases.items():
      metadata |= {name: text, f"{name}.tol": tol}
    header, data = {"__metadata__": metadata}, bytearray()
    for name, array in sorted(self.tensors.items(), key=lambda item: -item[1].dtype.itemsize):
      begin = len(data)
      data += array.tobytes()
      header[name] = {"dtype": STORED[array.dtype], "shape": list(array.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    size = 8 + len(text) + len(data)
    assert size <= MAX_BYTES, f"{self.name}: {size} bytes"
    (folder / f"{self.name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    return size


def agree(a, b, bound=1e-9):
  """Stops unless two ways to compute the same thing agree to `bound` of the largest value."""
  a, b = np.asarray(a, F64), np.asarray(b, F64)
  assert a.shape == b.shape, (a.shape, b.shape)
  with np.errstate(all="ignore"):
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    scale = np.max(np.abs(b[np.isfinite(b)]), initial=1e-300)
    assert np.all(same | (np.abs(a - b) <= bound * scale)), np.max(np.abs(a - b)[~same])
