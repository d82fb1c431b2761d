"""Layers with weights, pools, and the language's movement functions: onnx.reference and jax in f64, formulas where
those lack one. Weights are stored under `m`."""

import jax
import numpy as np

from .contractions import conv, conv_transposed
from .movement import sample
from .onnx_ops import onnx_op
from .store import F32, F64, I32, Family, agree, rounded

jax.config.update("jax_enable_x64", True)


def normalised(x, axes, eps):
  return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def norms():
  f = Family("norms")
  for name, shape, text, eps in (
    ("plain", (3, 7), "", 1e-5),
    ("three", (2, 3, 16), "", 1e-5),
    ("eps", (2, 5), ", eps=1e-12", 1e-12),
    ("wide", (2, 129), "", 1e-5),
    ("one", (4, 1), "", 1e-5),
  ):
    x = sample(f, f"ln_{name}", shape, F32) + F32.type(0.3)
    w, b = sample(f, f"ln_{name}_w", shape[-1:], F32), sample(f, f"ln_{name}_b", shape[-1:], F32)
    y = normalised(x.astype(F64), -1, eps)
    agree(
      y * w + b, onnx_op("LayerNormalization", [v.astype(F64) for v in (x, w, b)], axis=-1, epsilon=eps)[0], 1e-6
    )  # eps is f32 there
    f.case(
      f"layer_norm_{name}",
      f"prelude: layer_norm(x0{text})",
      [x],
      [rounded(y * w + b, F32)],
      "1e-6",
      {"weight": w, "bias": b},
    )
    f.case(f"layer_norm_{name}_bare", f"prelude: layer_norm(x0{text}, affine=False)", [x], [rounded(y, F32)], "1e-6")
    f.case(
      f"layer_norm_{name}_no_bias",
      f"prelude: layer_norm(x0{text}, bias=False)",
      [x],
      [rounded(y * w, F32)],
      "1e-6",
      {"weight": w},
    )
    r = x / np.sqrt((x.astype(F64) ** 2).mean(-1, keepdims=True) + (1e-6 if eps == 1e-5 else eps)) * w
    f.case(f"rms_norm_{name}", f"prelude: rms_norm(x0{text})", [x], [rounded(r, F32)], "1e-6", {"weight": w})
  far = (sample(f, "ln_far", (3, 64), F32) + F32.type(1000)).astype(F32)
  y = normalised(far.astype(F64), -1, 1e-5)
  # a mean of 1000 is itself rounded to f32: half a unit there is 3e-5 of the deviation
  f.case("layer_norm_far", "prelude: layer_norm(x0, affine=False)", [far], [rounded(y, F32)], "5e-5")
  flat = np.full((2, 8), 3.5, F32)
  f.case("layer_norm_constant", "prelude: layer_norm(x0, affine=False)", [flat], [np.zeros((2, 8), F32)], "1e-6")

  for name, shape, groups, text, eps in (
    ("two", (2, 6, 4, 3), 2, "", 1e-5),
    ("instance", (1, 4, 5), 4, "", 1e-5),
    ("layer", (2, 3, 2, 2), 1, ", eps=1e-6", 1e-6),
    ("flat", (3, 8), 4, "", 1e-5),
  ):
    x = sample(f, f"gn_{name}", shape, F32)
    w, b = sample(f, f"gn_{name}_w", (shape[1],), F32), sample(f, f"gn_{name}_b", (shape[1],), F32)
    along = (-1,) + (1,) * (len(shape) - 2)
    y = normalised(x.astype(F64).reshape(shape[0], groups, -1), -1, eps).reshape(shape) * w.reshape(along) + b.reshape(
      along
    )
    f.case(
      f"group_norm_{name}",
      f"prelude: group_norm(x0, {groups}{text})",
      [x],
      [rounded(y, F32)],
      "1e-6",
      {"weight": w, "bias": b},
    )
  for name, shape in (("image", (2, 3, 4, 2)), ("flat", (5, 4))):
    x = sample(f, f"bn_{name}", shape, F32)
    w, b, mean = (sample(f, f"bn_{name}_{v}", (shape[1],), F32) for v in "wbm")
    var = np.abs(sample(f, f"bn_{name}_v", (shape[1],), F32)) + F32.type(0.1)
    y = onnx_op("BatchNormalization", [v.astype(F64) for v in (x, w, b, mean, var)], epsilon=1e-5)[0]
    f.case(
      f"batch_norm_{name}",
      "prelude: batch_norm(x0)",
      [x],
      [rounded(y, F32)],
      "1e-6",
      {"weight": w, "bias": b, "running_mean": mean, "running_var": var},
    )
  return f


def linears():
  f = Family("linear")
  for name, shape, out in (("plain", (3, 5), 4), ("three", (2, 3, 7), 6), ("vector", (5,), 3), ("one", (4, 1), 1)):
    x, w, b = (
      sample(f, name, shape, F32),
      sample(f, f"{name}_w", (out, shape[-1]), F32),
      sample(f, f"{name}_b", (out,), F32),
    )
    y = x.astype(F64) @ w.astype(F64).T
    f.case(
      f"linear_{name}", f"prelude: linear(x0, {out})", [x], [rounded(y + b, F32)], "1e-6", {"weight": w, "bias": b}
    )
    f.case(
      f"linear_{name}_no_bias", f"prelude: linear(x0, {out}, bias=False)", [x], [rounded(y, F32)], "1e-6", {"weight": w}
    )
  at, w = f.rng("ids").integers(0, 11, (2, 4)).astype(I32), sample(f, "table", (11, 3), F32)
  f.case("embedding", "prelude: embedding(x0, 11, 3)", [at], [w[at]], "exact", {"weight": w})
  a, b = sample(f, "a", (2, 3, 4), F32), sample(f, "b", (4, 5), F32)
  f.case("matmul_broadcast", "prelude: matmul(x0, x1)", [a, b], [rounded(a.astype(F64) @ b, F32)], "1e-6")
  a, b = sample(f, "a2", (2, 1, 3, 4), F32), sample(f, "b2", (5, 4, 2), F32)
  f.case("matmul_batches", "prelude: matmul(x0, x1)", [a, b], [rounded(a.astype(F64) @ b, F32)], "1e-6")
  for name, spec, shapes in (
    ("matmul", "ij,jk->ik", ((3, 4), (4, 5))),
    ("transpose", "abc->cab", ((2, 3, 4),)),
    ("sum", "ij->i", ((3, 5),)),
    ("three", "ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))),
    ("outer", "i,j->ji", ((3,), (4,))),
    ("batch", "bhid,bhjd->bhij", ((2, 2, 3, 4), (2, 2, 5, 4))),
  ):
    xs = [sample(f, f"einsum_{name}{i}", s, F32) for i, s in enumerate(shapes)]
    y = np.einsum(spec, *(x.astype(F64) for x in xs))
    f.case(
      f"einsum_{name}",
      f"prelude: einsum('{spec}', {', '.join(f'x{i}' for i in range(len(xs)))})",
      xs,
      [rounded(y, F32)],
      "1e-6",
    )
  return f


def convolutions():
  f = Family("conv_layers")
  for name, xs, ws, text, stride, padding, dilation, groups in (
    ("conv1d", (2, 3, 9), (4, 3, 3), "4, 3, padding=1", 1, 1, 1, 1),
    ("conv2d", (1, 3, 6, 5), (4, 3, 3, 3), "4, 3", 1, 0, 1, 1),
    ("conv2d_s2_p1", (2, 2, 7, 6), (3, 2, 3, 3), "3, 3, stride=2, padding=1", 2, 1, 1, 1),
    ("conv2d_groups", (1, 4, 5, 5), (6, 2, 3, 3), "6, 3, padding=1, groups=2", 1, 1, 1, 2),
    ("conv2d_depthwise", (1, 4, 5, 6), (4, 1, 3, 3), "4, 3, padding=2, dilation=2, groups=4", 1, 2, 2, 4),
    ("conv2d_1x1", (2, 5, 3, 3), (2, 5, 1, 1), "2, 1", 1, 0, 1, 1),
    ("conv3d", (1, 2, 4, 4, 5), (2, 2, 2, 2, 2), "2, 2, stride=2", 2, 0, 1, 1),
  ):
    n = len(xs) - 2
    x, w, b = sample(f, name, xs, F32), sample(f, f"{name}_w", ws, F32), sample(f, f"{name}_b", ws[:1], F32)
    y = conv(x, w, (stride,) * n, (padding,) * n, (dilation,) * n, groups) + b.reshape(-1, *[1] * n)
    f.case(name, f"prelude: {name[:6]}(x0, {text})", [x], [rounded(y, F32)], "1e-6", {"weight": w, "bias": b})
  x, w = sample(f, "free", (1, 2, 5, 7), F32), sample(f, "free_w", (3, 2, 3, 2), F32)
  y = conv(x, w, (2, 1), (1, 0), (1, 2), 1)
  f.case(
    "convolution",
    "prelude: convolution(x0, x1, stride=(2, 1), padding=(1, 0), dilation=(1, 2))",
    [x, w],
    [rounded(y, F32)],
    "1e-6",
  )
  f.case(
    "conv2d_tuples",
    "prelude: conv2d(x0, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=False)",
    [x],
    [rounded(y, F32)],
    "1e-6",
    {"weight": w},
  )
  for name, xs, ws, text, stride, padding, extra, groups in (
    ("conv_transpose1d", (1, 3, 5), (3, 2, 4), "2, 4, stride=2, padding=1", 2, 1, 0, 1),
    ("conv_transpose2d", (2, 2, 3, 4), (2, 3, 4, 4), "3, 4, stride=2, padding=1", 2, 1, 0, 1),
    ("conv_transpose2d_extra", (1, 2, 3, 3), (2, 2, 3, 3), "2, 3, stride=2, padding=1, output_padding=1", 2, 1, 1, 1),
    ("conv_transpose2d_groups", (1, 4, 3, 3), (4, 3, 3, 3), "6, 3, groups=2", 1, 0, 0, 2),
  ):
    n = len(xs) - 2
    x, w = sample(f, name, xs, F32), sample(f, f"{name}_w", ws, F32)
    b = sample(f, f"{name}_b", (ws[1] * groups,), F32)
    y = conv_transposed(x, w, (stride,) * n, (padding,) * n, (extra,) * n, groups) + b.reshape(-1, *[1] * n)
    f.case(name, f"prelude: {name[:16]}(x0, {text})", [x], [rounded(y, F32)], "1e-6", {"weight": w, "bias": b})
  return f


def recurrent():
  """gru and lstm over [batch, time, width] from zeros, in torch's order of gates: (r, z, n) and (i, f, g, o)."""
  f = Family("recurrent")
  for kind, gates, order in (("gru", 3, (1, 0, 2)), ("lstm", 4, (0, 3, 1, 2))):  # order: the library's gates in torch's
    for name, (batch, time, width, hidden), bias in (
      ("plain", (2, 5, 4, 3), True),
      ("one_step", (1, 1, 3, 2), True),
      ("no_bias", (3, 4, 2, 5), False),
    ):
      x = sample(f, f"{kind}_{name}", (batch, time, width), F32)
      shapes = {"weight_ih_l0": (gates * hidden, width), "weight_hh_l0": (gates * hidden, hidden)}
      if bias:
        shapes |= {"bias_ih_l0": (gates * hidden,), "bias_hh_l0": (gates * hidden,)}
      weights = {w: sample(f, f"{kind}_{name}_{w}", s, F32) for w, s in shapes.items()}
      swap = lambda w: w.astype(F64).reshape(gates, hidden, -1)[list(order)].reshape(1, *w.shape)
      both = None
      if bias:
        both = np.concatenate([swap(weights["bias_ih_l0"]), swap(weights["bias_hh_l0"])], 1)
      ins = [x.astype(F64).swapaxes(0, 1), swap(weights["weight_ih_l0"]), swap(weights["weight_hh_l0"]), both]
      options = {"hidden_size": hidden} | ({"linear_before_reset": 1} if kind == "gru" else {})
      sequence, *last = onnx_op(kind.upper(), ins, n_out=2 if kind == "gru" else 3, **options)
      outs = [sequence[:, 0].swapaxes(0, 1), *(v[0] for v in last)]
      text = f"prelude: {kind}(x0, {hidden}{'' if bias else ', bias=False'})"
      f.case(f"{kind}_{name}", text, [x], [rounded(y, F32) for y in outs], "1e-6", weights)
  return f


def adaptive(x, size):
  """Mean over rows floor(i*h/n) .. ceil((i+1)*h/n), columns alike."""
  h, w = x.shape[2:]
  span = lambda i, n, full: slice(i * full // n, -(-(i + 1) * full // n))
  return np.array(
    [[x[:, :, span(i, size[0], h), span(j, size[1], w)].mean((2, 3)) for j in range(size[1])] for i in range(size[0])]
  ).transpose(2, 3, 0, 1)


def pools():
  f = Family("pools")
  x = sample(f, "x", (2, 2, 7, 6), F32)
  a = x.astype(F64)
  for name, text, k, s, p, ceil in (
    ("2", "2", 2, 2, 0, 0),
    ("3_s2_p1", "3, stride=2, padding=1", 3, 2, 1, 0),
    ("3_s1_p1", "3, stride=1, padding=1", 3, 1, 1, 0),
    ("3_s2_ceil", "3, stride=2, ceil_mode=True", 3, 2, 0, 1),
  ):
    options = {"kernel_shape": [k, k], "strides": [s, s], "pads": [p] * 4, "ceil_mode": ceil}
    f.case(
      f"max_{name}", f"prelude: max_pool2d(x0, {text})", [x], [rounded(onnx_op("MaxPool", [a], **options)[0], F32)]
    )
    if not ceil:
      y = onnx_op("AveragePool", [a], count_include_pad=1, **options)[0]
      f.case(f"avg_{name}", f"prelude: avg_pool2d(x0, {text})", [x], [rounded(y, F32)], "1e-6")
  below = (x - F32.type(5)).astype(F32)  # padding must not win
  y = onnx_op("MaxPool", [below], kernel_shape=[2, 3], strides=[2, 1], pads=[1, 1, 1, 1])[0]
  f.case("max_uneven_below_zero", "prelude: max_pool2d(x0, (2, 3), stride=(2, 1), padding=1)", [below], [y])
  for size in ((1, 1), (3, 2), (7, 6), (5, 4)):
    f.case(
      f"adaptive_{size[0]}_{size[1]}",
      f"prelude: adaptive_avg_pool2d(x0, {size})",
      [x],
      [rounded(adaptive(a, size), F32)],
      "1e-6",
    )
  return f


def language_movement():
  f = Family("language_movement")
  x = sample(f, "x", (2, 3, 4), F32)
  y = sample(f, "y", (2, 3, 4), F32)
  flat = sample(f, "flat", (12,), F32)
  one = lambda name, text, out, *ins: f.case(name, f"prelude: {text}", list(ins) or [x], [out])
  one("reshape", "reshape(x0, 6, -1)", x.reshape(6, 4))
  one("reshape_tuple", "reshape(x0, (2, 12))", x.reshape(2, 12))
  one("permute", "permute(x0, 2, 0, 1)", x.transpose(2, 0, 1))
  one("transpose", "transpose(x0)", x.swapaxes(-1, -2))
  one("transpose_0_1", "transpose(x0, 0, 1)", x.swapaxes(0, 1))
  one("concat", "concat((x0, x1), dim=1)", np.concatenate([x, y], 1), x, y)
  one("stack", "stack((x0, x1))", np.stack([x, y]), x, y)
  one("stack_last", "stack((x0, x1), dim=-1)", np.stack([x, y], -1), x, y)
  f.case("chunk", "prelude: chunk(x0, 2)", [x], [x[..., :2], x[..., 2:]])
  f.case("split", "prelude: split(x0, (1, 2), dim=1)", [x], [x[:, :1], x[:, 1:]])
  one("pad", "pad(x0, ((1, 0), (2, 1)))", np.pad(x, [(0, 0), (1, 0), (2, 1)]))
  one("pad_value", "pad(x0, ((0, 2),), value=-1.0)", np.pad(x, [(0, 0), (0, 0), (0, 2)], constant_values=-1))
  one("expand", "expand(x0[:, None], 2, 5, 3, 4)", np.broadcast_to(x[:, None], (2, 5, 3, 4)))
  one("flip", "flip(x0, 1)", x[:, ::-1])
  one("roll", "roll(x0, 1, 2)", np.roll(x, 1, 2))
  one("roll_back", "roll(x0, -2, 1)", np.roll(x, -2, 1))
  one("repeat", "repeat(x0, 3, 1)", np.repeat(x, 3, 1))
  one("tril", "tril(x0)", np.tril(x))
  one("triu_1", "triu(x0, k=1)", np.triu(x, 1))
  one("tril_minus_1", "tril(x0, k=-1)", np.tril(x, -1))
  diagonals = sample(f, "diagonals", (2, 9), F32)
  one("toeplitz", "toeplitz(x0)", np.stack([diagonals[:, 4 - i : 9 - i] for i in range(5)], 1), diagonals)
  one("index_int", "x0[1]", x[1])
  one("index_last", "x0[:, -1]", x[:, -1])
  one("index_slice", "x0[:, 1:3, :2]", x[:, 1:3, :2])
  one("index_negative", "x0[..., -3:-1]", x[..., -3:-1])
  one("index_step", "x0[..., ::2]", x[..., ::2])
  one("index_odd", "x0[..., 1::2]", x[..., 1::2])
  one("index_reversed", "x0[:, ::-1]", x[:, ::-1])
  one("index_none", "x0[:, None, ..., None]", x[:, None, ..., None])
  one("eye", "eye(4) + x0[0, 0]", x[0, 0] + np.eye(4, dtype=F32))
  one("diag", "diag(x0)", np.diag(flat), flat)
  one("iota", "iota(12) + x0", np.arange(12, dtype=I32) + 5, np.full(12, 5, I32))
  wide = sample(f, "wide", (1, 8, 2, 3), F32)
  one("pixel_shuffle", "pixel_shuffle(x0, 2)", onnx_op("DepthToSpace", [wide], blocksize=2, mode="CRD")[0], wide)
  big = sample(f, "big", (2, 3, 4, 6), F32)
  unshuffled = big.reshape(2, 3, 2, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 12, 2, 3)
  one("pixel_unshuffle", "pixel_unshuffle(x0, 2)", unshuffled, big)
  at = f.rng("at").integers(0, 5, (3, 4)).astype(I32)
  one("bincount", "bincount(x0, 5)", np.bincount(at.ravel(), minlength=5).astype(I32), at.ravel())
  few = at[0, :3] % 4
  one("one_hot", "where(one_hot(x1, 4) > 0, x0, 0.0)", x * np.eye(4, dtype=F32)[few] + F32.type(0), x, few)
  return f


FAMILIES = {
  "norms": norms,
  "linear": linears,
  "conv_layers": convolutions,
  "recurrent": recurrent,
  "pools": pools,
  "language_movement": language_movement,
}
