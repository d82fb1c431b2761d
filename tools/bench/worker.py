"""One engine in a process of its own, driven by bench.py through pipes: a command a line in, a line of JSON out.

  run N       N runs: {"wall": [ms, ...], "cpu": [ms, ...]}; cpu is what all threads of the process used
  save PATH   the outputs of the last run to an .npz, by name: {}
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
  outs = s.prepare({n: x if x.dtype == np.float32 else x.astype(np.int32) for n, x in ins.items()})

  def run():
    s.run()
    return outs

  return f"nnc {s.lib.nnc_version().decode()}", run


def engine_nnc(a, ins):
  """The compiled library."""
  return nnc(a, ins, str(a.folder / "model.so"))


def nnc_narrow(a, ins, precision):
  """The library compiled with --precision."""
  name, run = nnc(a, ins, str(a.folder / f"{precision}.so"))
  return f"{name} {precision}", run


def engine_nnc_bf16(a, ins):
  return nnc_narrow(a, ins, "bf16")


def engine_nnc_int8(a, ins):
  return nnc_narrow(a, ins, "int8")


def engine_nnc_pinned(a, ins):
  """The library compiled for these sizes alone."""
  return nnc(a, ins, str(a.folder / "pinned.so"))


def engine_nnc_jit(a, ins):
  """The model compiled in this process."""
  return nnc(a, ins, a.model, config=str(a.folder / "config.json"), weights=str(a.folder / "model.safetensors"),
             dims=a.dim)


def engine_nnc_cache(a, ins):
  """The same, compiled by an earlier process: the first one of a measurement compiles."""
  return engine_nnc_jit(a, ins)


def engine_onnxruntime(a, ins):
  import onnxruntime as ort

  o = ort.SessionOptions()
  o.intra_op_num_threads, o.inter_op_num_threads = a.threads, 1
  s = ort.InferenceSession(a.folder / "model.onnx", o, providers=["CPUExecutionProvider"])
  names = [x.name for x in s.get_outputs()]
  return f"ONNX Runtime {ort.__version__}", lambda: dict(zip(names, s.run(None, ins)))


def engine_openvino(a, ins, precision="f32"):
  import openvino as ov

  settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
              "INFERENCE_NUM_THREADS": a.threads}
  model = ov.Core().compile_model(str(a.folder / "model.onnx"), "CPU", settings)
  request, names = model.create_infer_request(), [x.any_name for x in model.outputs]

  def run():
    request.infer(ins, share_inputs=True)
    return {n: request.get_output_tensor(i).data for i, n in enumerate(names)}

  used = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
  return f"OpenVINO {ov.__version__.split('-')[0]}" + (f" {used}" if precision != "f32" else ""), run


def engine_openvino_bf16(a, ins):
  """Where the processor has no bf16 it computes in f32 all the same, which its name then says."""
  return engine_openvino(a, ins, "bf16")


def torch_model(a, ins, name, wrap):
  import torch
  from layers_torch import Layers
  from networks import NETWORKS
  from safetensors.torch import load_file

  torch.set_num_threads(a.threads)
  torch.set_num_interop_threads(1)
  network = NETWORKS[a.network]
  layers, args = Layers(load_file(a.folder / "model.safetensors")), [torch.from_numpy(v) for v in ins.values()]
  forward = wrap(torch, network, lambda *args: network.forward(layers, network.config, *args), args)

  def run():
    with torch.inference_mode():
      return {n: t.contiguous().numpy() for n, t in forward(*args).items()}

  return f"{name} {torch.__version__.split('+')[0]}", run


def engine_torch(a, ins):
  return torch_model(a, ins, "PyTorch", lambda torch, network, forward, args: forward)


def engine_torch_compile(a, ins):
  """Needs a C++ compiler, and up to a minute for a network that it has not met."""
  def wrap(torch, network, forward, args):
    with torch.inference_mode():
      forward(*args)  # makes what is derived of weights, so that the compiler finds it made
    return torch.compile(forward, dynamic=network.is_open)

  return torch_model(a, ins, "torch.compile", wrap)


def peak_kib():
  """Of this program alone: getrusage's figure begins with that of the process that started it."""
  return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))


def main():
  p = argparse.ArgumentParser()
  p.add_argument("engine")
  p.add_argument("folder", type=Path)
  p.add_argument("--threads", type=int, required=True)
  p.add_argument("--inputs", type=Path, required=True)
  p.add_argument("--network", help="its name")
  p.add_argument("--libnnc")
  p.add_argument("--model", help="nnc's, in YAML")
  p.add_argument("--dim", action="append", default=[], help="NAME=N: pinned where nnc compiles in this process")
  a = p.parse_args()
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what engines print is no answer
  ins = dict(np.load(a.inputs))
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
      np.savez(rest[0], **outs)
      answer({})
    elif command == "memory":
      answer({"peak_mb": peak_kib() / 1024})


if __name__ == "__main__":
  main()
