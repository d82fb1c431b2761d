"""ResNet, MobileNet and MobileNetV2, which classify images: tests/bench/{resnet,mobilenet_v1,mobilenet_v2}.yaml say
whose.

Batch norms have scales near one, and near RESIDUAL where a sum follows: with He's convolutions activations stay of
order one through all of them.
"""

import numpy as np

RESIDUAL = 0.3
RESNET = dict(image_size=224, width=64, depths=[3, 4, 6, 3], expansion=4, num_classes=1000)
V1 = dict(image_size=224, stem=32, widths=[64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024],
          strides=[1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1], num_classes=1000)
V2 = dict(image_size=224, stem=32, expansions=[1, 6, 6, 6, 6, 6, 6], widths=[16, 24, 32, 64, 96, 160, 320],
          depths=[1, 2, 3, 4, 3, 3, 1], strides=[1, 2, 2, 2, 1, 2, 1], last=1280, num_classes=1000)


def resnet(l, c, image):
  x = l.relu(l.conv(image, "conv1", 3, c["width"], 7, stride=2, padding=3, bias=False, norm="bn1"))
  x = l.max_pool(x, 3, 2, 1)
  n = c["width"]
  for i, depth in enumerate(c["depths"]):
    width = c["width"] * 2**i
    for j in range(depth):
      x, n = bottleneck(l, x, f"layer{i + 1}.{j}", n, width, c["expansion"] * width, 2 if i > 0 and j == 0 else 1)
  return {"logits": l.linear_rows(l.mean_of_image(x), "fc", n, c["num_classes"])}


def bottleneck(l, x, p, n, width, out, stride):
  def conv(x, i, n_in, n_out, kernel, stride=1, gain=1.0):
    return l.conv(x, f"{p}.conv{i}", n_in, n_out, kernel, stride, kernel // 2, bias=False, norm=f"{p}.bn{i}", gain=gain)

  h = l.relu(conv(x, 1, n, width, 1))
  h = l.relu(conv(h, 2, width, width, 3, stride))
  h = conv(h, 3, width, out, 1, gain=RESIDUAL)
  if stride != 1 or n != out:
    x = l.conv(x, f"{p}.downsample.0", n, out, 1, stride, bias=False, norm=f"{p}.downsample.1")
  return l.relu(l.add(h, x)), out


def mobilenet_v1(l, c, image):
  def convolve(x, p, n_in, n_out, kernel, stride=1, groups=1):
    return l.relu(l.conv(x, f"{p}.conv", n_in, n_out, kernel, stride, kernel // 2, groups, False, f"{p}.bn"))

  n = c["stem"]
  x = convolve(image, "stem", 3, n, 3, 2)
  for i, (width, stride) in enumerate(zip(c["widths"], c["strides"])):
    x = convolve(x, f"layers.{i}.depthwise", n, n, 3, stride, n)
    x, n = convolve(x, f"layers.{i}.pointwise", n, width, 1), width
  return {"logits": l.linear_rows(l.mean_of_image(x), "classifier", n, c["num_classes"])}


def mobilenet_v2(l, c, image):
  def convolve(x, p, n_in, n_out, kernel, stride=1, groups=1):
    return l.relu6(l.conv(x, f"{p}.0", n_in, n_out, kernel, stride, kernel // 2, groups, False, f"{p}.1"))

  def inverted(x, p, n, out, stride, expansion):
    wide, at, h = n * expansion, 0, x
    if expansion != 1:
      h, at = convolve(x, f"{p}.conv.0", n, wide, 1), 1
    h = convolve(h, f"{p}.conv.{at}", wide, wide, 3, stride, wide)
    is_sum = stride == 1 and n == out
    h = l.conv(h, f"{p}.conv.{at + 1}", wide, out, 1, bias=False, norm=f"{p}.conv.{at + 2}",
               gain=RESIDUAL if is_sum else 1.0)
    return l.add(x, h) if is_sum else h

  n, at = c["stem"], 1
  x = convolve(image, "features.0", 3, n, 3, 2)
  for expansion, width, depth, stride in zip(c["expansions"], c["widths"], c["depths"], c["strides"]):
    for j in range(depth):
      x, n, at = inverted(x, f"features.{at}", n, width, stride if j == 0 else 1, expansion), width, at + 1
  x = convolve(x, f"features.{at}", n, c["last"], 1)
  return {"logits": l.linear_rows(l.mean_of_image(x), "classifier.1", c["last"], c["num_classes"])}


def inputs(c, batch, seq, rng):
  side = c["image_size"]
  return {"image": rng.standard_normal((batch, 3, side, side), np.float32)}
