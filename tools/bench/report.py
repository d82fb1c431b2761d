"""The report of bench.py in Markdown."""

import itertools
import os
import platform
import statistics
from pathlib import Path

MIB = 2**20


def cpu_name():
  for line in Path("/proc/cpuinfo").read_text().splitlines():
    if line.startswith("model name"):
      return line.split(":", 1)[1].strip()
  return platform.processor()


def head(a, peak, reading):
  def each(values, unit):
    return ", ".join(f"{v:.0f} {unit} with {t} thread{'s' * (t > 1)}" for t, v in values.items() if t != "level")

  chart = f"\n![Time, start, memory and size]({a.output.with_suffix('.svg').name})\n" if a.output else ""
  return f"""# Benchmarks

Written by `tools/bench/run`, which anyone can run; `tools/bench/bench.py` says how it measures. Every engine has the same
weights and inputs, f32 arithmetic where its name says no more, and a process of its own. Batch {a.batch}. Batch and sequence of networks that read tokens
are open in all engines' models, the sizes of the others are known to all. Rounds: {a.rounds}, runs in each: {a.runs}, fewer of slow
networks; load average {a.load:.1f} before. Times are of a machine that others may use at the same time: trust the ratios, which
are taken inside each round.

Machine: {cpu_name()}, {os.cpu_count()} cores; nnc's CPU level there is {peak["level"]}. Its multiply-add peak in f32, as `nnc bench` measures it:
{each(peak, "GFLOP/s")}; it reads memory at {each(reading, "GB/s")}.
{chart}"""


def summary(results):
  """For each group, the time of the best rival of each row over nnc's, in f32 and in bf16."""
  groups = {}
  for r, narrow in itertools.product(results, ["", "_bf16"]):
    for threads, rows in r["runs"].items():
      rivals = [row for e, row in rows.items() if not e.startswith("nnc") and e.endswith("bf16") == bool(narrow)]
      if rivals and "nnc" + narrow in rows:
        best = min(rivals, key=lambda row: row["ratio"])
        group = groups.setdefault((r["case"].network.group + narrow.replace("_", ", "), threads), [])
        group.append((best["ratio"] / rows["nnc" + narrow]["ratio"], f"{r['case'].title}, {best['name']}"))
  if not groups:
    return []
  lines = ["""## Summary
The time of the best rival of each network over nnc's.

| networks | threads | rows | geometric mean | least |
|---|---|---|---|---|"""]
  for (group, threads), seen in groups.items():
    least, where = min(seen)
    lines.append(f"| {group} | {threads} | {len(seen)} | {statistics.geometric_mean(x for x, _ in seen):.2f} | "
                 f"{least:.2f} ({where}) |")
  return [*lines, ""]


def section(r, peak):
  case = r["case"]
  sizes = f" Sequence {case.sizes['seq']}." if case.network.is_open else ""
  lines = [f"""## {case.title}
{case.parameters():,} parameters, {r["gflop"]:.2f} GFLOP a run.{sizes} The outputs of all engines are within {r["worst"]:.0e} of the largest value.

| engine | threads | median ms | CPU ms | GFLOP/s | of peak | time / nnc's | 10th to 90th percentile |
|---|---|---|---|---|---|---|---|"""]
  for threads, rows in r["runs"].items():
    for row in rows.values():
      rate = r["gflop"] / row["ms"] * 1e3
      lines.append(f"| {row['name']} | {threads} | {row['ms']:.1f} | {row['cpu_ms']:.1f} | {rate:.0f} | "
                   f"{100 * rate / peak[threads]:.0f}% | {row['ratio']:.2f} | {row['low']:.2f} to {row['high']:.2f} |")
  return [*lines, *start(r), ""]


def start(r):
  if not r["start"]:
    return []
  lines = ["""
| engine | session made in ms | first run ms | peak resident MiB | of that beside weights | model file MiB |
|---|---|---|---|---|---|"""]
  library, onnx, weights = ((r["case"].folder / f).stat().st_size / MIB
                            for f in ("model.so", "model.onnx", "model.safetensors"))
  rows = next(iter(r["runs"].values()))
  for e, (create, first, memory) in r["start"].items():
    if e[-4:] in ("bf16", "int8"):
      continue  # other weights, in other files
    label = {"nnc": "nnc, from its library", "nnc_cache": "nnc, from its cache",
             "nnc_jit": "nnc, compiled in the process"}.get(e) or rows[e]["name"]
    size = {"nnc": f"{library:.1f} (.so, with the runtime)", "nnc_jit": "(YAML and safetensors)",
            "nnc_cache": "(the same)", "torch": "(safetensors)", "torch_compile": "(safetensors)"}.get(e)
    size = size or f"{onnx:.1f} (.onnx, without the engine)"
    lines.append(f"| {label} | {create:.0f} | {first:.0f} | {memory:.0f} | {memory - weights:.0f} | {size} |")
  return lines


def report(a, results, peak, reading):
  lines = [head(a, peak, reading), *summary(results)]
  for r in results:
    lines += section(r, peak)
  if a.starts:
    lines.append("Sessions are made with all cores; what is resident includes Python and NumPy, some 30 MiB in every "
                 "row; weights are those of the safetensors file, once, in f32.")
  return "\n".join(lines) + "\n"
