"""The part of the public C API that the benchmark needs, through ctypes; include/nnc/nnc.h says what each call does."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint32, c_uint64, c_void_p

import ml_dtypes
import numpy as np

DTYPES = {np.dtype(np.float32): 0, np.dtype(ml_dtypes.bfloat16): 2, np.dtype(np.int32): 6}
ENTRY = c_size_t(0)


class Tensor(ctypes.Structure):
  _fields_ = [("dtype", c_int), ("rank", c_uint32), ("dim", c_int64 * 12), ("data", c_void_p)]


class TensorInfo(ctypes.Structure):
  _fields_ = [("name", c_char_p), ("dtype", c_int), ("rank", c_uint32), ("shape", c_char_p), ("optional", c_int)]


class Setting(ctypes.Structure):
  _fields_ = [("key", c_char_p), ("value", c_char_p)]


class CompileOptions(ctypes.Structure):
  _fields_ = [("size", c_size_t), ("configs", POINTER(c_char_p)), ("n_configs", c_size_t), ("sets", POINTER(Setting)),
              ("n_sets", c_size_t), ("dims", POINTER(Setting)), ("n_dims", c_size_t), ("weights", POINTER(c_char_p)),
              ("n_weights", c_size_t), ("cpu", c_char_p), ("threads", c_uint), ("sink", c_void_p),
              ("sink_user", c_void_p), ("no_cache", c_int), ("approx", c_char_p), ("weights_dtype", c_char_p),
              ("device", c_char_p), ("precision", c_char_p), ("opencl_context", c_void_p), ("opencl_device", c_void_p)]


class SessionOptions(ctypes.Structure):
  _fields_ = [("size", c_size_t), ("threads", c_uint), ("max_arena_bytes", c_uint64), ("executor", c_void_p),
              ("cpus", c_void_p), ("n_cpus", c_size_t)]


def tensor(array):
  """None: an input that is left out."""
  if array is None:
    return Tensor()
  t = Tensor(dtype=DTYPES[array.dtype], rank=array.ndim, data=array.ctypes.data)
  t.dim[: array.ndim] = array.shape
  return t


class Session:
  """A model opened from a .yaml (compiled in this process) or a .so, and a session on it."""

  def __init__(self, library, path, threads, config=None, weights=None, dims=(), precision=None):
    self.lib = ctypes.CDLL(library)
    for name, result in (("session_error", c_char_p), ("version", c_char_p), ("module_input_count", c_size_t),
                         ("module_output_count", c_size_t)):
      getattr(self.lib, f"nnc_{name}").restype = result
    options = CompileOptions(size=ctypes.sizeof(CompileOptions))
    if config:
      options.configs, options.n_configs = (c_char_p * 1)(config.encode()), 1
      options.weights, options.n_weights = (c_char_p * 1)(weights.encode()), 1
    options.precision = precision and precision.encode()
    pinned = [Setting(*(part.encode() for part in d.split("="))) for d in dims]
    options.dims, options.n_dims = (Setting * len(pinned))(*pinned), len(pinned)
    self.module, self.session = c_void_p(), c_void_p()
    self.check(self.lib.nnc_module_open(byref(self.module), path.encode(), byref(options), None), "nnc_module_open")
    options = SessionOptions(size=ctypes.sizeof(SessionOptions), threads=threads)
    self.check(self.lib.nnc_session_new(byref(self.session), self.module, byref(options)), "nnc_session_new")

  def check(self, status, what):
    if status:
      text = self.lib.nnc_session_error(self.session).decode() if self.session else ""
      raise RuntimeError(f"{what}: status {status} {text}")

  def names(self, kind):
    info, n = TensorInfo(), getattr(self.lib, f"nnc_module_{kind}_count")(self.module, ENTRY)
    for i in range(n):
      self.check(getattr(self.lib, f"nnc_module_{kind}")(self.module, ENTRY, c_size_t(i), byref(info)), kind)
      yield info.name.decode()

  def prepare(self, ins):
    """Binds arrays by the names of the inputs; optional ones may be absent. Gives arrays of the outputs, by name, which
    `run` fills."""
    self.kept = [ins.get(name) for name in self.names("input")]
    self.ins = (Tensor * len(self.kept))(*map(tensor, self.kept))
    names = list(self.names("output"))
    self.outs = (Tensor * len(names))()
    self.check(self.lib.nnc_shapes(self.session, ENTRY, self.ins, c_size_t(len(self.ins)), self.outs,
                                   c_size_t(len(names))), "nnc_shapes")
    numpy_of = {number: dtype for dtype, number in DTYPES.items()}
    outs = {n: np.zeros(t.dim[: t.rank], numpy_of[t.dtype]) for n, t in zip(names, self.outs)}
    self.outs = (Tensor * len(names))(*map(tensor, outs.values()))
    return outs

  def run(self):
    self.check(self.lib.nnc_run(self.session, ENTRY, self.ins, c_size_t(len(self.ins)), self.outs,
                                c_size_t(len(self.outs))), "nnc_run")
