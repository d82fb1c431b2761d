"""gather, scatter (numpy), interp (scipy.ndimage) and their model-language forms (onnx.reference, whose rules are
torch's)."""

import numpy as np
import scipy.ndimage

from .movement import sample
from .onnx_ops import onnx_op
from .store import BOOL, DTYPES, F32, F64, I32, Family, rounded


def gathered(x, index, axis, batch):
  """axis replaced by the index's dims; the first `batch` dims shared."""
  if batch == 0:
    return np.take(x, index, axis)
  return np.stack([gathered(x[i], index[i], axis - 1, batch - 1) for i in range(x.shape[0])])


def gather():
  f = Family("gather")
  for name, shape, index, axis, batch in (
    ("rows", (5, 3), (4,), 0, 0),
    ("rows_2d", (7, 3), (2, 5), 0, 0),
    ("columns", (3, 11), (6,), 1, 0),
    ("scalar", (4, 3), (), 0, 0),
    ("middle", (2, 5, 3), (2, 2), 1, 0),
    ("batch", (3, 5, 2), (3, 4), 1, 1),
    ("batch_two", (2, 3, 7), (2, 3, 4), 2, 2),
    ("batch_far", (2, 3, 5), (2, 4), 2, 1),
    ("one", (1, 4), (3,), 0, 0),
    ("embedding", (31, 8), (2, 6), 0, 0),
  ):
    x = sample(f, name, shape, F32)
    at = f.rng(f"{name}_index").integers(0, shape[axis], index).astype(I32)
    shared = f", batch={batch}" if batch else ""
    f.case(name, f"gather(%0, %1) {{axis={axis}{shared}}}", [x, at], [gathered(x, at, axis, batch)])
  for name, dtype in DTYPES.items():
    if dtype != F32:
      x, at = sample(f, name, (5, 2), dtype), np.array([4, 0, 4], I32)
      f.case(f"rows_{name}", "gather(%0, %1) {axis=0}", [x, at], [x[at]])

  x, at = sample(f, "torch", (4, 5, 3), F32), f.rng("torch_at").integers(0, 3, (4, 5, 2)).astype(I32)
  for dim in (2, -1):
    y = onnx_op("GatherElements", [x, at], axis=2)
    f.case(f"torch_{'last' if dim < 0 else dim}", f"prelude: gather(x0, x1, {dim})", [x, at], y)
  at = f.rng("torch_first").integers(0, 4, (6, 5, 3)).astype(I32)
  f.case("torch_0", "prelude: gather(x0, x1, 0)", [x, at], onnx_op("GatherElements", [x, at], axis=0))
  at = np.array([[1, 2], [0, 2]], I32)
  f.case("take", "prelude: take(x0, x1, dim=2)", [x, at], [np.take(x, at, 2)])
  return f


MODES = {
  "set": lambda base, at, v: base.__setitem__(at, v),
  "add": np.add.at,
  "max": np.maximum.at,
  "min": np.minimum.at,
}


def scatter():
  """The primitive writes slices at a list of places, the model language's `scatter` single elements as torch does."""
  f = Family("scatter")
  for mode, put in MODES.items():
    for axis, shape, n in ((0, (6, 3), 4), (1, (2, 7, 2), 5), (0, (5,), 3)):
      name = f"{mode}_{axis}_{len(shape)}"
      base, g = sample(f, name, shape, F32), f.rng(f"{name}_at")
      at = (g.permutation(shape[axis])[:n] if mode == "set" else g.integers(0, shape[axis], n)).astype(I32)
      v = g.normal(size=[n if i == axis else s for i, s in enumerate(shape)]).astype(F32)
      y = base.astype(F64)
      put(y.swapaxes(0, axis), at, v.astype(F64).swapaxes(0, axis))
      f.case(
        name,
        f'scatter(%0, %1, %2) {{axis={axis}, mode="{mode}"}}',
        [base, at, v],
        [rounded(y, F32)],
        "1e-6" if mode == "add" else "exact",
      )
  base = sample(f, "i32", (5,), I32)
  at, v = np.array([1, 1, 4, 1], I32), np.array([5, 7, -2, 2**31 - 1], I32)
  y = base.copy()
  np.add.at(y, at, v)
  f.case("add_i32", 'scatter(%0, %1, %2) {axis=0, mode="add"}', [base, at, v], [y])
  base, at, v = sample(f, "bool", (6,), BOOL), np.array([0, 5], I32), np.array([True, False])
  y = base.copy()
  y[at] = v
  f.case("set_bool", 'scatter(%0, %1, %2) {axis=0, mode="set"}', [base, at, v], [y])

  x, g = sample(f, "torch", (3, 5), F32), f.rng("torch_at")
  at, v = np.argsort(g.random((3, 5)), 1)[:, :4].astype(I32), g.normal(size=(3, 4)).astype(F32)
  f.case("torch_set", "prelude: scatter(x0, x1, x2, 1)", [x, at, v], onnx_op("ScatterElements", [x, at, v], axis=1))
  at = g.integers(0, 3, (2, 5)).astype(I32)
  v = g.normal(size=(2, 5)).astype(F32)
  y = onnx_op("ScatterElements", [x.astype(F64), at, v.astype(F64)], axis=0, reduction="add")
  f.case("torch_add", "prelude: scatter_add(x0, x1, x2, 0)", [x, at, v], [rounded(y[0], F32)], "1e-6")
  return f


def interp():
  f = Family("interp")
  border = {"zeros": "grid-constant", "clamp": "nearest"}
  for mode, order in (("bilinear", 1), ("nearest", 0)):
    for name, rule in border.items():
      tag = f"{mode}_{name}"
      x, g = sample(f, tag, (2, 3, 5, 4), F32), f.rng(f"{tag}_at")
      at = g.uniform(-2, 6, (2, 3, 7, 2)).astype(F32)
      if mode == "nearest":
        at = np.where(np.abs(at % 1 - 0.5) < 0.05, at + F32.type(0.2), at)  # ties have cases of their own
        at = np.where((at < -0.5) & (name == "zeros"), at - 1, at)  # scipy looks half a pixel further out than rounding
      else:
        at[0, 0] = np.rint(at[0, 0])
      y = np.stack(
        [
          [
            scipy.ndimage.map_coordinates(c.astype(F64), np.moveaxis(p.astype(F64), -1, 0), order=order, mode=rule)
            for c in image
          ]
          for image, p in zip(x, at)
        ]
      )
      f.case(
        tag,
        f'interp(%0, %1) {{mode="{mode}", border="{name}"}}',
        [x, at],
        [rounded(y, F32)],
        "1e-6" if order else "exact",
      )
  return f


def samples():
  """interpolate and grid_sample, by onnx.reference's Resize and GridSample in f64."""
  f = Family("samples")
  x = sample(f, "x", (2, 2, 4, 5), F32)
  wide = x.astype(F64)
  resize = lambda mode, how, scale=None, size=None: onnx_op(
    "Resize",
    [
      wide,
      None,
      None if scale is None else np.array([1, 1, scale, scale], F32),
      None if size is None else np.array([2, 2, *size]),
    ],
    mode=mode,
    coordinate_transformation_mode=how,
    **({"nearest_mode": "floor"} if mode == "nearest" else {}),
  )[0]
  f.case("nearest_2x", "prelude: interpolate(x0, scale=2)", [x], [rounded(resize("nearest", "asymmetric", 2), F32)])
  f.case(
    "nearest_size",
    "prelude: interpolate(x0, size=(6, 3))",
    [x],
    [rounded(resize("nearest", "asymmetric", None, (6, 3)), F32)],
  )
  for name, how, corners in (("bilinear", "half_pixel", "False"), ("bilinear_corners", "align_corners", "True")):
    for tag, size in (("up", (8, 10)), ("odd", (7, 3)), ("down", (2, 2))):
      y = resize("linear", how, None, size)
      f.case(
        f"{name}_{tag}",
        f"prelude: interpolate(x0, size={size}, mode='bilinear', align_corners={corners})",
        [x],
        [rounded(y, F32)],
        "1e-6",
      )
  grid = f.rng("grid").uniform(-1.3, 1.3, (2, 3, 4, 2)).astype(F32)
  for padding in ("zeros", "border"):
    for corners in (0, 1):
      y = onnx_op("GridSample", [wide, grid.astype(F64)], mode="linear", padding_mode=padding, align_corners=corners)[0]
      text = f"prelude: grid_sample(x0, x1, mode='bilinear', padding='{padding}', align_corners={bool(corners)})"
      f.case(f"grid_{padding}_{'corners' if corners else 'centres'}", text, [x, grid], [rounded(y, F32)], "2e-6")
  return f


FAMILIES = {"gather": gather, "scatter": scatter, "interp": interp, "samples": samples}
