"""Writes the tensor and image files beside it, with numpy, safetensors and Pillow: what other programs' files look like.

    build/venv/bin/python tests/data/tensorfile/make.py

Element i (row-major) of every array is (7 i mod 11) - 3, of unsigned and bool ones without the - 3. Byte (y, x, channel) of
every image is (40 y + 9 x + 25 channel) mod 256; low-depth images hold that modulo their number of values.
"""
from pathlib import Path

import ml_dtypes
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent


def filled(dtype, shape):
  v = np.arange(int(np.prod(shape))) * 7 % 11
  dtype = np.dtype(dtype)
  if dtype == np.bool_:
    v = v % 2
  elif dtype.kind != "u":
    v = v - 3
  return v.astype(dtype).reshape(shape)


def pixels(h, w, c):
  y, x, k = np.meshgrid(np.arange(h), np.arange(w), np.arange(c), indexing="ij")
  return ((40 * y + 9 * x + 25 * k) % 256).astype(np.uint8)


def arrays():
  for name, dtype in (("f32", "<f4"), ("f16", "<f2"), ("f64", "<f8"), ("i8", "i1"), ("u8", "u1"), ("i32", "<i4"), ("i64", "<i8"), ("bool", "?")):
    np.save(HERE / f"{name}.npy", filled(dtype, (2, 3, 4)))
  np.save(HERE / "fortran.npy", np.asfortranarray(filled("<f4", (2, 3, 4))))
  np.save(HERE / "scalar.npy", filled("<f4", ()))
  np.save(HERE / "empty.npy", filled("<f4", (0, 5)))
  np.save(HERE / "big_endian.npy", filled(">f4", (4,)))
  np.save(HERE / "complex.npy", filled("<c8", (4,)))
  for version in (2, 3):
    with open(HERE / f"version{version}.npy", "wb") as f:
      np.lib.format.write_array(f, filled("<i4", (5,)), version=(version, 0))
  np.savez(HERE / "stored.npz", a=filled("<f4", (3, 4)), b=filled("<i4", (40,)))
  np.savez_compressed(HERE / "deflated.npz", a=filled("<f4", (3, 4)), b=filled("<i4", (400,)))
  dtypes = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64, "i8": np.int8, "u8": np.uint8, "i32": np.int32,
            "i64": np.int64, "bool": np.bool_}
  tensors = {f"{name}.weight": filled(dtype, (2, 3)) for name, dtype in dtypes.items()}
  tensors |= {"scalar": filled(np.float32, ()), "empty": filled(np.float32, (0, 5)), 'quote"d': filled(np.int32, (4,))}
  save_file(tensors, HERE / "all.safetensors", {"format": "np", "note": 'two\n"lines"'})


def images():
  for name, mode, channels in (("grey", "L", 1), ("grey_alpha", "LA", 2), ("rgb", "RGB", 3), ("rgba", "RGBA", 4)):
    data = pixels(5, 7, channels)
    Image.fromarray(data[:, :, 0] if channels == 1 else data, mode).save(HERE / f"{name}.png")
  Image.fromarray(pixels(5, 7, 1)[:, :, 0] % 2 == 1).save(HERE / "one_bit.png")
  index = Image.fromarray(pixels(5, 7, 1)[:, :, 0] % 4, "P")
  index.putpalette([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110])
  index.save(HERE / "palette.png", bits=2)
  deep = (pixels(5, 7, 1)[:, :, 0].astype(np.uint16) * 257) + np.uint16(3)
  Image.fromarray(deep).save(HERE / "deep.png")


arrays()
images()
