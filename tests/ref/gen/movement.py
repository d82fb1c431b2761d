"""Leaves and movement: reshape, transpose, broadcast, slice, pad, concat, reverse, window, update. numpy; all
exact."""

import numpy as np

from .store import BOOL, DTYPES, F32, FORMATS, I32, I64, I8, U8, Family, rounded


def ints(values):
  return f"[{','.join(map(str, values))}]"


def sample(f, name, shape, dtype):
  """Values of a dtype; for bool, both."""
  g = f.rng(name)
  if dtype in FORMATS:
    return rounded(g.normal(size=shape), dtype)
  return (
    g.integers(0, 2, shape).astype(BOOL)
    if dtype == BOOL
    else g.integers(-100 if dtype != U8 else 0, 100, shape).astype(dtype)
  )


def movement():
  f = Family("movement")
  for name, shape, to in (
    ("rows", (6, 4), (24,)),
    ("split", (2, 12), (2, 3, 4)),
    ("merge", (2, 3, 5), (6, 5)),
    ("regroup", (4, 6), (3, 8)),
    ("ones", (1, 7, 1), (7,)),
    ("scalar", (1, 1), ()),
    ("primes", (7, 11), (11, 7)),
  ):
    x = sample(f, name, shape, F32)
    f.case(f"reshape_{name}", f"reshape(%0) {{shape={ints(to)}}}", [x], [x.reshape(to)])
  for shape, perm in (
    ((3, 5), (1, 0)),
    ((2, 3, 4), (2, 0, 1)),
    ((2, 3, 4, 5), (0, 2, 1, 3)),
    ((1, 7, 1), (2, 1, 0)),
    ((2, 3, 1, 2, 3), (4, 2, 0, 3, 1)),
    ((17, 19), (1, 0)),
  ):
    name = "transpose_" + "".join(map(str, perm)) + f"_{shape[0]}"
    x = sample(f, name, shape, F32)
    f.case(name, f"transpose(%0) {{perm={ints(perm)}}}", [x], [x.transpose(perm)])
  for name, shape, to in (
    ("row", (5,), (3, 5)),
    ("column", (3, 1), (3, 5)),
    ("both", (1, 3, 1), (2, 4, 3, 5)),
    ("scalar", (), (2, 3)),
    ("same", (2, 3), (2, 3)),
  ):
    x = sample(f, name, shape, F32)
    f.case(f"broadcast_{name}", f"broadcast(%0) {{shape={ints(to)}}}", [x], [np.broadcast_to(x, to)])
  for name, shape, axis, lo, size, step in (
    ("a", (7, 3), 0, 2, 3, 1),
    ("b", (2, 11), 1, 1, 4, 3),
    ("c", (2, 5, 4), 1, 0, 3, 2),
    ("d", (3, 4), 1, 3, 1, 1),
    ("e", (13,), 0, 12, 1, 5),
    ("whole", (3, 4), 0, 0, 3, 1),
  ):
    x = sample(f, name, shape, F32)
    y = np.take(x, range(lo, lo + size * step, step), axis)
    stride = f", step={step}" if step > 1 else ""
    f.case(f"slice_{name}", f"slice(%0) {{axis={axis}, lo={lo}, size={size}{stride}}}", [x], [y])
  x = sample(f, "slice_at", (3, 9, 2), F32)
  f.case("slice_at", "slice(%0, %1) {axis=1, size=4}", [x, np.array(3, I32)], [x[:, 3:7]])
  f.case("slice_at_last", "slice(%0, %1) {axis=1, size=3, step=2}", [x, np.array(4, I32)], [x[:, 4:9:2]])
  for name, shape, lo, hi, value in (
    ("rows", (2, 3), (1, 0), (2, 0), "0"),
    ("both", (3, 4), (1, 2), (0, 3), "-1.5"),
    ("inf", (1, 2, 3), (0, 1, 1), (0, 1, 0), "-inf"),
    ("none", (3,), (0,), (0,), "7"),
    ("nan", (2,), (0,), (1,), "nan"),
  ):
    x = sample(f, name, shape, F32)
    y = np.pad(x, list(zip(lo, hi)), constant_values=F32.type(float(value)))
    f.case(f"pad_{name}", f"pad(%0) {{lo={ints(lo)}, hi={ints(hi)}, value={value}}}", [x], [y])
  x = sample(f, "pad_i32", (2, 3), I32)
  f.case("pad_i32", "pad(%0) {lo=[0,1], hi=[1,0], value=-5}", [x], [np.pad(x, [(0, 1), (1, 0)], constant_values=-5)])
  for name, shapes, axis in (
    ("rows", ((2, 3), (1, 3)), 0),
    ("last", ((2, 1, 3), (2, 1, 5), (2, 1, 1)), 2),
    ("middle", ((2, 3, 2), (2, 4, 2)), 1),
    ("one", ((3, 2),), 0),
    ("many", ((2,),) * 7, 0),
  ):
    xs = [sample(f, f"{name}{i}", s, F32) for i, s in enumerate(shapes)]
    operands = ", ".join(f"%{i}" for i in range(len(xs)))
    f.case(f"concat_{name}", f"concat({operands}) {{axis={axis}}}", xs, [np.concatenate(xs, axis)])
  for name, shape, axes in (("a", (5,), (0,)), ("b", (3, 4), (1,)), ("c", (2, 3, 5), (0, 2)), ("d", (1, 7), (0, 1))):
    x = sample(f, name, shape, F32)
    f.case(f"reverse_{name}", f"reverse(%0) {{axes={ints(axes)}}}", [x], [np.flip(x, axes)])
  for name, dtype in DTYPES.items():
    if dtype == F32:
      continue
    x = sample(f, name, (3, 4), dtype)
    f.case(f"transpose_{name}", "transpose(%0) {perm=[1,0]}", [x], [x.T])
    f.case(f"slice_{name}", "slice(%0) {axis=1, lo=1, size=2, step=2}", [x], [x[:, 1::2]])
    f.case(f"concat_{name}", "concat(%0, %1) {axis=1}", [x, x[:, :1]], [np.concatenate([x, x[:, :1]], 1)])
    f.case(f"reverse_{name}", "reverse(%0) {axes=[0]}", [x], [x[::-1]])
    f.case(f"broadcast_{name}", "broadcast(%0) {shape=[2,3,4]}", [x], [np.broadcast_to(x, (2, 3, 4))])
  nasty = np.array([[np.nan, -0.0, 0.0], [1e-45, -np.inf, 3.4028235e38]], F32)  # movement keeps every bit
  f.case("transpose_nasty", "transpose(%0) {perm=[1,0]}", [nasty], [nasty.T])
  f.case("concat_nasty", "concat(%0, %1) {axis=0}", [nasty, -nasty], [np.concatenate([nasty, -nasty])])
  return f


def patches(x, kernel, stride, padding):
  """[n, c, h, w] to [n, c, ky, kx, y, x], zeros outside."""
  p = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
  seen = np.lib.stride_tricks.sliding_window_view(p, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
  return seen.transpose(0, 1, 4, 5, 2, 3)


def window():
  f = Family("window")
  for name, shape, kernel, stride, padding in (
    ("im2col3", (1, 2, 5, 6), 3, 1, 1),
    ("im2col2_s2", (2, 1, 4, 6), 2, 2, 0),
    ("im2col3_s2", (1, 1, 7, 5), 3, 2, 1),
  ):
    x = sample(f, name, shape, F32)
    y = patches(x, kernel, stride, padding)
    read = lambda o: f"({o}{f'*{stride}' if stride > 1 else ''}+k{o}{f'-{padding}' if padding else ''})"
    sizes = f"y = {y.shape[4]}, x = {y.shape[5]}, ky = {kernel}, kx = {kernel}"
    f.case(name, f'window(%0) {{map="n c {read("y")} {read("x")} -> n c ky kx y x; {sizes}"}}', [x], [y])
  x = sample(f, "frames", (2, 10), F32)
  y = np.stack([x[:, 2 * t : 2 * t + 4] for t in range(4)], 1)
  f.case("frames", 'window(%0) {map="b (t*2+k) -> b t k; t = 4, k = 4"}', [x], [y])
  return f


def leaves():
  f = Family("leaf")
  for name, shape, axis in (("a", (5,), 0), ("b", (3, 4), 0), ("c", (3, 4), 1), ("d", (2, 1, 7), 2)):
    y = np.broadcast_to(
      np.arange(shape[axis], dtype=I32).reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape
    )
    f.case(f"iota_{name}", f"iota() {{axis={axis}}}", [], [y])
  f.case("const_f32", "const() {value=-1.5}", [], [np.full((2, 3), -1.5, F32)])
  f.case("const_f32_list", "const() {value=[1.5,-0.25,inf,3]}", [], [np.array([[1.5, -0.25], [np.inf, 3]], F32)])
  f.case("const_i32_list", "const() {value=[1,-2,3]}", [], [np.array([1, -2, 3], I32)])
  f.case("const_i64", "const() {value=9007199254740993}", [], [np.array(9007199254740993, I64)])
  return f


def update():
  f = Family("update")
  x, v = sample(f, "x", (3, 8, 2), F32), sample(f, "v", (3, 3, 2), F32)
  at = lambda *values: [np.array(a, I32) for a in values]
  y = x.copy()
  y[:, 4:7] = v
  f.case("one_axis", "update(%0, %1, %2) {axes=[1], sizes=[3]}", [x, v, *at(4)], [y])
  y = x.copy()
  y[:, 1:7:2] = v
  f.case("step", "update(%0, %1, %2) {axes=[1], sizes=[3], step=2}", [x, v, *at(1)], [y])
  v = sample(f, "v2", (1, 3, 2), F32)
  y = x.copy()
  y[2:3, 5:8] = v
  f.case("two_axes", "update(%0, %1, %2, %3) {axes=[0,1], sizes=[1,3]}", [x, v, *at(2, 5)], [y])
  x, v = sample(f, "rows_x", (2, 3, 2, 7), F32), sample(f, "rows_v", (1, 3, 2, 4), F32)
  y = x.copy()
  for i, start in enumerate((3, 0, 2)):
    y[1, i, :, start:start + 4] = v[0, i]
  starts = np.array([3, 0, 2], I32).reshape(1, 3, 1, 1)
  f.case("rows", "update(%0, %1, %2, %3) {axes=[0,3], sizes=[1,4]}", [x, v, *at(1), starts], [y])
  x, v = sample(f, "ix", (5,), I8), sample(f, "iv", (2,), I8)
  y = x.copy()
  y[3:] = v
  f.case("i8", "update(%0, %1, %2) {axes=[0], sizes=[2]}", [x, v, *at(3)], [y])
  return f


FAMILIES = {"movement": movement, "window": window, "leaf": leaves, "update": update}
