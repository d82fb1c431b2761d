"""Engines in processes of their own that take turns, for what is measured alone: attention, bare products."""

import multiprocessing
import time


def serve(pipe, run, result):
  run()
  while command := pipe.recv():
    begin = time.perf_counter()
    for _ in range(command):
      run()
    pipe.send((time.perf_counter() - begin) * 1e3 / command)
  pipe.send(result())


class Engine:
  def __init__(self, worker, *arguments):
    context = multiprocessing.get_context("spawn")
    self.pipe, other = context.Pipe()
    self.process = context.Process(target=worker, args=(other, *arguments), daemon=True)
    self.process.start()
    other.close()

  def time(self, runs):
    self.pipe.send(runs)
    return self.pipe.recv()

  def close(self):
    self.pipe.send(0)
    out = self.pipe.recv()
    self.process.join()
    return out


def compare(engines, rounds):
  """Times of each engine, one a round, in turns; then their outputs."""
  once = [e.time(1) for e in engines]
  runs = max(1, min(50, int(60 / max(once))))
  times = [[] for _ in engines]
  for r in range(rounds):
    order = range(len(engines)) if r % 2 else reversed(range(len(engines)))
    for i in order:
      engines[i].time(1)
      times[i].append(engines[i].time(runs))
  return times, [e.close() for e in engines]
