"""The networks that are measured: for each the model of nnc, a config, its inputs, and its layers, written once, in a file
a family. With layers_onnx.Layers such a file makes random weights and a graph, with layers_torch.Layers it computes.
"""

from typing import Callable, NamedTuple

from networks import bert, gpt2, vit


class Network(NamedTuple):
  model: str  # nnc's, from the root of the sources
  group: str  # a geometric mean is of its rows
  config: dict  # keys of that model's `config`
  forward: Callable  # (layers, config, a value for each input) -> {output: value}
  inputs: Callable  # (config, batch, seq, generator) -> {input: array}, int64 or f32
  is_open: bool  # batch and seq, the dims of each input, stay open in all engines; else all sizes are known to all


def transformer(family, model, is_open, **config):
  return Network(f"models/transformer/{model}.yaml", "transformers", family.CONFIG | config, family.forward, family.inputs,
                 is_open)


NETWORKS = {
  "minilm-l6": transformer(bert, "bert", True, hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
  "bert-base": transformer(bert, "bert", True),
  "vit-b16": transformer(vit, "vit", False),
  "gpt2-prefill": transformer(gpt2, "gpt2", True),
}
