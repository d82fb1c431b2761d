"""The report's chart: for each network, what rivals take over what nnc takes, as an SVG. Time of a run with 1 thread, time
until the first result (session and first run), resident memory beside the weights, and size of what is deployed."""

import importlib.util
import math
from pathlib import Path

MIB = 2**20
COLOURS = {"nnc": "#333333", "onnxruntime": "#1b6ca8", "openvino": "#7a4fa3", "torch": "#c8553d", "torch_compile": "#d99a2b"}
LABEL, WIDTH, BAR, GAP = 150, 190, 9, 14  # pixels: names, a panel, a bar, between networks
PANELS = ("time of a run", "time to the first result", "memory beside weights", "size deployed")


def engine_mib(package):
  """Shared libraries of an engine's Python package; None for PyTorch, whose wheel holds other devices' code."""
  spec = importlib.util.find_spec(package) if not package.startswith("torch") else None
  if not spec:
    return None
  libraries = {f.resolve() for f in Path(spec.origin).parent.rglob("*.so*")}
  return sum(f.stat().st_size for f in libraries) / MIB


def values(r, engine):
  """One number a panel, None where there is none."""
  row = next(iter(r["runs"].values())).get(engine)
  first = r["start"].get(engine)
  library, onnx, weights = ((r["case"].folder / f).stat().st_size / MIB
                            for f in ("model.so", "model.onnx", "model.safetensors"))
  of_engine = 0 if engine == "nnc" else engine_mib(engine)
  size = None if of_engine is None else (library if engine == "nnc" else onnx) + of_engine
  return (row and row["ms"], first and first[0] + first[1], first and first[2] - weights, size)


def chart(results):
  engines = [e for e in COLOURS if any(e in rows for r in results for rows in r["runs"].values())]
  rivals = [e for e in engines if e != "nnc"]
  block = BAR * len(rivals) + GAP
  height, width = 70 + block * len(results), LABEL + len(PANELS) * WIDTH + 20
  out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
         f'<rect width="{width}" height="{height}" fill="white"/>',
         f'<text x="10" y="18" font-size="13">Rivals over nnc (line: nnc). Right of the line nnc takes less.</text>']
  for i, e in enumerate(rivals):
    x = LABEL + 260 + 110 * i
    out.append(f'<rect x="{x}" y="9" width="10" height="10" fill="{COLOURS[e]}"/><text x="{x + 14}" y="18">{e}</text>')
  for p, title in enumerate(PANELS):
    left = LABEL + p * WIDTH
    ratios = {(n, e): mine and theirs and theirs / mine
              for n, r in enumerate(results) for e in rivals
              for mine, theirs in [(values(r, "nnc")[p], values(r, e)[p])]}
    most = max([2, *(x for x in ratios.values() if x)])
    scale = (WIDTH - 50) / math.log(most / 0.5)  # logarithmic, from one half on
    place = lambda x: left + scale * math.log(max(x, 0.5) / 0.5)  # noqa: E731
    out.append(f'<text x="{place(1) - 4:.1f}" y="44" font-weight="bold">{title}</text>')
    for (n, e), x in ratios.items():
      if x:
        y = 56 + n * block + rivals.index(e) * BAR
        out.append(f'<rect x="{min(place(x), place(1)):.1f}" y="{y}" width="{abs(place(x) - place(1)):.1f}" height="{BAR - 2}" '
                   f'fill="{COLOURS[e]}"/><text x="{max(place(x), place(1)) + 3:.1f}" y="{y + BAR - 2}" font-size="8">{x:.{1 if x < 10 else 0}f}</text>')
    out.append(f'<line x1="{place(1):.1f}" x2="{place(1):.1f}" y1="50" y2="{height - 10}" stroke="{COLOURS["nnc"]}"/>')
  for n, r in enumerate(results):
    out.append(f'<text x="10" y="{56 + n * block + block / 2 - 4:.0f}">{r["case"].title}</text>')
  return "\n".join([*out, "</svg>", ""])
