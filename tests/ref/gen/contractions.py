"""Contractions: matrix products and einsums by numpy, convolutions by jax, both in f64; transposed ones by
onnx.reference too."""

import jax
import numpy as np

from .elementwise import wrapped
from .onnx_ops import onnx_op
from .store import BF16, F16, F32, F64, I32, I64, Family, agree, rounded

jax.config.update("jax_enable_x64", True)

TOL = "1e-6"

# (name, map, einsum, extents by label)
PRODUCTS = [
  ("matmul", "m k, k n -> m n", "mk,kn->mn", dict(m=5, k=7, n=3)),
  ("matmul_tall", "m k, k n -> m n", "mk,kn->mn", dict(m=67, k=19, n=1)),
  ("matmul_long_k", "m k, k n -> m n", "mk,kn->mn", dict(m=2, k=311, n=3)),
  ("matmul_row", "m k, k n -> m n", "mk,kn->mn", dict(m=1, k=64, n=33)),
  ("matmul_one", "m k, k n -> m n", "mk,kn->mn", dict(m=1, k=1, n=1)),
  ("matmul_transposed_b", "b m k, n k -> b m n", "bmk,nk->bmn", dict(b=2, m=3, k=17, n=5)),
  ("matmul_transposed_a", "k m, k n -> m n", "km,kn->mn", dict(m=4, k=13, n=6)),
  ("matmul_transposed_out", "m k, k n -> n m", "mk,kn->nm", dict(m=4, k=5, n=6)),
  ("matmul_square", "m k, k n -> m n", "mk,kn->mn", dict(m=16, k=16, n=16)),
  ("batched", "b m k, b k n -> b m n", "bmk,bkn->bmn", dict(b=3, m=4, k=5, n=2)),
  ("batched_two", "b h m d, b h n d -> b h m n", "bhmd,bhnd->bhmn", dict(b=2, h=3, m=4, n=5, d=6)),
  ("batched_last", "m k b, k n b -> m n b", "mkb,knb->mnb", dict(b=5, m=3, k=4, n=2)),
  ("inner_batch", "b m h d, b n h d -> b h m n", "bmhd,bnhd->bhmn", dict(b=1, h=2, m=5, n=3, d=4)),
  ("values", "b h m n, b n h d -> b m h d", "bhmn,bnhd->bmhd", dict(b=2, h=2, m=3, n=5, d=4)),
  ("dot", "k, k ->", "k,k->", dict(k=37)),
  ("outer", "m, n -> m n", "m,n->mn", dict(m=5, n=7)),
  ("outer_transposed", "m, n -> n m", "m,n->nm", dict(m=5, n=3)),
  ("vector_matrix", "k, k n -> n", "k,kn->n", dict(k=11, n=6)),
  ("matrix_vector", "m k, k -> m", "mk,k->m", dict(k=23, m=5)),
  ("hadamard_sum", "m n, m n -> m", "mn,mn->m", dict(m=4, n=9)),
  ("two_reduced", "m a b, a b n -> m n", "mab,abn->mn", dict(m=3, a=4, b=5, n=2)),
  ("two_reduced_crossed", "a m b, b n a -> m n", "amb,bna->mn", dict(m=3, a=4, b=5, n=2)),
  ("reduced_in_one", "m k j, k n -> m n", "mkj,kn->mn", dict(m=3, k=4, j=5, n=2)),
  ("bilinear", "b i, i j -> b j i", "bi,ij->bji", dict(b=2, i=3, j=4)),
  ("kernel_trick", "b h n d, b h n e -> b h d e", "bhnd,bhne->bhde", dict(b=1, h=2, n=9, d=3, e=4)),
]


def contract():
  f = Family("contract")
  for name, text, spec, extent in PRODUCTS:
    left, right = spec.split("->")[0].split(",")
    g = f.rng(name)
    a, b = (g.normal(size=[extent[c] for c in labels]).astype(F32) for labels in (left, right))
    y = np.einsum(spec, a.astype(F64), b.astype(F64))
    f.case(name, f'contract(%0, %1) {{map="{text}"}}', [a, b], [rounded(y, F32)], TOL)

  # grouped queries: rows (g r) of q share head g of k; the labels of the head stay apart in the result
  g = f.rng("grouped_queries")
  q, k = g.normal(size=(2, 6, 5, 4)).astype(F32), g.normal(size=(2, 3, 7, 4)).astype(F32)
  y = np.einsum("bgrmd,bgnd->bgrmn", q.reshape(2, 3, 2, 5, 4).astype(F64), k.astype(F64))
  f.case(
    "grouped_queries",
    'contract(%0, %1) {map="b (g*2+r) m d, b g n d -> b g r m n; r = 2"}',
    [q, k],
    [rounded(y, F32)],
    TOL,
  )

  text = 'contract(%0, %1) {map="m k, k n -> m n"}'
  for name, dtype in (("f16", F16), ("bf16", BF16), ("f64", F64)):
    g = f.rng(name)
    a, b = (g.uniform(0.1, 1, s) for s in ((3, 21), (21, 5)))
    a, b = (v if dtype == F64 else rounded(v, dtype) for v in (a, b))
    f.case(
      f"matmul_{name}",
      text,
      [a, b],
      [rounded(a.astype(F64) @ b.astype(F64), dtype)],
      "1e-14" if dtype == F64 else "ulp:1",
    )
  for name, dtype in (("i32", I32), ("i64", I64)):
    info = np.iinfo(dtype)
    a, b = (f.rng(name).integers(info.min, info.max, s, dtype=dtype) for s in ((3, 5), (5, 4)))
    wide = a.astype(object) @ b.astype(object)
    f.case(f"matmul_{name}", text, [a, b], [wrapped(wide.ravel(), dtype).reshape(wide.shape)])

  # every product is exact and the sums pass through infinities, NaN and zeros
  a = np.array([[np.inf, 1, 0], [np.inf, -1, 2], [np.nan, 0, 0], [0, 0, 0], [np.inf, 0, 1], [-np.inf, 2, 1]], F32)
  b = np.array([[1, 0, -1], [2, 1, 3], [4, 1, 1e-45]], F32)
  with np.errstate(all="ignore"):
    f.case("matmul_nasty", text, [a, b], [rounded((a.astype(F64)[:, :, None] * b.astype(F64)[None]).sum(1), F32)])
  return f


# -- convolutions --


def affine(out, tap, stride, dilation, padding):
  """The index of a read: y*stride + ky*dilation - padding."""
  term = lambda label, n: label if n == 1 else f"{label}*{n}"
  return f"({term(out, stride)}+{term(tap, dilation)}{f'-{padding}' if padding else ''})"


def conv(x, w, stride, padding, dilation, groups):
  """Cross-correlation of [n, c, ...] with [o, c/groups, ...] in f64."""
  y = jax.lax.conv_general_dilated(
    x.astype(F64),
    w.astype(F64),
    stride,
    [(p, p) for p in padding],
    rhs_dilation=dilation,
    feature_group_count=groups,
    precision="highest",
  )
  return np.asarray(y)


SPACE = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}

# (name, x shape, w shape, stride, padding, dilation, groups); w is [out, in/groups, kernel…]
CONVS = [
  ("conv1d", (2, 3, 11), (4, 3, 3), (1,), (0,), (1,), 1),
  ("conv1d_s2_p1", (1, 2, 12), (3, 2, 4), (2,), (1,), (1,), 1),
  ("conv1d_dilated", (1, 2, 17), (2, 2, 3), (1,), (4,), (4,), 1),
  ("conv2d_1x1", (2, 5, 3, 4), (3, 5, 1, 1), (1, 1), (0, 0), (1, 1), 1),
  ("conv2d_3x3", (1, 3, 6, 7), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
  ("conv2d_3x3_s2", (2, 3, 7, 8), (2, 3, 3, 3), (2, 2), (1, 1), (1, 1), 1),
  ("conv2d_7x7_s4", (1, 3, 15, 15), (2, 3, 7, 7), (4, 4), (3, 3), (1, 1), 1),
  ("conv2d_uneven", (1, 2, 9, 7), (3, 2, 2, 5), (3, 1), (0, 2), (1, 1), 1),
  ("conv2d_dilated", (1, 2, 9, 9), (2, 2, 3, 3), (1, 2), (2, 3), (2, 3), 1),
  ("conv2d_wide_padding", (1, 1, 3, 3), (1, 1, 3, 3), (2, 2), (4, 4), (1, 1), 1),
  ("conv2d_groups2", (1, 6, 5, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 2),
  ("conv2d_groups3_s2", (2, 6, 6, 5), (9, 2, 3, 2), (2, 1), (1, 0), (1, 1), 3),
  ("conv2d_depthwise", (1, 4, 6, 6), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
  ("conv2d_depthwise_multiplier", (1, 3, 5, 5), (6, 1, 3, 3), (2, 2), (1, 1), (1, 1), 3),
  ("conv2d_patches", (1, 3, 8, 8), (5, 3, 4, 4), (4, 4), (0, 0), (1, 1), 1),
  ("conv3d", (1, 2, 4, 5, 4), (3, 2, 2, 3, 3), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1),
]


def convolution():
  """As contractions. With groups the result keeps the axes apart: [n, groups, out/groups, ...]."""
  f = Family("contract_conv")
  for name, xs, ws, stride, padding, dilation, groups in CONVS:
    g = f.rng(name)
    x, w = g.normal(size=xs).astype(F32), g.normal(size=ws).astype(F32)
    y = conv(x, w, stride, padding, dilation, groups)
    labels = SPACE[len(stride)]
    reads = " ".join(affine(l, f"k{l}", *args) for l, *args in zip(labels, stride, dilation, padding))
    taps, out = " ".join(f"k{l}" for l in labels), " ".join(labels)
    sizes = ", ".join(f"{l} = {n}" for l, n in zip(labels, y.shape[2:]))
    if groups == 1:
      text = f"n c {reads}, o c {taps} -> n o {out}; {sizes}"
    else:
      per_in, per_out = ws[1], ws[0] // groups
      text = f"n (g*{per_in}+c) {reads}, (g*{per_out}+o) c {taps} -> n g o {out}; {sizes}, g = {groups}, o = {per_out}"
      y = y.reshape(xs[0], groups, per_out, *y.shape[2:])
    f.case(name, f'contract(%0, %1) {{map="{text}"}}', [x, w], [rounded(y, F32)], TOL)
  return f


# (name, x shape, w shape, stride, padding, output padding, groups); w is [in, out/groups, kernel…]
TRANSPOSED = [
  ("transposed1d_s2", (1, 2, 5), (2, 3, 4), (2,), (1,), (0,), 1),
  ("transposed2d", (1, 3, 4, 5), (3, 2, 3, 3), (1, 1), (1, 1), (0, 0), 1),
  ("transposed2d_s2", (2, 2, 3, 4), (2, 3, 4, 4), (2, 2), (1, 1), (0, 0), 1),
  ("transposed2d_s2_output_padding", (1, 2, 3, 3), (2, 2, 3, 3), (2, 2), (1, 1), (1, 1), 1),
  ("transposed2d_s3_k2", (1, 2, 3, 2), (2, 2, 2, 2), (3, 3), (0, 0), (0, 0), 1),
  ("transposed2d_uneven", (1, 2, 3, 4), (2, 1, 3, 5), (2, 1), (0, 2), (1, 0), 1),
  ("transposed2d_groups2", (1, 4, 3, 3), (4, 3, 3, 3), (2, 2), (1, 1), (0, 0), 2),
  ("transposed3d_s2", (1, 1, 2, 2, 3), (1, 2, 3, 2, 2), (2, 2, 2), (1, 0, 0), (0, 0, 0), 1),
]


def conv_transposed(x, w, stride, padding, output_padding, groups):
  """In f64 by jax: x spread by the stride, correlated with the mirrored kernel; checked against onnx.reference."""
  kernel = w.shape[2:]
  pads = [(k - 1 - p, k - 1 - p + e) for k, p, e in zip(kernel, padding, output_padding)]
  mirrored = np.flip(w, range(2, w.ndim)).astype(F64).reshape(groups, w.shape[0] // groups, *w.shape[1:])
  mirrored = mirrored.swapaxes(1, 2).reshape(-1, w.shape[0] // groups, *kernel)
  y = jax.lax.conv_general_dilated(
    x.astype(F64),
    mirrored,
    [1] * len(kernel),
    pads,
    lhs_dilation=stride,
    feature_group_count=groups,
    precision="highest",
  )
  if groups == 1:
    other = onnx_op(
      "ConvTranspose",
      [x.astype(F64), w.astype(F64)],
      strides=list(stride),
      pads=list(padding) * 2,
      output_padding=list(output_padding),
    )
    agree(y, other[0])
  return np.asarray(y)


def transposed():
  """y = x*stride - padding + k, so that the operand is read at (y + padding - k) / stride where that is whole."""
  f = Family("contract_conv_transposed")
  for name, xs, ws, stride, padding, extra, groups in TRANSPOSED:
    g = f.rng(name)
    x, w = g.normal(size=xs).astype(F32), g.normal(size=ws).astype(F32)
    y = conv_transposed(x, w, stride, padding, extra, groups)
    labels = SPACE[len(stride)]
    read = lambda l, s, p: f"({l}{f'+{p}' if p else ''}-k{l})" if s == 1 else f"(({l}{f'+{p}' if p else ''}-k{l})/{s})"
    reads = " ".join(read(l, s, p) for l, s, p in zip(labels, stride, padding))
    taps, out = " ".join(f"k{l}" for l in labels), " ".join(labels)
    sizes = ", ".join(f"{l} = {n}" for l, n in zip(labels, y.shape[2:]))
    if groups == 1:
      text = f"n c {reads}, c o {taps} -> n o {out}; {sizes}"
    else:
      per = xs[1] // groups
      text = f"n (g*{per}+c) {reads}, (g*{per}+c) o {taps} -> n g o {out}; {sizes}, g = {groups}, c = {per}"
      y = y.reshape(xs[0], groups, ws[1], *y.shape[2:])
    f.case(name, f'contract(%0, %1) {{map="{text}"}}', [x, w], [rounded(y, F32)], TOL)
  return f


FAMILIES = {"contract": contract, "contract_conv": convolution, "contract_conv_transposed": transposed}
