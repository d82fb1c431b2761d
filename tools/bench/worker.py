"""One engine in a process of its own, driven by bench.py through pipes: a command a line in, a line of JSON out.

  run N       N runs: {"wall": [ms, ...], "cpu": [ms, ...]}; cpu is what all threads of the process used
  save PATH   the outputs of the last run to an .npz: {}
  memory      {"peak_mb": the largest resident size so far}
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def nnc(a, ins, path, **compiled):
  from nnc_api import Session

  s = Session(a.libnnc, path, a.threads, **compiled)
  ids = next(iter(ins.values()))
  outs = [np.zeros((*ids.shape, a.width), np.float32), np.zeros((ids.shape[0], a.width), np.float32)]
  s.prepare([v.astype(np.int32) for v in ins.values()], outs)

  def run():
    s.run()
    return outs

  return f"nnc {s.lib.nnc_version().decode()}", run


def engine_nnc(a, ins):
  """The compiled library."""
  return nnc(a, ins, str(a.folder / "model.so"))


def engine_nnc_pinned(a, ins):
  """The library compiled for these sizes alone."""
  return nnc(a, ins, str(a.folder / "pinned.so"))


def engine_nnc_jit(a, ins):
  """The model compiled in this process."""
  return nnc(a, ins, a.model, config=str(a.folder / "config.json"), weights=str(a.folder / "model.safetensors"))


def engine_nnc_cache(a, ins):
  """The same, compiled by an earlier process: the first one of a measurement compiles."""
  return engine_nnc_jit(a, ins)


def engine_onnxruntime(a, ins):
  import onnxruntime as ort

  o = ort.SessionOptions()
  o.intra_op_num_threads, o.inter_op_num_threads = a.threads, 1
  s = ort.InferenceSession(a.folder / "model.onnx", o, providers=["CPUExecutionProvider"])
  return f"ONNX Runtime {ort.__version__}", lambda: s.run(None, ins)


def engine_openvino(a, ins):
  import openvino as ov

  settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
              "INFERENCE_NUM_THREADS": a.threads}
  request = ov.Core().compile_model(str(a.folder / "model.onnx"), "CPU", settings).create_infer_request()

  def run():
    request.infer(ins, share_inputs=True)
    return [request.get_output_tensor(i).data for i in range(2)]

  return f"OpenVINO {ov.__version__.split('-')[0]}", run


def engine_torch(a, ins):
  import torch
  from bert_torch import load

  torch.set_num_threads(a.threads)
  torch.set_num_interop_threads(1)
  model = load(a.folder)
  args = [torch.from_numpy(v) for v in ins.values()]

  def run():
    with torch.inference_mode():
      return [t.numpy() for t in model(*args)]

  return f"PyTorch {torch.__version__}", run


def peak_kib():
  """Of this program alone: getrusage's figure begins with that of the process that started it."""
  return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))


def main():
  p = argparse.ArgumentParser()
  p.add_argument("engine")
  p.add_argument("folder", type=Path)
  p.add_argument("--threads", type=int, required=True)
  p.add_argument("--batch", type=int, required=True)
  p.add_argument("--seq", type=int, required=True)
  p.add_argument("--width", type=int, required=True)
  p.add_argument("--libnnc")
  p.add_argument("--model")
  a = p.parse_args()
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what engines print is no answer
  ins = dict(np.load(a.folder / f"inputs-{a.batch}-{a.seq}.npz"))
  begin = time.perf_counter()
  name, run = globals()[f"engine_{a.engine}"](a, ins)
  created = time.perf_counter()
  outs = run()
  first = time.perf_counter()

  def answer(value):
    print(json.dumps(value), file=answers, flush=True)

  answer({"name": name, "create_ms": (created - begin) * 1e3, "first_ms": (first - created) * 1e3})
  for line in sys.stdin:
    command, *rest = line.split()
    if command == "run":
      wall, cpu = [], []
      for _ in range(int(rest[0])):
        t, c = time.perf_counter(), time.process_time()
        outs = run()
        wall.append((time.perf_counter() - t) * 1e3)
        cpu.append((time.process_time() - c) * 1e3)
      answer({"wall": wall, "cpu": cpu})
    elif command == "save":
      np.savez(rest[0], *outs)
      answer({})
    elif command == "memory":
      answer({"peak_mb": peak_kib() / 1024})


if __name__ == "__main__":
  main()
