"""Small checkpoints of the transformer models and what other libraries compute from them, in f64.

    python tests/ref/make_refs.py zoo [NAME...]      all checkpoints, or those named

In:   nothing. Needs torch and transformers, which requirements.txt leaves out for their size; the committed files are from
torch 2.12.1 and transformers 5.24.0. Out: a folder tests/zoo/MODEL-NAME for each checkpoint, where
models/transformer/MODEL.yaml is the model, every file at most 100 KB:
  config.json                          keys of the model's config; config.base.json those of the model that it includes
  model.safetensors                    f32, as save_pretrained or the state_dict names it; medusa_lm_head.safetensors
  cases.safetensors                    <case>.in.INPUT (i32, f32 or bool), <case>.out.OUTPUT (f32)
The weights are random and wider than a trained model's, so that softmax and activations leave their linear ranges.
"""

import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import torch

from gen import zoo_linear, zoo_torch, zoo_transformers
from gen.checkpoints import finish, write_each

OUT = Path(__file__).resolve().parents[2] / "zoo"
CHECKPOINTS = zoo_transformers.CHECKPOINTS | zoo_torch.CHECKPOINTS | zoo_linear.CHECKPOINTS


def randomise(model, rng):
  """Weights in f32, whatever the library's own initialisation."""
  for name, p in model.named_parameters():
    if not p.requires_grad:  # positions by a formula
      continue
    is_norm = re.search(r"(norm|ln)(_?\w+)?\.(weight|g)$", name)
    centre, spread = (1.0, 0.3) if is_norm else (0.0, 0.2)
    p.data = torch.from_numpy(np.asarray(centre + spread * rng.standard_normal(tuple(p.shape)), np.float32))


def tensor_of(array):
  return torch.from_numpy(array.astype({"i": np.int64, "f": np.float64, "b": np.bool_}[array.dtype.kind]))


def write(name):
  family, settings, cases = CHECKPOINTS[name]
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  model = family.build(settings).eval()
  randomise(model, rng)
  folder = OUT / name
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  family.save(model, settings, folder)
  model = model.double()
  tensors = {}
  for i, case in enumerate(cases):
    given = family.draw(model.config, case, rng)
    with torch.no_grad():
      out = family.run(model, {k: tensor_of(v) for k, v in given.items()})
    tensors |= {f"{i}_{case[-1]}.in.{k}": v for k, v in given.items()}
    tensors |= {f"{i}_{case[-1]}.out.{k}": v.contiguous().numpy().astype(np.float32) for k, v in out.items()}
  finish(folder, f"zoo/{name}", len(cases), tensors)


def write_all(names):
  write_each(write, CHECKPOINTS, names)
