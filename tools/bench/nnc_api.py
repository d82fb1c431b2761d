"""The part of the public C API that the benchmark needs, through ctypes; include/nnc/nnc.h says what each call does."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint32, c_uint64, c_void_p

import numpy as np

DTYPES = {np.dtype(np.float32): 0, np.dtype(np.int32): 6}


class Tensor(ctypes.Structure):
  _fields_ = [("dtype", c_int), ("rank", c_uint32), ("dim", c_int64 * 12), ("data", c_void_p)]


class CompileOptions(ctypes.Structure):
  _fields_ = [("size", c_size_t), ("configs", POINTER(c_char_p)), ("n_configs", c_size_t), ("sets", c_void_p),
              ("n_sets", c_size_t), ("dims", c_void_p), ("n_dims", c_size_t), ("weights", POINTER(c_char_p)),
              ("n_weights", c_size_t), ("cpu", c_char_p), ("threads", c_uint), ("sink", c_void_p), ("sink_user", c_void_p)]


class SessionOptions(ctypes.Structure):
  _fields_ = [("size", c_size_t), ("threads", c_uint), ("max_arena_bytes", c_uint64)]


def tensor(array):
  t = Tensor(dtype=DTYPES[array.dtype], rank=array.ndim, data=array.ctypes.data)
  t.dim[: array.ndim] = array.shape
  return t


class Session:
  """A model opened from a .yaml (compiled in this process) or a .so, and a session on it."""

  def __init__(self, library, path, threads, config=None, weights=None):
    self.lib = ctypes.CDLL(library)
    self.lib.nnc_session_error.restype = c_char_p
    self.lib.nnc_version.restype = c_char_p
    options = CompileOptions(size=ctypes.sizeof(CompileOptions))
    if config:
      options.configs, options.n_configs = (c_char_p * 1)(config.encode()), 1
      options.weights, options.n_weights = (c_char_p * 1)(weights.encode()), 1
    self.module, self.session = c_void_p(), c_void_p()
    self.check(self.lib.nnc_module_open(byref(self.module), path.encode(), byref(options), None), "nnc_module_open")
    options = SessionOptions(size=ctypes.sizeof(SessionOptions), threads=threads)
    self.check(self.lib.nnc_session_new(byref(self.session), self.module, byref(options)), "nnc_session_new")

  def check(self, status, what):
    if status:
      text = self.lib.nnc_session_error(self.session).decode() if self.session else ""
      raise RuntimeError(f"{what}: status {status} {text}")

  def prepare(self, ins, outs):
    """Binds arrays, which must stay alive; after that `run` reads and writes them."""
    self.kept = ins, outs
    self.ins = (Tensor * len(ins))(*map(tensor, ins))
    self.outs = (Tensor * len(outs))(*map(tensor, outs))

  def run(self):
    self.check(self.lib.nnc_run(self.session, c_size_t(0), self.ins, c_size_t(len(self.ins)), self.outs,
                                c_size_t(len(self.outs))), "nnc_run")
