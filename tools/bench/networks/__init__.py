"""The networks that are measured: for each the model of nnc, a config, its inputs, and its layers, written once, in a
file a family. With layers_onnx.Layers such a file makes random weights and a graph, with layers_torch.Layers it computes.
"""

from typing import Callable, NamedTuple

from networks import bert, gpt2, images, sd_block, vit, vqgan


class Network(NamedTuple):
  model: str  # nnc's, from the root of the sources
  group: str  # a geometric mean is of its rows
  config: dict  # keys of that model's `config`
  tiny: dict  # other values of keys, for a test
  forward: Callable  # (layers, config, a value for each input) -> {output: value}
  inputs: Callable  # (config, batch, seq, generator) -> {input: array}, int64 or f32
  is_open: bool  # batch and seq, the dims of each input, stay open in all engines; else all sizes are known to all


def transformer(family, model, is_open, tiny={}, **config):
  return Network(f"models/transformer/{model}.yaml", "transformers", family.CONFIG | config, tiny, family.forward,
                 family.inputs, is_open)


def convolutions(model, config, tiny, forward, inputs):
  return Network(f"tests/bench/{model}.yaml", "convolutions", config, tiny, forward, inputs, False)


NETWORKS = {
  "minilm-l6": transformer(bert, "bert", True, hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
  "bert-base": transformer(bert, "bert", True),
  "vit-b16": transformer(vit, "vit", False),
  "gpt2-prefill": transformer(gpt2, "gpt2", True),
  "resnet50": convolutions("resnet", images.RESNET,
                           dict(image_size=37, width=4, depths=[1, 2], expansion=2, num_classes=7),
                           images.resnet, images.inputs),
  "mobilenet-v1": convolutions("mobilenet_v1", images.V1,
                               dict(image_size=31, stem=5, widths=[9, 17, 17], strides=[1, 2, 1], num_classes=7),
                               images.mobilenet_v1, images.inputs),
  "mobilenet-v2": convolutions("mobilenet_v2", images.V2,
                               dict(image_size=31, stem=5, expansions=[1, 3], widths=[4, 6], depths=[1, 2],
                                    strides=[1, 2], last=19, num_classes=7), images.mobilenet_v2, images.inputs),
  "sd-block": convolutions("sd_block", sd_block.CONFIG,
                           dict(channels=16, side=6, num_heads=2, groups=4, time_width=12, context_length=7,
                                context_width=10), sd_block.forward, sd_block.inputs),
  "vqgan-decoder": convolutions("vqgan_decoder", vqgan.CONFIG,
                                dict(ch=4, ch_mult=[1, 2, 2], num_res_blocks=1, attn_resolutions=[4, 8], resolution=16,
                                     z_channels=6, embed_dim=5, groups=2, side=3), vqgan.forward, vqgan.inputs),
}
