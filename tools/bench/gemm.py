"""Bare products: C[m, n] = A[m, k] W[n, k]^T with weights prepared before, in nnc and in the oneDNN that PyTorch brings
(`mkldnn._linear_pointwise` on weights in oneDNN's own layout). f32, and bf16 in memory with f32 sums (`--precision
bf16` of nnc), whose share of the peak is of f32's. Called by ./run gemm.

One process an engine, taking turns as in bench.py. Times are medians of rounds, ratios are taken inside each round; the
share of the peak is of what `nnc bench` measures as the machine's.
"""

import argparse
import itertools
import json
import re
import statistics
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np
from case import ROOT, run_nnc
from engines import Engine, compare, serve
from nnc_api import Session
from safetensors.numpy import save_file

SHAPES = "384x384x384,1024x1024x1024,2048x2048x2048,128x3072x768,128x768x3072,1x4096x4096"
AGREE = {"f32": 1e-5, "bf16": 2**-8}  # of the largest output: f32 sums in another order; one rounding to bf16


def operands(dtype, m, n, k):
  rng = np.random.default_rng(1)
  of = np.float32 if dtype == "f32" else ml_dtypes.bfloat16
  return [rng.standard_normal(shape, np.float32).astype(of) for shape in ((m, k), (n, k))]


def nnc_worker(pipe, build, dtype, m, n, k, threads):
  a, w = operands(dtype, m, n, k)
  with tempfile.TemporaryDirectory() as tmp:
    config, weights = Path(tmp) / "config.json", Path(tmp) / "model.safetensors"
    config.write_text(json.dumps({"m": m, "n": n, "k": k}))
    save_file({"w.weight": w}, weights)
    model = ROOT / "tests/bench" / ("gemm.yaml" if dtype == "f32" else "gemm_bf16.yaml")
    session = Session(str(build / "libnnc.so"), str(model), threads, str(config), str(weights), precision=dtype)
  out = session.prepare({"a": a})["c"]
  serve(pipe, session.run, lambda: out.astype(np.float32))


def onednn_worker(pipe, dtype, m, n, k, threads):
  import torch

  torch.set_num_threads(threads)
  of = torch.float32 if dtype == "f32" else torch.bfloat16
  a, w = (torch.from_numpy(x.astype(np.float32)).to(of) for x in operands(dtype, m, n, k))
  packed = torch.ops.mkldnn._reorder_linear_weight(w, m)
  kept = []

  def run():
    with torch.inference_mode():
      kept[:] = [torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "")]

  serve(pipe, run, lambda: kept[0].float().numpy())


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
  p.add_argument("--dtypes", default="f32,bf16")
  p.add_argument("--threads", default="1,2")
  p.add_argument("--rounds", type=int, default=15)
  p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
  a = p.parse_args()
  print(f"| dtype | M x N x K | threads | nnc GFLOP/s | of peak | oneDNN {version()} GFLOP/s | time / nnc's | 10th to 90th percentile |")
  print("|---|---|---|---|---|---|---|---|", flush=True)
  every = {dtype: [] for dtype in a.dtypes.split(",")}
  limits = {threads: peak(a.build, threads) for threads in map(int, a.threads.split(","))}
  for dtype in every:
    for threads, shape in itertools.product(limits, a.shapes.split(",")):
      m, n, k = map(int, shape.split("x"))
      pair = [Engine(nnc_worker, a.build, dtype, m, n, k, threads), Engine(onednn_worker, dtype, m, n, k, threads)]
      (ours, theirs), (x, y) = compare(pair, a.rounds)
      if not np.abs(x - y).max() <= AGREE[dtype] * np.abs(y).max():
        raise SystemExit(f"error: outputs of {shape} differ")
      ratio = [t / o for o, t in zip(ours, theirs)]
      every[dtype].append(statistics.median(ratio))
      low, high = np.percentile(ratio, [10, 90])
      speed = [2e-6 * m * n * k / statistics.median(t) for t in (ours, theirs)]
      print(f"| {dtype} | {m} x {n} x {k} | {threads} | {speed[0]:.0f} | {speed[0] / limits[threads]:.0%} | {speed[1]:.0f} | {every[dtype][-1]:.2f} | "
            f"{low:.2f} to {high:.2f} |", flush=True)
  for dtype, ratios in every.items():
    print(f"\n{dtype}: geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}.")


if __name__ == "__main__":
  main()
