"""The prelude's functions without weights, in model-language spelling: formulas in f64, checked against
onnx.reference."""

import numpy as np
import scipy.special

from .buckets import position_bucket
from .movement import sample
from .onnx_ops import onnx_op
from .store import BOOL, F32, F64, I32, Family, agree, rounded


def gelu_tanh(x):
  return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu(x):
  return x * scipy.special.ndtr(x)


def silu(x):
  return x * scipy.special.expit(x)


def softplus(x):
  return np.logaddexp(x, 0)


# name: (expression, function in f64, ONNX operator or None, its attributes)
ACTIVATIONS = {
  "relu": ("relu(x0)", lambda x: np.maximum(x, 0), "Relu", {}),
  "gelu": ("gelu(x0)", gelu, "Gelu", {}),
  "gelu_tanh": ("gelu(x0, approximate='tanh')", gelu_tanh, "Gelu", {"approximate": "tanh"}),
  "gelu_new": ("activation(x0, 'gelu_new')", gelu_tanh, None, {}),
  "gelu_named": ("activation(x0, 'gelu')", gelu, None, {}),
  "silu": ("silu(x0)", silu, None, {}),
  "swish_named": ("activation(x0, 'swish')", silu, None, {}),
  "silu_named": ("activation(x0, 'silu')", silu, None, {}),
  "relu_named": ("activation(x0, 'relu')", lambda x: np.maximum(x, 0), None, {}),
  "quick_gelu": ("quick_gelu(x0)", lambda x: x * scipy.special.expit(1.702 * x), None, {}),
  "sigmoid": ("sigmoid(x0)", scipy.special.expit, "Sigmoid", {}),
  "tanh": ("tanh(x0)", np.tanh, "Tanh", {}),
  "softplus": ("softplus(x0)", softplus, "Softplus", {}),
  "mish": ("mish(x0)", lambda x: x * np.tanh(softplus(x)), "Mish", {}),
  "hardswish": ("hardswish(x0)", lambda x: x * np.clip(x + 3, 0, 6) / 6, "HardSwish", {}),
  "leaky_relu": ("leaky_relu(x0)", lambda x: np.where(x > 0, x, 0.01 * x), "LeakyRelu", {"alpha": 0.01}),
  "leaky_relu_slope": ("leaky_relu(x0, slope=0.2)", lambda x: np.where(x > 0, x, 0.2 * x), "LeakyRelu", {"alpha": 0.2}),
  "elu": ("elu(x0)", lambda x: np.where(x > 0, x, np.expm1(x)), "Elu", {}),
  "elu_alpha": ("elu(x0, alpha=0.5)", lambda x: np.where(x > 0, x, 0.5 * np.expm1(x)), "Elu", {"alpha": 0.5}),
}
# operands that the formula, the library and torch agree on although parts of it overflow
WIDE = np.array([0.0, 1e-30, 50, -50, 100, -100, 1e4, -1e4, 1e30, -1e30, 3.4028235e38, -3.4028235e38, -3.75, 0.25], F32)


def activations():
  f = Family("activations")
  for name, (text, fn, op, attributes) in ACTIVATIONS.items():
    x = (3 * sample(f, name, (5, 13), F32)).astype(F32)
    y = fn(x.astype(F64))
    if op:
      agree(y, onnx_op(op, [x.astype(F64)], **attributes)[0], 1e-6)  # attributes are f32
    f.case(name, f"prelude: {text}", [x], [rounded(y, F32)], "1e-6")
    if "named" not in name and name != "gelu_new":
      wide = WIDE[np.abs(WIDE) < 1e38] if name == "hardswish" else WIDE  # x * 6 may overflow
      with np.errstate(all="ignore"):
        y = fn(wide.astype(F64))
      assert np.isfinite(y).all(), name
      f.case(f"{name}_nasty", f"prelude: {text}", [wide], [rounded(y, F32)], "1e-6")
  return f


def elementwise():
  """Functions of the language that are no primitives, and its operators with their rules of broadcasting and types."""
  f = Family("language_elementwise")
  x, y = sample(f, "x", (3, 5), F32), sample(f, "y", (5,), F32)
  a, b = x.astype(F64), y.astype(F64)
  for name, text, out, tol in (
    ("add_broadcast", "x0 + x1", a + b, "exact"),
    ("sub_broadcast", "x0 - x1", a - b, "exact"),
    ("mul_broadcast", "x0 * x1", a * b, "exact"),
    ("div_broadcast", "x0 / x1", a / b, "exact"),
    ("atan2", "atan2(x0, x1)", np.arctan2(a, b), "2e-7"),
    ("min", "min(x0, x1)", np.minimum(a, b), "exact"),
    ("max", "max(x0, x1)", np.maximum(a, b), "exact"),
  ):
    f.case(name, f"prelude: {text}", [x, y], [rounded(out, F32)], tol)
  for name, text, out, tol in (
    ("square", "x0 ** 2", a**2, "ulp:1"),
    ("cube", "x0 ** 3", a**3, "ulp:2"),
    ("exp2", "2 ** x0", 2**a, "ulp:2"),
    ("log2", "log2(abs(x0))", np.log2(np.abs(a)), "5e-7"),
    ("round", "round(x0 * 4)", np.rint(a * 4), "exact"),
    ("clamp", "clamp(x0, -0.5, 0.75)", np.clip(a, F32.type(-0.5), 0.75), "exact"),
    ("negate", "-x0 + 1", 1 - a, "exact"),
    ("where_literal", "where(x0 > 0, x0, -1.0)", np.where(a > 0, a, -1), "exact"),
    ("abs", "abs(x0)", np.abs(a), "exact"),
    ("mod", "x0 % 0.5", np.mod(a, 0.5), "exact"),
  ):
    f.case(name, f"prelude: {text}", [x], [rounded(out, F32)], tol)
  for name, text, out in (
    ("gt", "x0 > x1", x > y),
    ("ge", "x0 >= x1", x >= y),
    ("ne", "x0 != x1", x != y),
    ("logic", "x0 > 0 and not (x1 <= 0.5)", (x > 0) & ~(y <= 0.5)),
    ("logic_or", "x0 < 0 or x1 < 0", (x < 0) | (y < 0)),
  ):
    f.case(name, f"prelude: {text}", [x, y], [out])
  nasty = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1, 1e-45, 3.4028235e38], F32)
  f.case("isfinite_nasty", "prelude: isfinite(x0)", [nasty], [np.isfinite(nasty)])
  f.case("gt_nasty", "prelude: x0 > 0", [nasty], [nasty > 0])
  f.case("ge_nasty", "prelude: x0 >= 0", [nasty], [nasty >= 0])
  f.case("ne_nasty", "prelude: x0 != x0", [nasty], [nasty != nasty])
  q = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf], F32)
  s, t = (v.ravel() for v in np.meshgrid(q, q, indexing="ij"))
  f.case("atan2_nasty", "prelude: atan2(x0, x1)", [s, t], [rounded(np.arctan2(s.astype(F64), t), F32)], "2e-7")
  i = f.rng("i").integers(-50, 50, (2, 9)).astype(I32)
  f.case("int_mix", "prelude: (x0 * 3 + 1) // 4 - x0 % 5", [i], [(i * 3 + 1) // 4 - i % 5])
  f.case("int_clamp", "prelude: clamp(x0, -10, 20)", [i], [np.clip(i, -10, 20)])
  f.case("cast_scale", "prelude: cast(x0, f32) * 0.5", [i], [(i * F32.type(0.5)).astype(F32)])
  return f


def reductions():
  f = Family("language_reductions")
  x = sample(f, "x", (3, 4, 5), F32)
  a = x.astype(F64)
  norm = lambda v, axis: np.sqrt((v * v).sum(axis))
  for name, text, out in (
    ("sum_all", "sum(x0)", a.sum()),
    ("sum_last", "sum(x0, dim=-1)", a.sum(-1)),
    ("sum_two", "sum(x0, dim=(0, 2))", a.sum((0, 2))),
    ("sum_keep", "sum(x0, dim=1, keepdim=True)", a.sum(1, keepdims=True)),
    ("mean_all", "mean(x0)", a.mean()),
    ("mean", "mean(x0, dim=1)", a.mean(1)),
    ("mean_keep", "mean(x0, dim=(1, 2), keepdim=True)", a.mean((1, 2), keepdims=True)),
    ("prod", "prod(x0, dim=2)", a.prod(2)),
    ("amax", "amax(x0, dim=0)", a.max(0)),
    ("amin_keep", "amin(x0, dim=-2, keepdim=True)", a.min(-2, keepdims=True)),
    ("norm_all", "norm(x0)", norm(a, None)),
    ("norm", "norm(x0, dim=1)", norm(a, 1)),
    ("var", "var(x0, dim=1)", a.var(1, ddof=1)),
    ("var_all", "var(x0)", a.var(ddof=1)),
    ("var_biased", "var(x0, dim=(0, 2), correction=0)", a.var((0, 2))),
    ("std", "std(x0, dim=2)", a.std(2, ddof=1)),
    ("std_biased", "std(x0, dim=-1, keepdim=True, correction=0)", a.std(-1, keepdims=True)),
    ("logsumexp", "logsumexp(x0, dim=1)", scipy.special.logsumexp(a, 1)),
    ("logsumexp_keep", "logsumexp(x0, dim=(0, 1), keepdim=True)", scipy.special.logsumexp(a, (0, 1), keepdims=True)),
    ("logsumexp_all", "logsumexp(x0)", scipy.special.logsumexp(a)),
    ("cumsum", "cumsum(x0, dim=1)", a.cumsum(1)),
    ("cumprod", "cumprod(x0, dim=2)", a.cumprod(2)),
    ("cummax", "cummax(x0, dim=0)", np.maximum.accumulate(a, 0)),
  ):
    f.case(name, f"prelude: {text}", [x], [rounded(np.asarray(out), F32)], "1e-6")
  f.case("argmax_all", "prelude: argmax(x0)", [x], [np.asarray(x.argmax(), I32)])
  f.case("argmax_keep", "prelude: argmax(x0, dim=1, keepdim=True)", [x], [x.argmax(1, keepdims=True).astype(I32)])
  f.case("argmin", "prelude: argmin(x0, dim=-1)", [x], [x.argmin(-1).astype(I32)])
  c = f.rng("c").integers(0, 8, (6, 5)) > 1
  f.case("any", "prelude: any(x0, dim=1)", [c], [c.any(1)])
  f.case("all", "prelude: all(x0, dim=1)", [c], [c.all(1)])
  f.case("all_keep", "prelude: all(x0, dim=0, keepdim=True)", [c], [c.all(0, keepdims=True)])
  big = np.array([[1000.0, 1000.0, 999.0], [-1000.0, -1001.0, -1002.0], [-np.inf, 0.0, -np.inf], [1e4, -1e4, 0.0]], F32)
  y = scipy.special.logsumexp(big.astype(F64), 1)
  f.case("logsumexp_nasty", "prelude: logsumexp(x0, dim=1)", [big], [rounded(y, F32)], "1e-6")
  far = (sample(f, "far", (4, 50), F32) + F32.type(1000)).astype(F32)  # the mean is a thousand times the deviation
  f.case("var_far", "prelude: var(x0, dim=1)", [far], [rounded(far.astype(F64).var(1, ddof=1), F32)], "1e-5")
  return f


def softmaxes():
  f = Family("softmax")
  for op, fn, onnx_name in (
    ("softmax", scipy.special.softmax, "Softmax"),
    ("log_softmax", scipy.special.log_softmax, "LogSoftmax"),
  ):
    for name, shape, dim in (
      ("last", (4, 7), -1),
      ("middle", (2, 5, 3), 1),
      ("first", (11, 2), 0),
      ("one", (3, 1), 1),
      ("long", (2, 257), -1),
    ):
      x = (4 * sample(f, f"{op}_{name}", shape, F32)).astype(F32)
      y = fn(x.astype(F64), dim)
      agree(y, onnx_op(onnx_name, [x.astype(F64)], axis=dim)[0])
      f.case(f"{op}_{name}", f"prelude: {op}(x0, dim={dim})", [x], [rounded(y, F32)], "1e-6")
    rows = np.array(
      [
        [1e4, 0, -1e4, 9999],
        [-np.inf, 0, 1, -np.inf],
        [88, 89, 90, 91],
        [-3.4e38, -3.4e38, -3.4e38, -3.4e38],
        [3.4e38, 3.4e38, 1, 0],
        [np.nan, 0, 0, 0],
        [1e-45, 0, -0.0, -1e-45],
        [-np.inf, -np.inf, -np.inf, 2],
      ],
      F32,
    )
    f.case(f"{op}_nasty", f"prelude: {op}(x0)", [rows], [rounded(fn(rows.astype(F64), -1), F32)], "1e-6")
  return f


def attention(q, k, v, mask=None, scale=None, causal=False, window=None):
  """[b, h, m, d] x [b, g, n, d] x [b, g, n, e], h a multiple of g; rows without a visible key give 0. In f64.

  Query i stands at key i + n - m; causal hides keys ahead of it, window those at a distance of `window` or more."""
  h, g, m, n = q.shape[1], k.shape[1], q.shape[2], k.shape[2]
  k, v = (np.repeat(t.astype(F64), h // g, 1) for t in (k, v))
  s = np.einsum("bhmd,bhnd->bhmn", q.astype(F64), k) * (q.shape[-1] ** -0.5 if scale is None else scale)
  if mask is not None:
    s = np.where(mask, s, -np.inf) if mask.dtype == BOOL else s + mask.astype(F64)
  behind = np.arange(m)[:, None] + n - m - np.arange(n)
  if causal:
    s = np.where(behind >= 0, s, -np.inf)
  if window is not None:
    s = np.where(np.abs(behind) < window, s, -np.inf)
  top = s.max(-1, keepdims=True)
  p = np.exp(s - np.where(np.isinf(top), 0, top))
  total = p.sum(-1, keepdims=True)
  return np.einsum("bhmn,bhne->bhme", p / np.where(total == 0, 1, total), v)


def attentions():
  f = Family("attention")
  shapes = lambda b, h, g, m, n, d, e: ((b, h, m, d), (b, g, n, d), (b, g, n, e))
  for name, sizes, text, options, mask in (
    ("plain", (2, 2, 2, 5, 5, 4, 4), "", {}, None),
    ("cross", (1, 3, 3, 2, 7, 5, 5), "", {}, None),
    ("other_width", (1, 2, 2, 3, 4, 8, 5), "", {}, None),
    ("one_query", (2, 2, 2, 1, 9, 4, 4), "", {}, None),
    ("one_key", (1, 2, 2, 3, 1, 4, 4), "", {}, None),
    ("scale", (1, 2, 2, 4, 6, 4, 4), ", scale=0.3", {"scale": 0.3}, None),
    ("grouped", (1, 6, 2, 4, 5, 4, 4), "", {}, None),
    ("shared_key", (1, 4, 1, 3, 5, 4, 4), "", {}, None),
    ("causal", (1, 2, 2, 7, 7, 4, 4), ", causal=True", {"causal": True}, None),
    ("causal_decode", (1, 2, 2, 3, 8, 4, 4), ", causal=True", {"causal": True}, None),
    ("causal_grouped", (2, 4, 2, 5, 5, 3, 3), ", causal=True", {"causal": True}, None),
    ("causal_blind_rows", (1, 1, 1, 5, 3, 4, 4), ", causal=True", {"causal": True}, None),
    ("mask", (2, 2, 2, 4, 6, 4, 4), "", {}, "bool"),
    ("mask_padding", (2, 3, 3, 5, 5, 4, 4), "", {}, "padding"),
    ("mask_blind_row", (1, 2, 2, 4, 4, 4, 4), "", {}, "blind"),
    ("mask_float", (1, 2, 2, 4, 5, 4, 4), "", {}, "float"),
    ("mask_float_inf", (1, 2, 2, 4, 5, 4, 4), "", {}, "inf"),
    ("mask_causal", (1, 2, 2, 6, 6, 4, 4), ", causal=True", {"causal": True}, "padding"),
    ("long", (1, 1, 1, 3, 67, 8, 8), "", {}, None),
    ("window", (1, 2, 2, 7, 7, 4, 4), ", window=3", {"window": 3}, None),
    ("window_causal", (1, 2, 1, 7, 7, 4, 4), ", causal=True, window=3", {"causal": True, "window": 3}, None),
    ("window_causal_decode", (1, 1, 1, 2, 9, 4, 4), ", causal=True, window=4", {"causal": True, "window": 4}, None),
  ):
    g = f.rng(name)
    q, k, v = (g.normal(size=s).astype(F32) for s in shapes(*sizes))
    b, m, n = sizes[0], sizes[3], sizes[4]
    given = None
    if mask == "bool":
      given = g.random((b, 1, m, n)) < 0.7
      given[..., 0] = True
    elif mask == "padding":
      given = (np.arange(n) < n - 2 + np.arange(b)[:, None])[:, None, None, :]
    elif mask == "blind":  # the third query sees nothing
      given = np.broadcast_to(np.arange(m)[:, None] != 2, (1, 1, m, n))
    elif mask == "float":
      given = g.normal(size=(1, 2, m, n)).astype(F32)
    elif mask == "inf":
      given = np.where(g.random((1, 1, m, n)) < 0.3, F32.type(-np.inf), F32.type(0))
      given[..., 1] = 0
    y = attention(q, k, v, mask=given, **options)
    # the library has no window, and aligns the first query with the first key
    if "window" not in options and not ("causal" in options and m != n):
      bias = [] if given is None else [np.broadcast_to(given, (*given.shape[:2], m, n))]
      attributes = {{"scale": "scale", "causal": "is_causal"}[key]: value for key, value in options.items()}
      if bias and "causal" in options:
        bias, attributes = [bias[0] & np.tri(m, dtype=BOOL)], {}
      bias = [t if t.dtype == BOOL else t.astype(F64) for t in bias]
      other = onnx_op("Attention", [t.astype(F64) for t in (q, k, v)] + bias, **attributes)
      agree(y, other[0], 1e-6)  # scale is f32 there
    ins = [q, k, v] + ([] if given is None else [given])
    text = f"prelude: attention(x0, x1, x2{', x3' if given is not None else ''}{text})"
    f.case(name, text, ins, [rounded(y, F32)], "2e-6")
  x = sample(f, "heads", (2, 3, 8), F32)
  y = x.reshape(2, 3, 4, 2).transpose(0, 2, 1, 3)
  distance = np.arange(-300, 301, dtype=I32)
  for name, text, given in (
    ("bucket", "", {}),
    ("bucket_causal", ", causal=True", dict(causal=True)),
    ("bucket_few", ", 12, max_distance=20", dict(buckets=12, max_distance=20)),
  ):
    out = position_bucket(distance, **given).astype(I32)
    f.case(name, f"prelude: position_bucket(x0{text})", [distance], [out])
  f.case("heads", "prelude: heads(x0, 4)", [x], [y])
  f.case("merge_heads", "prelude: merge_heads(x0)", [y], [x])
  return f


def rope():
  f = Family("rope")
  x, positions = sample(f, "x", (2, 3, 5, 8), F32), np.array([0, 1, 2, 7, 300], I32)
  for name, text, interleaved, theta in (
    ("half", "", 0, 10000.0),
    ("interleaved", ", interleaved=True", 1, 10000.0),
    ("theta", ", theta=500.0", 0, 500.0),
  ):
    angle = np.concatenate([positions[:, None] * theta ** (-np.arange(0, 8, 2) / 8)] * 2, 1)
    if interleaved:
      even, odd, a = x[..., 0::2].astype(F64), x[..., 1::2].astype(F64), angle[:, :4]
      y = np.stack([even * np.cos(a) - odd * np.sin(a), even * np.sin(a) + odd * np.cos(a)], -1).reshape(x.shape)
    else:
      turned = np.concatenate([-x[..., 4:], x[..., :4]], -1).astype(F64)
      y = x * np.cos(angle) + turned * np.sin(angle)
    table = np.broadcast_to(angle[:, :4], (2, 5, 4))
    agree(y, onnx_op("RotaryEmbedding", [x.astype(F64), np.cos(table), np.sin(table)], interleaved=interleaved)[0])
    f.case(name, f"prelude: rope(x0, x1{text})", [x, positions], [rounded(y, F32)], "5e-6")  # large angles in f32
    if name == "half":
      first, second, rest = x[..., 0:2].astype(F64), x[..., 2:4].astype(F64), x[..., 4:]
      a = positions[:, None] * theta ** (-np.arange(0, 4, 2) / 4)
      turned = [first * np.cos(a) - second * np.sin(a), first * np.sin(a) + second * np.cos(a)]
      out = rounded(np.concatenate([*turned, rest], -1), F32)
      f.case("dims", "prelude: rope(x0, x1, dims=4)", [x, positions], [out], "5e-6")
      each = np.stack([positions, positions[::-1]])  # [batch, time]
      angles = np.concatenate([each[:, None, :, None] * theta ** (-np.arange(0, 8, 2) / 8)] * 2, -1)
      turned = np.concatenate([-x[..., 4:], x[..., :4]], -1).astype(F64)
      out = rounded(x * np.cos(angles) + turned * np.sin(angles), F32)
      f.case("batch_positions", "prelude: rope(x0, x1)", [x, each], [out], "5e-6")
  return f


FAMILIES = {
  "activations": activations,
  "language_elementwise": elementwise,
  "language_reductions": reductions,
  "softmax": softmaxes,
  "attention": attentions,
  "rope": rope,
}
