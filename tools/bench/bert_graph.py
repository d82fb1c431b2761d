"""The same BERT for every engine: a config, random weights under the names of published checkpoints, inputs, and the
graph for engines that read ONNX.

The graph is what an export from PyTorch looks like (opset 17: LayerNormalization is one node, GELU is spelt with Erf,
attention is matrix products and Softmax), which is the form whose fusions the engines know. Sizes of the batch and of
the sequence stay open, as they do in nnc. Weights beyond 2 GB are not needed here, so the file holds them.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

SHAPES = {
  "minilm-l6": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
  "bert-base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
  "tiny": dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, vocab_size=100),
}
COMMON = dict(model_type="bert", vocab_size=30522, max_position_embeddings=512, type_vocab_size=2, hidden_act="gelu",
              layer_norm_eps=1e-12)


def weight_shapes(c):
  """Name and shape of every weight, in order."""
  h, f = c["hidden_size"], c["intermediate_size"]

  def dense(name, n, k):
    return {f"{name}.weight": (n, k), f"{name}.bias": (n,)}

  def norm(name):
    return {f"{name}.weight": (h,), f"{name}.bias": (h,)}

  shapes = {f"embeddings.{name}_embeddings.weight": (rows, h) for name, rows in (
    ("word", c["vocab_size"]), ("position", c["max_position_embeddings"]), ("token_type", c["type_vocab_size"]))}
  shapes |= norm("embeddings.LayerNorm")
  for i in range(c["num_hidden_layers"]):
    p = f"encoder.layer.{i}"
    for part in ("query", "key", "value"):
      shapes |= dense(f"{p}.attention.self.{part}", h, h)
    shapes |= dense(f"{p}.attention.output.dense", h, h) | norm(f"{p}.attention.output.LayerNorm")
    shapes |= dense(f"{p}.intermediate.dense", f, h) | dense(f"{p}.output.dense", h, f) | norm(f"{p}.output.LayerNorm")
  return shapes | dense("pooler.dense", h, h)


def random_weights(c, seed=1):
  """As wide as trained ones: 0.02, norms near one."""
  rng = np.random.default_rng(seed)
  weights = {}
  for name, shape in weight_shapes(c).items():
    x = rng.standard_normal(shape, np.float32)
    weights[name] = 1 + np.float32(0.1) * x if "LayerNorm.weight" in name else np.float32(0.02 if x.ndim == 2 else 0.1) * x
  return weights


class Graph:
  """Nodes and constants, in the order in which they are made."""

  def __init__(self):
    self.nodes, self.constants = [], {}

  def constant(self, name, array):
    self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
    return name

  def scalar(self, value):
    return self.constant(f"f32_{value}", np.array(value, np.float32))

  def ints(self, *values):
    return self.constant("i64_" + "_".join(map(str, values)), np.array(values, np.int64))

  def __call__(self, op, *inputs, out=None, **attributes):
    out = out or f"t{len(self.nodes)}"
    self.nodes.append(helper.make_node(op, list(inputs), [out], name=f"{op}_{len(self.nodes)}", **attributes))
    return out


def build(c, weights):
  """The model of a config, with its weights inside."""
  g = Graph()
  heads, eps = c["num_attention_heads"], c["layer_norm_eps"]
  width = c["hidden_size"] // heads
  w = {name: g.constant(name, array) for name, array in weights.items() if array.ndim == 1 or "embeddings" in name}

  def dense(x, name):
    matrix = g.constant(f"{name}.weight^T", weights[f"{name}.weight"].T)
    return g("Add", w[f"{name}.bias"], g("MatMul", x, matrix))

  def norm(x, name, out=None):
    return g("LayerNormalization", x, w[f"{name}.weight"], w[f"{name}.bias"], out=out, epsilon=eps, axis=-1)

  def split(x, order):
    return g("Transpose", g("Reshape", x, g.ints(0, 0, heads, width)), perm=order)

  def gelu(x):
    erf = g("Erf", g("Div", x, g.scalar(2**0.5)))
    return g("Mul", g("Mul", x, g("Add", erf, g.scalar(1.0))), g.scalar(0.5))

  mask = g("Cast", g("Unsqueeze", g("Unsqueeze", "attention_mask", g.ints(1)), g.ints(2)), to=TensorProto.FLOAT)
  mask = g("Mul", g("Sub", g.scalar(1.0), mask), g.scalar(float(np.finfo(np.float32).min)))
  places = g.constant("position_ids", np.arange(c["max_position_embeddings"])[None])
  seq = g("Unsqueeze", g("Gather", g("Shape", "input_ids"), g.constant("one", np.array(1)), axis=0), g.ints(0))
  places = g("Slice", places, g.ints(0), seq, g.ints(1))
  x = g("Gather", w["embeddings.word_embeddings.weight"], "input_ids")
  x = g("Add", x, g("Gather", w["embeddings.token_type_embeddings.weight"], "token_type_ids"))
  x = g("Add", x, g("Gather", w["embeddings.position_embeddings.weight"], places))
  x = norm(x, "embeddings.LayerNorm")
  last = c["num_hidden_layers"] - 1
  for i in range(last + 1):
    p = f"encoder.layer.{i}"
    q = split(dense(x, f"{p}.attention.self.query"), [0, 2, 1, 3])
    k = split(dense(x, f"{p}.attention.self.key"), [0, 2, 3, 1])
    v = split(dense(x, f"{p}.attention.self.value"), [0, 2, 1, 3])
    scores = g("Add", g("Div", g("MatMul", q, k), g.scalar(width**0.5)), mask)
    o = g("Transpose", g("MatMul", g("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    o = dense(g("Reshape", o, g.ints(0, 0, heads * width)), f"{p}.attention.output.dense")
    x = norm(g("Add", o, x), f"{p}.attention.output.LayerNorm")
    h = dense(gelu(dense(x, f"{p}.intermediate.dense")), f"{p}.output.dense")
    x = norm(g("Add", h, x), f"{p}.output.LayerNorm", out="last_hidden_state" if i == last else None)
  first = g("Gather", x, g.constant("zero", np.array(0)), axis=1)
  matrix = g.constant("pooler.dense.weight", weights["pooler.dense.weight"])
  g("Tanh", g("Gemm", first, matrix, w["pooler.dense.bias"], transB=1), out="pooler_output")
  ins = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "seq"])
         for n in ("input_ids", "attention_mask", "token_type_ids")]
  outs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "seq", heads * width]),
          helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["batch", heads * width])]
  graph = helper.make_graph(g.nodes, "bert", ins, outs, list(g.constants.values()))
  model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
  onnx.checker.check_model(model)
  return model


def inputs(c, batch, seq, seed=2):
  """Token ids, a mask that hides nothing, types: int64, as the checkpoints' own libraries take them."""
  rng = np.random.default_rng(seed)
  return {"input_ids": rng.integers(0, c["vocab_size"], (batch, seq)), "attention_mask": np.ones((batch, seq), np.int64),
          "token_type_ids": (np.arange(seq) >= seq // 2).astype(np.int64) * np.ones((batch, 1), np.int64)}


def write(name, folder):
  """config.json, model.safetensors and model.onnx in a folder; gives the config. What is there already is kept."""
  c = COMMON | SHAPES[name]
  text = json.dumps(c, indent=1)
  stamp = folder / "config.json"
  if stamp.exists() and stamp.read_text() == text:
    return c
  folder.mkdir(parents=True, exist_ok=True)
  weights = random_weights(c)
  save_file(weights, folder / "model.safetensors")
  onnx.save(build(c, weights), folder / "model.onnx")
  stamp.write_text(text)  # last: an interrupted run starts anew
  return c
