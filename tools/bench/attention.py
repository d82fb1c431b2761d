"""Attention alone: nnc beside PyTorch's scaled_dot_product_attention, and its linear kin. Called by ./run attention.

  softmax    sequences of 512 to 16384, heads 64 and 128 wide, causal and not: time over nnc's; outputs must agree
  linear     `linear_attention` at 2k to 16k tokens: time a token, and the softmax graph's scores in memory at the last
  crossover  sequence from which sums over keys first (phi(q) times K^T V) beat the scores, beside N = d

One process an engine, taking turns as in bench.py. Times are medians of rounds, ratios are taken inside each round.
"""

import argparse
import os
import statistics
from pathlib import Path

import numpy as np
from engines import Engine, compare, serve
from nnc_api import Session

MODEL = """nnc: 1
name: attention
dims:
  n: 1..16384
inputs:
  q: f32[1, {heads}, n, {width}]
  k: f32[1, {heads}, n, {width}]
  v: f32[1, {heads}, n, {width}]
steps:
{steps}outputs:
  y: y
"""
STEPS = {
  "softmax": "- y: attention(q, k, v)\n",
  "causal": "- y: attention(q, k, v, causal=True)\n",
  "linear": "- y: linear_attention(q, k, v)\n",
  "linear causal": "- y: linear_attention(q, k, v, causal=True)\n",
  # the weights are read twice, so that they must exist; no row statistic can be kept beside them
  "graph": "- p: softmax(einsum('bhmd,bhnd->bhmn', q, k) * 0.125)\n"
           "- y: einsum('bhmn,bhne->bhme', p, v) + 0.0 * sum(p, dim=-1, keepdim=True)\n",
  # neither form is found to be linear in its scores: each keeps the order it is written in
  "scores first": "- y: einsum('bhmn,bhne->bhme', relu(einsum('bhmd,bhnd->bhmn', q, k)), v)\n",
  "keys first": "- y: einsum('bhmd,bhde->bhme', q, einsum('bhnd,bhne->bhde', k, v))\n",
}


def nnc_worker(pipe, build, steps, heads, width, threads, shape):
  path = build / f"bench-attention-{os.getpid()}.yaml"
  path.write_text(MODEL.format(heads=heads, width=width, steps=STEPS[steps]))
  session = Session(str(build / "libnnc.so"), str(path), threads)
  path.unlink()
  out = session.prepare(dict(zip("qkv", inputs(shape))))["y"]
  serve(pipe, session.run, lambda: thin(out))


def torch_worker(pipe, causal, threads, shape):
  import torch

  torch.set_num_threads(threads)
  q, k, v = map(torch.from_numpy, inputs(shape))
  kept = []

  def run():
    with torch.inference_mode():
      kept[:] = [torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)]

  serve(pipe, run, lambda: thin(kept[0].numpy()))


def thin(out):
  return out[..., :: max(1, out.shape[2] // 64), :]


def inputs(shape):
  rng = np.random.default_rng(1)
  return [rng.standard_normal(shape, np.float32) for _ in range(3)]


def softmax(a):
  print("| sequence | width | causal | threads | nnc ms | PyTorch ms | time / nnc's | 10th to 90th percentile |")
  print("|---|---|---|---|---|---|---|---|", flush=True)
  every = []
  for threads in map(int, a.threads.split(",")):
    for n in map(int, a.sequences.split(",")):
      heads = 8 if n <= 2048 else 2
      for width in (64, 128):
        for causal in (False, True):
          shape = (1, heads, n, width)
          kind = "causal" if causal else "softmax"
          pair = [Engine(nnc_worker, a.build, kind, heads, width, threads, shape), Engine(torch_worker, causal, threads, shape)]
          (ours, theirs), (x, y) = compare(pair, a.rounds if n <= 4096 else 3)
          if not np.abs(x - y).max() <= 1e-5 * np.abs(y).max():
            raise SystemExit(f"error: outputs differ at sequence {n}, width {width}")
          ratio = [t / o for o, t in zip(ours, theirs)]
          every.append(statistics.median(ratio))
          low, high = np.percentile(ratio, [10, 90])
          print(f"| {n} | {width} | {'yes' if causal else 'no'} | {threads} | {statistics.median(ours):.2f} | "
                f"{statistics.median(theirs):.2f} | {every[-1]:.2f} | {low:.2f} to {high:.2f} |", flush=True)
  print(f"\nGeometric mean {statistics.geometric_mean(every):.2f}, least {min(every):.2f}.")


def linear(a):
  shape = lambda n: (1, 8, n, 64)
  print("\n| linear attention, 8 heads of 64, 1 thread | 2048 | 4096 | 8192 | 16384 |\n|---|---|---|---|---|", flush=True)
  last = None
  for kind in ("linear", "linear causal"):
    cells = []
    for n in (2048, 4096, 8192, 16384):
      (times,), _ = compare([Engine(nnc_worker, a.build, kind, 8, 64, 1, shape(n))], a.rounds)
      last = statistics.median(times)
      cells.append(f"{last / n * 1e3:.2f}")
    print(f"| {kind}, us a token | {' | '.join(cells)} |", flush=True)
    if kind == "linear":
      whole = last
  (times,), _ = compare([Engine(nnc_worker, a.build, "graph", 8, 64, 1, shape(16384))], 1)
  print(f"\nThe softmax graph with its scores in memory, 16384 tokens: {times[0]:.0f} ms against {whole:.0f}, {times[0] / whole:.0f} times.")


def crossover(a):
  for width in (32, 64, 128):
    for n in (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512):
      shape = (1, 8, n, width)
      pair = [Engine(nnc_worker, a.build, kind, 8, width, 1, shape) for kind in ("scores first", "keys first")]
      (scores, keys), _ = compare(pair, a.rounds)
      if statistics.median(keys) < statistics.median(scores):
        break
    print(f"Width {width}: sums over keys first are faster from N = {n} on (N = d: {width}).", flush=True)


def main():
  p = argparse.ArgumentParser(prog="tools/bench/run")
  p.add_argument("what", choices=["attention"])
  p.add_argument("--parts", default="softmax,linear,crossover")
  p.add_argument("--sequences", default="512,1024,2048,4096,8192,16384")
  p.add_argument("--threads", default="1,2")
  p.add_argument("--rounds", type=int, default=7)
  p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
  a = p.parse_args()
  for part in a.parts.split(","):
    {"softmax": softmax, "linear": linear, "crossover": crossover}[part](a)


if __name__ == "__main__":
  main()
