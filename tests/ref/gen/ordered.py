"""sort, topk (numpy), nms (onnx.reference), compact, random (Philox, checked against its published vectors), linear
algebra (numpy and scipy)."""

import numpy as np
import scipy.linalg

from .movement import sample
from .onnx_ops import onnx_op
from .store import BOOL, DTYPES, F32, F64, I32, Family, agree, rounded


def ordered(x, axis, descending):
  """(values, indices) of a stable sort: NaN is the largest, zeros of both signs are equal."""
  key = -x.astype(F64) if descending else x.astype(F64)
  if descending:
    key = np.where(np.isnan(key), -np.inf, np.where(key == -np.inf, -1e308, key))
  at = np.argsort(key, axis=axis, kind="stable").astype(I32)
  return np.take_along_axis(x, at, axis), at


def sort():
  f = Family("sort")
  for name, shape, axis in (("a", (4, 9), 1), ("b", (7, 3), 0), ("c", (2, 11, 3), 1), ("d", (1,), 0), ("e", (37,), 0)):
    for descending in (0, 1):
      x = np.round(sample(f, name, shape, F32), 1)  # with ties
      flag = ", descending=1" if descending else ""
      f.case(
        f"sort_{name}{'_descending' if descending else ''}",
        f"sort(%0) {{axis={axis}{flag}}}",
        [x],
        ordered(x, axis, descending),
      )
  for name, dtype in DTYPES.items():
    if dtype in (F32, BOOL):
      continue
    x = np.rint(sample(f, name, (3, 8), F64) * 2).clip(0 if name == "u8" else -9).astype(dtype)
    f.case(f"sort_{name}", "sort(%0) {axis=1}", [x], ordered(x, 1, 0))
    f.case(f"topk_{name}", "topk(%0) {k=3, axis=1}", [x], [v[:, :3] for v in ordered(x, 1, 1)])
  nasty = np.array(
    [
      [np.nan, 0.0, -0.0, np.inf, -np.inf, 1, np.nan, -1],
      [-0.0, 0.0, -0.0, 0.0, 1e-45, -1e-45, 3.4028235e38, -3.4028235e38],
    ],
    F32,
  )
  f.case("sort_nasty", "sort(%0) {axis=1}", [nasty], ordered(nasty, 1, 0))
  f.case("sort_nasty_descending", "sort(%0) {axis=1, descending=1}", [nasty], ordered(nasty, 1, 1))
  f.case("topk_nasty", "topk(%0) {k=5, axis=1}", [nasty], [v[:, :5] for v in ordered(nasty, 1, 1)])
  for name, shape, axis, k in (("a", (4, 9), 1, 3), ("b", (7, 3), 0, 7), ("c", (2, 11, 3), 1, 1), ("d", (53,), 0, 10)):
    x = np.round(sample(f, f"topk_{name}", shape, F32), 1)
    values, at = (np.take(v, range(k), axis) for v in ordered(x, axis, 1))
    f.case(f"topk_{name}", f"topk(%0) {{k={k}, axis={axis}}}", [x], [values, at])
  x = sample(f, "language", (3, 7), F32)
  f.case("language_topk", "prelude: topk(x0, 2)", [x], [v[:, :2] for v in ordered(x, 1, 1)])
  f.case("language_sort", "prelude: sort(x0, dim=0, descending=True)", [x], ordered(x, 0, 1))
  return f


def selection():
  """nms and compact. Places beyond the count are 0."""
  f = Family("selection")
  for name, n, limit, room in (
    ("all", 24, 0.3, 24),
    ("few", 24, 0.5, 5),
    ("strict", 40, 0.0, 40),
    ("loose", 12, 0.9, 12),
  ):
    g = f.rng(name)
    corner, size = g.uniform(0, 8, (n, 2)), g.uniform(1, 5, (n, 2))
    boxes, scores = np.concatenate([corner, corner + size], 1).astype(F32), (g.permutation(n) + 1).astype(F32)
    kept = onnx_op("NonMaxSuppression", [boxes[None], scores[None, None], np.array([room]), np.array([limit], F32)])[0][
      :, 2
    ]
    at = np.zeros(room, I32)
    at[: len(kept)] = kept
    f.case(f"nms_{name}", f"nms(%0, %1) {{iou={limit}, max={room}}}", [boxes, scores], [at, np.array(len(kept), I32)])
  for name, shape, room in (("rows", (7, 3), 7), ("vector", (11,), 4), ("none", (5, 2), 5)):
    x, mask = sample(f, f"compact_{name}", shape, F32), f.rng(f"mask_{name}").integers(0, 2, shape[0]).astype(BOOL)
    if name == "none":
      mask[:] = False
    kept = x[mask][:room]
    y = np.zeros((room, *shape[1:]), F32)
    y[: len(kept)] = kept
    f.case(f"compact_{name}", f"compact(%0, %1) {{max={room}}}", [x, mask], [y, np.array(len(kept), I32)])
  return f


# -- random --


def philox(counter, key):
  """Philox 4x32-10 of four counter and two key words (Salmon et al. 2011, Parallel random numbers)."""
  word = 0xFFFFFFFF
  c, k = list(counter), list(key)
  for _ in range(10):
    p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
    c = [(q >> 32) ^ c[1] ^ k[0], q & word, (p >> 32) ^ c[3] ^ k[1], p & word]
    k = [(k[0] + 0x9E3779B9) & word, (k[1] + 0xBB67AE85) & word]
  return c


# known answers that its authors publish with their implementation
assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
assert philox([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
assert philox([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]) == [
  0xD16CFE09,
  0x94FDCCEB,
  0x5001E420,
  0x24126EA1,
]


def sampled(logits, noise, top_k, top_p, temperature):
  """Row by row: those left over, by counting, then the Gumbel maximum."""
  out = []
  for row, u in zip(logits.astype(F64) / temperature, noise.astype(F64)):
    order = sorted(range(row.size), key=lambda i: -row[i])
    p = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
    left = order[: top_k or row.size]
    if top_p:
      left = [i for at, i in enumerate(left) if sum(p[j] for j in left[:at]) < top_p]
    out.append(max(left, key=lambda i: row[i] - np.log(-np.log(u[i]))))
  return np.array(out, I32)


def random():
  """Element i is word i % 4 of block i // 4 under the key (seed, 0): (word >> 9 + 1/2) * 2^-23."""
  f = Family("random")
  for seed, shape in ((0, (17,)), (1, (3, 5)), (-1, (2, 2, 3)), (123456789, (65,))):
    n = int(np.prod(shape))
    words = [philox([i // 4, 0, 0, 0], [seed & 0xFFFFFFFF, 0])[i % 4] for i in range(n)]
    y = ((np.array(words, F64) // 512 + 0.5) * 2.0**-23).astype(F32).reshape(shape)
    name = f"seed_{seed}" if seed >= 0 else "seed_minus_1"
    index = np.array([0, 1, 2, 3, 4, 1000, 2**31 - 1, -1] if seed == 123456789 else range(n), I32)
    key = [seed & 0xFFFFFFFF, 0]
    bits = [philox([(int(i) & 0xFFFFFFFF) // 4, 0, 0, 0], key)[int(i) % 4] // 512 for i in index]
    f.case(f"philox_{name}", "philox(%0, %1)", [index, np.full(index.shape, seed, I32)], [np.array(bits, I32)])
    f.case(name, f"random(%0) {{shape=[{','.join(map(str, shape))}]}}", [np.array(seed, I32)], [y])
  for name, top_k, top_p, temperature in (("plain", 0, 0, 1), ("cold", 0, 0, 0.25), ("k", 3, 0, 1), ("p", 0, 0.6, 2)):
    logits = rounded(f.rng(name).normal(0, 2, (40, 11)), F32)
    noise = rounded(f.rng(f"{name}_noise").uniform(0.001, 0.999, logits.shape), F32)
    arguments = "".join(
      f", {k}={v}" for k, v in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p)) if v
    )
    drawn = sampled(logits, noise, top_k, top_p, temperature)
    f.case(f"sample_{name}", f"prelude: sample(x0, x1{arguments})", [logits, noise], [drawn])
  return f


# -- linear algebra --


def linalg():
  f = Family("linalg")
  well = lambda name, *shape: (sample(f, name, shape, F32) + 3 * np.eye(shape[-1], dtype=F32)).astype(F32)
  for name, shape in (("one", (1, 1)), ("small", (3, 3)), ("batch", (2, 5, 5)), ("prime", (13, 13))):
    a = well(name, *shape)
    y = np.linalg.inv(a.astype(F64))
    f.case(f"inverse_{name}", "inverse(%0)", [a], [rounded(y, F32)], "1e-6")
    packed, pivots = zip(*(scipy.linalg.lu_factor(m) for m in a.astype(F64).reshape(-1, *shape[-2:])))
    outs = [rounded(np.stack(packed).reshape(shape), F32), np.stack(pivots).reshape(shape[:-1]).astype(I32)]
    f.case(f"lu_{name}", "lu(%0)", [a], outs, "1e-6")
    f.case(
      f"logabsdet_{name}", "prelude: logabsdet(x0)", [a], [rounded(np.linalg.slogdet(a.astype(F64))[1], F32)], "2e-6"
    )
    b = sample(f, f"{name}_b", (*shape[:-1], 4), F32)
    for upper in (0, 1):
      x = np.stack(
        [
          scipy.linalg.solve_triangular(m, r, lower=not upper)
          for m, r in zip(a.astype(F64).reshape(-1, *shape[-2:]), b.astype(F64).reshape(-1, shape[-1], 4))
        ]
      ).reshape(b.shape)
      triangle = (np.triu if upper else np.tril)(a).astype(F64)
      agree(triangle @ x, b, 1e-8)
      f.case(
        f"tri_solve_{name}{'_upper' if upper else ''}",
        f"tri_solve(%0, %1){' {upper=1}' if upper else ''}",
        [a, b],
        [rounded(x, F32)],
        "1e-6",
      )
  permutation = np.array([[0, 2, 0], [0, 0, 4], [0.5, 0, 0]], F32)  # needs pivots
  f.case("inverse_permutation", "inverse(%0)", [permutation], [np.linalg.inv(permutation)], "1e-6")
  return f


FAMILIES = {"sort": sort, "selection": selection, "random": random, "linalg": linalg}
