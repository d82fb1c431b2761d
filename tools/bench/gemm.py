"""Bare products: C[m, n] = A[m, k] W[n, k]^T with weights prepared before, in nnc and in the oneDNN that PyTorch brings
(`mkldnn._linear_pointwise` on weights in oneDNN's own layout). Called by ./run gemm.

One process an engine, taking turns as in bench.py. Times are medians of rounds, ratios are taken inside each round; the
share of the peak is of what `nnc bench` measures as the machine's.
"""

import argparse
import json
import re
import statistics
import tempfile
from pathlib import Path

import numpy as np
from case import ROOT, run_nnc
from engines import Engine, compare, serve
from nnc_api import Session
from safetensors.numpy import save_file

SHAPES = "384x384x384,1024x1024x1024,2048x2048x2048,128x3072x768,128x768x3072,1x4096x4096"
AGREE = 1e-5  # of the largest output: f32 sums in another order


def operands(m, n, k):
  rng = np.random.default_rng(1)
  return rng.standard_normal((m, k), np.float32), rng.standard_normal((n, k), np.float32)


def nnc_worker(pipe, build, m, n, k, threads):
  a, w = operands(m, n, k)
  with tempfile.TemporaryDirectory() as tmp:
    config, weights = Path(tmp) / "config.json", Path(tmp) / "model.safetensors"
    config.write_text(json.dumps({"m": m, "n": n, "k": k}))
    save_file({"w.weight": w}, weights)
    session = Session(str(build / "libnnc.so"), str(ROOT / "tests/bench/gemm.yaml"), threads, str(config), str(weights))
  out = session.prepare({"a": a})["c"]
  serve(pipe, session.run, lambda: out)


def onednn_worker(pipe, m, n, k, threads):
  import torch

  torch.set_num_threads(threads)
  a, w = map(torch.from_numpy, operands(m, n, k))
  packed = torch.ops.mkldnn._reorder_linear_weight(w, m)
  kept = []

  def run():
    with torch.inference_mode():
      kept[:] = [torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "")]

  serve(pipe, run, lambda: kept[0].numpy())


def version():
  import torch

  return re.search(r"MKL-DNN v([0-9.]+)", torch.__config__.show()).group(1)


def peak(build, threads):
  shown = run_nnc(build, "bench", ROOT / "tests/bench/gemm.yaml", "--weights", "random", "--set", "m=64", "--set", "n=64",
                  "--set", "k=64", "--threads", threads, "--runs", 1, "--json")
  return json.loads(shown)["peak_gflops"]


def main():
  p = argparse.ArgumentParser(prog="tools/bench/run")
  p.add_argument("what", choices=["gemm"])
  p.add_argument("--shapes", default=SHAPES, help="MxNxK,…")
  p.add_argument("--threads", default="1,2")
  p.add_argument("--rounds", type=int, default=15)
  p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
  a = p.parse_args()
  print(f"| M x N x K | threads | nnc GFLOP/s | of peak | oneDNN {version()} GFLOP/s | time / nnc's | 10th to 90th percentile |")
  print("|---|---|---|---|---|---|---|", flush=True)
  every = []
  for threads in map(int, a.threads.split(",")):
    limit = peak(a.build, threads)
    for shape in a.shapes.split(","):
      m, n, k = map(int, shape.split("x"))
      pair = [Engine(nnc_worker, a.build, m, n, k, threads), Engine(onednn_worker, m, n, k, threads)]
      (ours, theirs), (x, y) = compare(pair, a.rounds)
      if not np.abs(x - y).max() <= AGREE * np.abs(y).max():
        raise SystemExit(f"error: outputs of {shape} differ")
      ratio = [t / o for o, t in zip(ours, theirs)]
      every.append(statistics.median(ratio))
      low, high = np.percentile(ratio, [10, 90])
      speed = [2e-6 * m * n * k / statistics.median(t) for t in (ours, theirs)]
      print(f"| {m} x {n} x {k} | {threads} | {speed[0]:.0f} | {speed[0] / limit:.0%} | {speed[1]:.0f} | {every[-1]:.2f} | "
            f"{low:.2f} to {high:.2f} |", flush=True)
  print(f"\nGeometric mean {statistics.geometric_mean(every):.2f}, least {min(every):.2f}.")


if __name__ == "__main__":
  main()
