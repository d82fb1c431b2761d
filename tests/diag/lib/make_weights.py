"""Writes the safetensors files beside it, for the messages about weights. Only names, types and shapes matter.

    python3 tests/diag/lib/make_weights.py
"""
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE = {"F32": 4, "F16": 2, "I32": 4}


def write(name, tensors):
  header, at = {}, 0
  for tensor, (dtype, shape) in tensors.items():
    n = SIZE[dtype]
    for d in shape:
      n *= d
    header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + n]}
    at += n
  text = json.dumps(header).encode()
  (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))


layers = {f"{i}.{part}": shape for i in range(4) for part, shape in {"fc.weight": [3, 3], "norm.weight": [3], "norm.bias": [3]}.items()}
write("layers.safetensors", {f"layer.{k}": ("F32", v) for k, v in layers.items()})
write("prefixed.safetensors", {f"net/layer/{k.replace('.', '/')}": ("F16", v) for k, v in layers.items()} | {"head.weight": ("F32", [7, 3])})
write("old.safetensors", {f"layer.{k.replace('norm.weight', 'norm.gamma')}": ("F32", v) for k, v in layers.items()})
write("moved.safetensors", {f"layer.{k.replace('fc.', 'mlp.dense.')}": ("F32", v) for k, v in layers.items()})
write("misfit.safetensors", {f"layer.{k}": ("I32" if "bias" in k else "F32", [4, 3] if "fc" in k else v) for k, v in layers.items()})
write("turned.safetensors", {"fc.weight": ("F32", [2, 5]), "fc.bias": ("F32", [5])})
write("parts.safetensors", {"q": ("F32", [3, 4]), "k": ("F32", [3, 4]), "v": ("F32", [2, 4]), "qkv": ("F32", [9, 4])})


def write_index(name, weight_map):
  (HERE / name).write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}, indent=1) + "\n")


# a checkpoint in two files, and indexes that are wrong about them
write("cut-1.safetensors", {f"layer.{k}": ("F32", v) for k, v in layers.items() if k < "2"})
write("cut-2.safetensors", {f"layer.{k}": ("F32", v) for k, v in layers.items() if k > "2"})
write("cut-2-again.safetensors", {f"layer.{k}": ("F32", v) for k, v in layers.items() if k > "1.norm"})
right = {f"layer.{k}": "cut-1.safetensors" if k < "2" else "cut-2.safetensors" for k in layers}
write_index("cut.index.json", right)
write_index("cut_gone.index.json", {k: v.replace("cut-2", "cut-3") for k, v in right.items()})
write_index("cut_wrong.index.json", {k: "cut-1.safetensors" if "2.fc" in k or "3.fc" in k else v for k, v in right.items()})
write_index("cut_unlisted.index.json", {k: v for k, v in right.items() if "norm.bias" not in k})
write_index("cut_twice.index.json", {k: v.replace("cut-2", "cut-2-again") for k, v in right.items()})
write_index("cut_path.index.json", {k: f"../lib/{v}" for k, v in right.items()})
(HERE / "cut_broken.index.json").write_text(json.dumps({"weight_map": right})[:-1] + "\n")
(HERE / "cut_nothing.index.json").write_text("{}\n")
