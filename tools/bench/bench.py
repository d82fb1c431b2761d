"""Measures nnc beside its rivals on the same weights and inputs, and writes docs/benchmarks.md. Called by ./run.

Method. Each engine is a process of its own (worker.py), set up once. Then rounds: every engine in turn, in an order that
rotates, makes one unmeasured run and a few measured ones, while the others wait. So all of them see the same weather of
a shared machine, and a ratio is taken inside each round: the median of an engine's runs over the median of nnc's. What is
reported is the median over the rounds, with the 10th and 90th percentile of the ratios. Outputs must agree first.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import bert_graph
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODEL = ROOT / "models/transformer/bert.yaml"
AGREE = 1e-4  # of the largest output
MIB = 2**20


class Worker:
  """One engine's process."""

  def __init__(self, engine, python, folder, c, a, threads):
    self.engine = engine
    command = [python, HERE / "worker.py", engine, folder, "--threads", threads, "--batch", a.batch, "--seq", a.seq,
               "--width", c["hidden_size"], "--libnnc", a.build / "libnnc.so", "--model", MODEL]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": str(threads),
                        "NNC_CACHE_DIR": str(a.folder / "cache"), "NNC_NO_CACHE": "" if engine == "nnc_cache" else "1"}
    self.process = subprocess.Popen([str(x) for x in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                    env=env)
    self.ready = self.answer()

  def answer(self):
    line = self.process.stdout.readline()
    if not line:
      sys.exit(f"error: {self.engine} ended with status {self.process.wait()}")
    return json.loads(line)

  def ask(self, command):
    self.process.stdin.write(command + "\n")
    self.process.stdin.flush()
    return self.answer()

  def close(self):
    self.process.stdin.close()
    self.process.wait()


def run_nnc(a, *arguments):
  return subprocess.run([str(a.build / "nnc"), *map(str, arguments)], check=True, text=True, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL).stdout


def prepare(name, a):
  """Weights, graphs, inputs and the compiled library of one model."""
  folder = a.folder / name
  c = bert_graph.write(name, folder)
  np.savez(folder / f"inputs-{a.batch}-{a.seq}.npz", **bert_graph.inputs(c, a.batch, a.seq))
  run_nnc(a, "compile", MODEL, "--no-cache", "--config", folder / "config.json", "--weights", folder / "model.safetensors", "-o",
          folder / "model.so")
  return folder, c


def check_agreement(workers, folder):
  """The largest difference of any engine from nnc; the others' outputs are the witnesses."""
  worst = 0
  with tempfile.TemporaryDirectory() as tmp:
    outs = {}
    for w in workers:
      w.ask(f"save {tmp}/{w.engine}.npz")
      outs[w.engine] = list(np.load(f"{tmp}/{w.engine}.npz").values())
  for engine, values in outs.items():
    for x, y in zip(values, outs["nnc"]):
      difference = float(np.abs(x - y).max() / np.abs(y).max())
      if not difference <= AGREE:
        sys.exit(f"error: {folder.name}: the outputs of {engine} and nnc differ by {difference:.1e} of the largest")
      worst = max(worst, difference)
  return worst


def percentile(values, p):
  return float(np.percentile(values, p))


def measure(folder, c, a, engines, threads):
  """{engine: {name, ms, cpu_ms, ratio, low, high, peak_mb}} and the largest disagreement."""
  workers = [Worker(e, python, folder, c, a, threads) for e, python in engines]
  worst = check_agreement(workers, folder)
  wall, cpu = {e: [] for e, _ in engines}, {e: [] for e, _ in engines}
  for r in range(a.rounds):
    for i in range(len(workers)):
      w = workers[(r + i) % len(workers)]
      w.ask("run 1")
      times = w.ask(f"run {a.runs}")
      wall[w.engine].append(statistics.median(times["wall"]))
      cpu[w.engine].append(statistics.median(times["cpu"]))
  rows = {}
  for w in workers:
    e = w.engine
    ratios = [x / y for x, y in zip(wall[e], wall["nnc"])]
    rows[e] = {"name": w.ready["name"], "ms": statistics.median(wall[e]), "cpu_ms": statistics.median(cpu[e]),
               "ratio": statistics.median(ratios), "low": percentile(ratios, 10), "high": percentile(ratios, 90),
               "peak_mb": w.ask("memory")["peak_mb"]}
    w.close()
  return rows, worst


def measure_start(folder, c, a, engines):
  """{engine: (ms to make a session, ms of the first run, peak MiB)}, each the median of fresh processes, in turn."""
  seen = {e: [] for e, _ in engines}
  for _ in range(a.starts):
    for e, python in engines:
      w = Worker(e, python, folder, c, a, threads=os.cpu_count())
      seen[e].append((w.ready["create_ms"], w.ready["first_ms"], w.ask("memory")["peak_mb"]))
      w.close()
  return {e: tuple(statistics.median(column) for column in zip(*rows)) for e, rows in seen.items()}


def torch_python(a):
  """An interpreter that has PyTorch 2, or None after saying why not."""
  python = a.torch_python or sys.executable
  test = "import torch; assert torch.__version__ >= '2'"
  if subprocess.run([python, "-c", test], stderr=subprocess.DEVNULL).returncode == 0:
    return python
  print(f"PyTorch is left out: {python} has no torch 2; name another with --torch-python PYTHON")
  return None


def cpu_name():
  for line in Path("/proc/cpuinfo").read_text().splitlines():
    if line.startswith("model name"):
      return line.split(":", 1)[1].strip()
  return platform.processor()


def artefacts(folder):
  return {"nnc": (folder / "model.so").stat().st_size / MIB, "onnx": (folder / "model.onnx").stat().st_size / MIB}


def gflop(c, a):
  """Multiply-adds of the products, as two operations each."""
  h, f, tokens = c["hidden_size"], c["intermediate_size"], a.batch * a.seq
  layer = tokens * (4 * h * h + 2 * h * f) + 2 * tokens * a.seq * h
  return 2 * (c["num_hidden_layers"] * layer + a.batch * h * h) / 1e9


def machine_peak(folder, a, threads):
  """(GFLOP/s, CPU level): the best of a few measurements, for others may use the machine too."""
  seen = [json.loads(run_nnc(a, "bench", folder / "model.so", "--dim", f"batch={a.batch}", "--dim", f"seq={a.seq}",
                             "--threads", threads, "--runs", 1, "--json")) for _ in range(3)]
  return max(r["peak_gflops"] for r in seen), seen[0]["cpu"]


def report(a, results, peak):
  peaks = ", ".join(f"{v:.0f} GFLOP/s with {t} thread{'s' * (t > 1)}" for t, v in peak.items() if t != "level")
  lines = [f"""# Benchmarks

Written by `tools/bench/run`, which anyone can run; `tools/bench/bench.py` says how it measures. Every engine has the same
weights and inputs, f32 arithmetic, and a process of its own; batch {a.batch}, sequence {a.seq}, both open in all engines'
models. Rounds: {a.rounds}, runs in each: {a.runs}; load average {a.load:.1f} before. Times
are of a machine that others may use at the same time: trust the ratios, which are taken inside each round.

Machine: {cpu_name()}, {os.cpu_count()} cores; nnc's CPU level there is {peak["level"]}. Its multiply-add peak in f32, as `nnc bench` measures it:
{peaks}.
"""]
  for name, r in results.items():
    lines.append(f"""## {name}
{r["parameters"]:,} parameters, {r["gflop"]:.2f} GFLOP a run. The outputs of all engines are within {r["worst"]:.0e} of the largest value.

| engine | threads | median ms | CPU ms | GFLOP/s | of peak | time / nnc's | 10th to 90th percentile |
|---|---|---|---|---|---|---|---|""")
    for threads, rows in r["runs"].items():
      for row in rows.values():
        rate = r["gflop"] / row["ms"] * 1e3
        lines.append(f"| {row['name']} | {threads} | {row['ms']:.1f} | {row['cpu_ms']:.1f} | {rate:.0f} | "
                     f"{100 * rate / peak[threads]:.0f}% | {row['ratio']:.2f} | {row['low']:.2f} to {row['high']:.2f} |")
    if r["start"]:
      lines.append("""
| engine | session made in ms | first run ms | peak resident MiB | model file MiB |
|---|---|---|---|---|""")
    rows = next(iter(r["runs"].values()))
    for e, (create, first, memory) in r["start"].items():
      label = {"nnc": "nnc, from its library", "nnc_cache": "nnc, from its cache",
               "nnc_jit": "nnc, compiled in the process"}.get(e) or rows[e]["name"]
      size = {"nnc": f"{r['size']['nnc']:.1f} (.so, with the runtime)", "nnc_jit": "(YAML and safetensors)",
              "nnc_cache": "(the same)", "torch": "(safetensors)"}.get(e)
      size = size or f"{r['size']['onnx']:.1f} (.onnx, without the engine)"
      lines.append(f"| {label} | {create:.0f} | {first:.0f} | {memory:.0f} | {size} |")
    lines.append("")
  if a.starts:
    lines.append("Sessions are made with all cores; what is resident includes Python and NumPy, some 30 MiB in every row.")
  return "\n".join(lines) + "\n"


def main():
  p = argparse.ArgumentParser(prog="tools/bench/run")
  p.add_argument("--models", default="minilm-l6,bert-base", help=f"of {', '.join(bert_graph.SHAPES)}")
  p.add_argument("--batch", type=int, default=1)
  p.add_argument("--seq", type=int, default=128)
  p.add_argument("--threads", default="1,2")
  p.add_argument("--rounds", type=int, default=15)
  p.add_argument("--runs", type=int, default=5, help="measured runs of an engine in a round")
  p.add_argument("--starts", type=int, default=3, help="fresh processes for the time to start")
  p.add_argument("--engines", default="nnc,onnxruntime,openvino,torch")
  p.add_argument("--torch-python", help="an interpreter with torch 2, numpy and safetensors")
  p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
  p.add_argument("--output", type=Path, help="where the report goes; by default it is only printed")
  a = p.parse_args()
  a.folder, a.load = a.build / "bench-models", os.getloadavg()[0]
  wanted = a.engines.split(",")
  torch = torch_python(a) if "torch" in wanted else None
  engines = [(e, torch if e == "torch" else sys.executable) for e in wanted if e != "torch" or torch]
  threads = [int(t) for t in a.threads.split(",")]
  peak, results = {}, {}
  for name in a.models.split(","):
    folder, c = prepare(name, a)
    r = {"runs": {}, "worst": 0, "gflop": gflop(c, a), "size": artefacts(folder)}
    r["parameters"] = sum(int(np.prod(shape)) for shape in bert_graph.weight_shapes(c).values())
    for t in threads:
      peak[t], peak["level"] = machine_peak(folder, a, t)
      r["runs"][t], worst = measure(folder, c, a, engines, t)
      r["worst"] = max(r["worst"], worst)
      for row in r["runs"][t].values():
        print(f"{name}, threads {t}: {row['name']:22} {row['ms']:8.2f} ms, {row['cpu_ms']:8.2f} of CPU; "
              f"{row['ratio']:.2f} of nnc's ({row['low']:.2f} to {row['high']:.2f})", flush=True)
    own = [(e, sys.executable) for e in ("nnc_cache", "nnc_jit")]
    r["start"] = measure_start(folder, c, a, [*engines, *own]) if a.starts else {}
    results[name] = r
    if a.output:  # after each model: an interrupted run keeps what it has
      a.output.write_text(report(a, results, peak))
  print(report(a, results, peak))


if __name__ == "__main__":
  main()
