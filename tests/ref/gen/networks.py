"""Small instances of the networks of tests/bench and what PyTorch computes of them in f64.

    python tests/ref/make_refs.py networks [NAME...]      all, or those named as tools/bench/run names them

In:   nothing. The layers are those that tools/bench measures (tools/bench/networks), here on small configs; its Python
environment has all that is needed. Out: a folder tests/bench/MODEL for each, where tests/bench/MODEL.yaml is the model,
every file at most 100 KB:
  config.json             keys of the model's config
  model.safetensors       random weights, f32
  cases.safetensors       <case>.in.INPUT, <case>.out.OUTPUT, f32, for batches of one and two
The graph that the benchmark gives to other engines must agree in ONNX Runtime, or nothing is written.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.numpy import save_file

from gen.checkpoints import finish, write_each

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools/bench"))

import layers_torch  # noqa: E402
from case import build  # noqa: E402
from networks import NETWORKS  # noqa: E402

AGREE = 1e-5  # of the largest: f32 against f64


def by_torch(network, weights, given):
  layers = layers_torch.Layers({name: torch.from_numpy(w.astype(np.float64)) for name, w in weights.items()})
  with torch.inference_mode():
    out = network.forward(layers, network.config, *(torch.from_numpy(x.astype(np.float64)) for x in given.values()))
  return {name: np.ascontiguousarray(x.numpy(), np.float32) for name, x in out.items()}


def by_onnxruntime(model, given):
  session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
  return dict(zip((o.name for o in session.get_outputs()), session.run(None, given)))


def write(name):
  network = SMALL[name]
  folder = ROOT / Path(network.model).with_suffix("")
  folder.mkdir(exist_ok=True)
  (folder / "config.json").write_text(json.dumps(network.config, indent=2) + "\n")
  tensors = {}
  for batch in (1, 2):
    given = network.inputs(network.config, batch, None, np.random.default_rng(batch))
    layers, model = build(network, given)
    want = by_torch(network, layers.weights, given)
    for output, x in by_onnxruntime(model, given).items():
      error = np.abs(x - want[output]).max() / np.abs(want[output]).max()
      assert error < AGREE, f"{name}: ONNX Runtime and PyTorch differ by {error:.1e} in `{output}`"
    tensors |= {f"{batch}.in.{k}": v for k, v in given.items()} | {f"{batch}.out.{k}": v for k, v in want.items()}
  save_file(layers.weights, folder / "model.safetensors")
  finish(folder, f"bench/{folder.name}", 2, tensors)


SMALL = {name: n._replace(config=n.config | n.tiny) for name, n in NETWORKS.items() if n.tiny}


def write_all(names):
  write_each(write, SMALL, names)
