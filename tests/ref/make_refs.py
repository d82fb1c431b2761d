"""Writes the reference vectors tests/ref/*.safetensors, which judge nnc's interpreter and compiler by operator.

    build/venv/bin/python tests/ref/make_refs.py [FAMILY...]      all families, or those named

In:   nothing. Out: one file a family, each at most 100 KB, the same bytes at every run of the pinned library versions.
The values come from libraries that know nothing of nnc: numpy and scipy in f64, jax in f64, onnx.reference, exact
rational arithmetic for casts, and mpmath where the last bit counts. Most composites are computed twice, by a formula
and by a library; onnxruntime repeats in f32 what onnx.reference gives; the script stops where two disagree.

A file holds cases. A case `c` (letters, digits, `_`) is made of
  tensors   c.in0 c.in1 ...    operands
            c.out0 c.out1 ...  expected results
            c.m.WEIGHT         weights of a layer (only with `prelude:`), such as c.m.bias
  metadata  c                  what is applied, one of
              contract(%0, %1) {map="b m k, b n k -> b m n"}
                  one operator of the graph IR in its text form; %i is in<i>, the result types are those of out0 ...
              prelude: gelu(x0, approximate='tanh')
                  an expression of the model language; x<i> is in<i>. It stands in a step `y: ...`, or `y@m: ...` if the
                  case has weights, so that they are named m.WEIGHT; several outputs are a step `y0, y1: ...`
            c.tol              how close each result must be, one of
              exact            the same bits; any NaN matches any NaN
              ulp:N            within N units in the last place; NaN, inf and the sign of zero as expected
              T (a number)     |got - expected| <= T * max|finite expected|; NaN and inf as expected
The bounds are what f32 arithmetic that accumulates in f64 should meet; integer and bool results are always exact.
Cases named *_nasty hold zeros of both signs, infinities, NaN, denormals and extremes.

`make_refs.py resampled` writes a family that needs torch: gen/resampled.py.
`make_refs.py bert`, `make_refs.py zoo` and `make_refs.py networks` write the checkpoints of tests/bert, tests/zoo and
tests/bench instead, `make_refs.py generated` and `make_refs.py medusa` what those of tests/zoo generate; they need torch
and most of them transformers: gen/bert.py, gen/zoo.py, gen/networks.py, gen/zoo_generated.py, gen/zoo_medusa.py.
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def main():
  if sys.argv[1:] == ["bert"]:
    from gen import bert

    return bert.write_all()
  if sys.argv[1:] == ["resampled"]:
    from gen import resampled

    return resampled.write()
  if sys.argv[1:2] == ["zoo"]:
    from gen import zoo

    return zoo.write_all(sys.argv[2:])
  if sys.argv[1:2] == ["networks"]:
    from gen import networks

    return networks.write_all(sys.argv[2:])
  if sys.argv[1:2] == ["generated"]:
    from gen import zoo_generated

    return zoo_generated.write_all(sys.argv[2:])
  if sys.argv[1:2] == ["medusa"]:
    from gen import zoo_medusa

    return zoo_medusa.write_all(sys.argv[2:])
  from gen import casts, composites, contractions, elementwise, indexed, layers, math_bits, movement, ordered, reductions

  families = {}
  for module in (
    elementwise,
    casts,
    reductions,
    contractions,
    movement,
    indexed,
    ordered,
    composites,
    layers,
    math_bits,
  ):
    families |= module.FAMILIES
  wanted = sys.argv[1:] or list(families)
  for name in wanted:
    if name not in families:
      sys.exit(f"error: no family `{name}`; there are: {' '.join(families)}")
  for name in wanted:
    family = families[name]()
    size = family.write(HERE)
    print(f"{name}: {len(family.cases)} cases, {size} bytes")


if __name__ == "__main__":
  main()
