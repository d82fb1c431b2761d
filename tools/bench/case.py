"""A network at one size, and its files in a folder: config.json, model.safetensors, model.onnx, inputs and what nnc
compiles of it."""

import json
import os
import subprocess
import zlib
from pathlib import Path

import numpy as np
import onnx
from layers_onnx import Layers
from networks import NETWORKS
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def run_nnc(build, *arguments):
  done = subprocess.run([str(build / "nnc"), *map(str, arguments)], text=True, capture_output=True,
                        env=os.environ | {"NNC_CACHE_DIR": str(build / "bench-models/cache")})
  if done.returncode:
    raise SystemExit(done.stderr)
  return done.stdout


class Case:
  """`spec` is NAME or NAME@SEQ."""

  def __init__(self, spec, batch, seq, build):
    name, _, own = spec.partition("@")
    if name not in NETWORKS or (own and not NETWORKS[name].is_open):
      known = ", ".join(NETWORKS)
      raise SystemExit(f"error: no network `{spec}`; there are: {known}; those of tokens also as NAME@SEQ")
    self.title, self.name, self.network, self.build = spec, name, NETWORKS[name], build
    self.sizes = {"batch": batch, "seq": int(own or seq)}
    self.folder = build / "bench-models" / name
    self.model = ROOT / self.network.model
    self.given = self.network.inputs(self.network.config, *self.sizes.values(), np.random.default_rng(2))
    self.inputs = self.folder / f"inputs-{'-'.join(map(str, self.sizes.values()))}.npz"
    self.dims = [f"{k}={v}" for k, v in self.sizes.items() if self.network.is_open or k == "batch"]
    self.pinned = [] if self.network.is_open else self.dims
    self.write()

  def write(self):
    """What is there already is kept, as long as nothing that made it has changed."""
    sources = [HERE / "graph.py", HERE / "layers_onnx.py", *sorted((HERE / "networks").glob("*.py"))]
    mark = json.dumps({"config": self.network.config, "pinned": self.pinned,
                       "sources": zlib.crc32(b"".join(f.read_bytes() for f in sources))})
    stamp = self.folder / "made.json"
    if not stamp.exists() or stamp.read_text() != mark:
      self.folder.mkdir(parents=True, exist_ok=True)
      (self.folder / "config.json").write_text(json.dumps(self.network.config, indent=1))
      layers, model = build(self.network, self.given)
      save_file(layers.weights, self.folder / "model.safetensors")
      onnx.save(model, self.folder / "model.onnx")
      stamp.write_text(mark)  # last: an interrupted run starts anew
    np.savez(self.inputs, **self.given)

  def arguments(self, dims):
    """Of nnc, for this network."""
    return [self.model, "--config", self.folder / "config.json", "--weights",
            self.folder / "model.safetensors", *(x for d in dims for x in ("--dim", d))]

  def compile(self, name="model.so", dims=None, *options):
    """Writes a library, with these dims pinned; by default those that are so in all engines."""
    dims = self.pinned if dims is None else dims
    run_nnc(self.build, "compile", "--no-cache", *self.arguments(dims), *options, "-o", self.folder / name)

  def bench(self, threads):
    """What `nnc bench` says of one run."""
    return json.loads(run_nnc(self.build, "bench", *self.arguments(self.dims), "--threads", threads, "--runs", 1,
                              "--warmup", 0, "--json"))

  def parameters(self):
    """Of the weights, so that a tied one counts once; the buffers of batch norms are none."""
    shapes = json.loads(read_header(self.folder / "model.safetensors"))
    return sum(int(np.prod(t["shape"])) for n, t in shapes.items() if "running_" not in n and n != "__metadata__")


def read_header(path):
  """The part of a safetensors file that names the tensors."""
  with open(path, "rb") as f:
    return f.read(int.from_bytes(f.read(8), "little"))


def build(network, given):
  """The layers, with the weights that they drew, and the graph."""
  layers = Layers()
  outputs = network.forward(layers, network.config, *given)
  shapes = {n: (x.dtype, ["batch", "seq"] if network.is_open else x.shape) for n, x in given.items()}
  return layers, layers.model(network.forward.__module__.rpartition(".")[2], shapes, outputs)
