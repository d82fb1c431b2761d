"""What concerns nnc alone: a busy neighbour, open dims against pinned ones. Called by ./run neighbour and ./run dims.

  neighbour  2 threads while a process pinned to one core does nothing but count, over 1 thread while it is stopped
  dims       the library with open batch and seq over libraries pinned with `--dim`, at sampled sizes

Both take turns as bench.py does, so that a ratio is of runs side by side; printed are its median, 10th and 90th
percentile. The neighbour is the only load only where nothing else runs: on a shared machine read the load printed
beside it.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import bench
from case import Case
from networks import NETWORKS

SIZES = "1x1,1x16,1x128,1x512,3x77,8x1,8x31,8x128"


def worker(engine, case, threads):
  return bench.Worker(engine, sys.executable, case, threads)


def median_ms(w, runs):
  w.ask("run 1")
  return statistics.median(w.ask(f"run {runs}")["wall"])


def show(what, base, other, base_name, other_name):
  ratios = [x / y for x, y in zip(other, base)]
  low, high = (bench.percentile(ratios, p) for p in (10, 90))
  print(f"{what}: {base_name} {statistics.median(base):.2f} ms, {other_name} {statistics.median(other):.2f} ms; ratio "
        f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})", flush=True)


def neighbour(name, a):
  case = Case(name, a.batch, a.seq, a.build)
  case.compile()
  one, two = worker("nnc", case, 1), worker("nnc", case, 2)
  core = str(min(os.sched_getaffinity(0)))
  spin = subprocess.Popen(["taskset", "-c", core, sys.executable, "-c", "while True: pass"])
  try:
    free, busy = [], []
    for _ in range(a.rounds):
      spin.send_signal(signal.SIGSTOP)
      free.append(median_ms(one, a.runs))
      spin.send_signal(signal.SIGCONT)
      busy.append(median_ms(two, a.runs))
  finally:
    spin.kill()
    spin.wait()
  show(f"{name}, load {os.getloadavg()[0]:.1f}", free, busy, "1 thread free", "2 threads beside a busy core")
  one.close()
  two.close()


def dims(name, a):
  for size in a.sizes.split(","):
    case = Case(name, *map(int, size.split("x")), a.build)
    case.compile()
    case.compile("pinned.so", case.dims)
    pair = [worker(e, case, a.threads) for e in ("nnc_pinned", "nnc")]
    times = [], []
    for r in range(a.rounds):
      for i in ((0, 1), (1, 0))[r % 2]:
        times[i].append(median_ms(pair[i], a.runs))
    show(f"{name}, batch x seq {size}, threads {a.threads}", *times, "pinned", "open")
    for w in pair:
      w.close()


def main():
  p = argparse.ArgumentParser(prog="tools/bench/run")
  p.add_argument("what", choices=["neighbour", "dims"])
  p.add_argument("--models", default="minilm-l6", help=f"of {', '.join(NETWORKS)}")
  p.add_argument("--batch", type=int, default=1, help="of neighbour")
  p.add_argument("--seq", type=int, default=128, help="of neighbour")
  p.add_argument("--sizes", default=SIZES, help="of dims")
  p.add_argument("--threads", type=int, default=1, help="of dims")
  p.add_argument("--rounds", type=int, default=15)
  p.add_argument("--runs", type=int, default=5, help="measured runs in a round")
  p.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
  a = p.parse_args()
  for name in a.models.split(","):
    {"neighbour": neighbour, "dims": dims}[a.what](name, a)


if __name__ == "__main__":
  main()
