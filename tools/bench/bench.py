"""Measures nnc beside its rivals on the same weights and inputs, and writes docs/benchmarks.md. Called by ./run.

Method. Each engine is a process of its own (worker.py), set up once. Then rounds: every engine in turn, in an order
that rotates, makes one unmeasured run and a few measured ones, while the others wait. So all of them see the same
weather of a shared machine, and a ratio is taken inside each round: the median of an engine's runs over the median of
nnc's. What is reported is the median over the rounds, with the 10th and 90th percentile of the ratios. Outputs must
agree first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from case import HERE, ROOT, Case, run_nnc
from networks import NETWORKS
from chart import chart
from report import report

DEFAULT = ("minilm-l6,bert-base,bert-base@384,vit-b16,gpt2-prefill,gpt2-prefill@512,"
           "resnet50,mobilenet-v1,mobilenet-v2,sd-block,vqgan-decoder")
AGREE = 1e-4  # of the largest output
AGREE_NARROW = {"bf16": 5e-2, "int8": 0.12}  # the same where tensors are rounded; docs/precision.md has the bounds
ROUND_MS = 2000  # of one engine: slow networks have fewer runs in a round


class Worker:
  """One engine's process."""

  def __init__(self, engine, python, case, threads):
    self.engine = engine
    command = [python, HERE / "worker.py", engine, case.folder, "--threads", threads, "--inputs", case.inputs,
               "--network", case.name, "--libnnc", case.build / "libnnc.so", "--model", case.model,
               *(x for d in case.pinned for x in ("--dim", d))]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": str(threads),
                        "NNC_CACHE_DIR": str(case.folder.parent / "cache"),
                        "NNC_NO_CACHE": "" if engine == "nnc_cache" else "1",
                        "TORCHINDUCTOR_CACHE_DIR": str(case.folder.parent / "inductor")}
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


def check_agreement(workers, title):
  """The largest difference of any engine from nnc; the others' outputs are the witnesses."""
  worst = 0
  with tempfile.TemporaryDirectory() as tmp:
    outs = {}
    for w in workers:
      w.ask(f"save {tmp}/{w.engine}.npz")
      outs[w.engine] = dict(np.load(f"{tmp}/{w.engine}.npz"))
  for engine, values in outs.items():
    for name, y in outs["nnc"].items():
      difference = float(np.abs(values[name] - y).max() / np.abs(y).max())
      narrow = engine[-4:] in AGREE_NARROW
      if not difference <= (AGREE_NARROW[engine[-4:]] if narrow else AGREE):
        sys.exit(f"error: {title}: `{name}` of {engine} and nnc differ by {difference:.1e} of the largest")
      if not narrow:
        worst = max(worst, difference)
  return worst


def percentile(values, p):
  return float(np.percentile(values, p))


def measure(case, engines, threads, rounds, runs):
  """{engine: {name, ms, cpu_ms, ratio, low, high, peak_mb}} and the largest disagreement."""
  workers = [Worker(e, python, case, threads) for e, python in engines]
  worst = check_agreement(workers, case.title)
  slowest = max(w.ask("run 1")["wall"][0] for w in workers)
  runs = max(1, min(runs, int(ROUND_MS / slowest)))
  wall, cpu = {e: [] for e, _ in engines}, {e: [] for e, _ in engines}
  for r in range(rounds):
    for i in range(len(workers)):
      w = workers[(r + i) % len(workers)]
      w.ask("run 1")
      times = w.ask(f"run {runs}")
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


def measure_start(case, engines, starts):
  """{engine: (ms to make a session, ms of the first run, peak MiB)}, each the median of fresh processes, in turn."""
  seen = {e: [] for e, _ in engines}
  for e, python in engines:
    if e == "nnc_cache":
      Worker(e, python, case, threads=os.cpu_count()).close()  # fills it
  for _ in range(starts):
    for e, python in engines:
      w = Worker(e, python, case, threads=os.cpu_count())
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


def machine_peak(case, threads):
  """GFLOP/s: the best of a few measurements, for others may use the machine too; CPU level; GFLOP of a run."""
  seen = [case.bench(threads) for _ in range(3)]
  return max(r["peak_gflops"] for r in seen), seen[0]["cpu"], seen[0]["flops"] / 1e9


def machine_reading(build, threads):
  """GB/s that nnc's back end reads from memory."""
  small = (x for d in "mnk" for x in ("--set", f"{d}=64"))
  return json.loads(run_nnc(build, "bench", ROOT / "tests/bench/gemm.yaml", "--weights", "random", *small, "--threads", threads,
                            "--runs", 1, "--roofline", "--json"))["roofline"]["read_gbytes_per_s"]


def main():
  p = argparse.ArgumentParser(prog="tools/bench/run")
  p.add_argument("--models", default=DEFAULT,
                 help=f"of {', '.join(NETWORKS)}; those of tokens also as NAME@SEQ; default: %(default)s")
  p.add_argument("--batch", type=int, default=1)
  p.add_argument("--seq", type=int, default=128)
  p.add_argument("--threads", default="1,2")
  p.add_argument("--rounds", type=int, default=15)
  p.add_argument("--runs", type=int, default=5, help="measured runs of an engine in a round, at most")
  p.add_argument("--starts", type=int, default=3, help="fresh processes for the time to start")
  p.add_argument("--engines", default="nnc,onnxruntime,openvino,torch",
                 help="default: %(default)s; there are also torch_compile, nnc_bf16 and openvino_bf16 with tensors in bf16, and nnc_int8")
  p.add_argument("--torch-python", help="an interpreter with torch 2, numpy and safetensors")
  p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
  p.add_argument("--output", type=Path, help="where the report goes; by default it is only printed")
  a = p.parse_args()
  a.build, a.load = a.build.resolve(), os.getloadavg()[0]
  wanted = a.engines.split(",")
  torch = torch_python(a) if {"torch", "torch_compile"} & set(wanted) else None
  python = {"torch": torch, "torch_compile": torch}
  engines = [(e, python.get(e, sys.executable)) for e in wanted if python.get(e, sys.executable)]
  own = [(e, sys.executable) for e in ("nnc_cache", "nnc_jit")]
  threads = [int(t) for t in a.threads.split(",")]
  peak, results = {}, []
  reading = {t: machine_reading(a.build, t) for t in threads}
  for spec in a.models.split(","):
    case = Case(spec, a.batch, a.seq, a.build)
    case.compile()
    for precision in ("bf16", "int8"):
      if f"nnc_{precision}" in wanted:
        case.compile(f"{precision}.so", None, "--precision", precision)
    r = {"case": case, "runs": {}, "worst": 0, "start": {}}
    for t in threads:
      peak[t], peak["level"], r["gflop"] = machine_peak(case, t)
      r["runs"][t], worst = measure(case, engines, t, a.rounds, a.runs)
      r["worst"] = max(r["worst"], worst)
      for row in r["runs"][t].values():
        print(f"{case.title}, threads {t}: {row['name']:22} {row['ms']:8.2f} ms, {row['cpu_ms']:8.2f} of CPU; "
              f"{row['ratio']:.2f} of nnc's ({row['low']:.2f} to {row['high']:.2f})", flush=True)
    if a.starts:
      r["start"] = measure_start(case, [*engines, *own], a.starts)
    results.append(r)
    if a.output:  # after each model: an interrupted run keeps what it has
      a.output.write_text(report(a, results, peak, reading))
      a.output.with_suffix(".svg").write_text(chart(results))
  print(report(a, results, peak, reading))


if __name__ == "__main__":
  main()
