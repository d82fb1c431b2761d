"""The layers of networks/ in PyTorch's own functions, as fast as these are without compiling: batch norms are folded
into their convolutions, projections of one operand are one product, images have their channels last."""

import torch
import torch.nn.functional as F


class Layers:
  """On {name: tensor}; what is derived of weights is made once."""

  def __init__(self, weights):
    self.w, self.made = weights, {}

  def once(self, key, make):
    if key not in self.made:
      self.made[key] = make()
    return self.made[key]

  # -- layers --
  def parameter(self, name, *shape):
    return self.w[name]

  def take(self, name, rows, width, ids):
    return F.embedding(ids, self.w[name])

  def linear(self, x, name, n_in, n_out, bias=True):
    return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"] if bias else None)

  linear_rows = linear

  def linear_in_out(self, x, name, n_in, n_out):
    return F.linear(x, self.w[f"{name}.weight"].T, self.w[f"{name}.bias"])

  def linear_of_table(self, x, name):
    return F.linear(x, self.w[name])

  def linears(self, x, names, n_in, n_out, bias=True):
    w, b = self.once(names[0], lambda: [torch.cat([self.w[f"{n}.{part}"] for n in names]) if part == "weight" or bias
                                        else None for part in ("weight", "bias")])
    return F.linear(x, w, b).chunk(len(names), -1)

  def kernel(self, name, bias, norm):
    """Weight and bias, with the batch norm folded in."""
    w, b = self.w[f"{name}.weight"], self.w[f"{name}.bias"] if bias else None
    if norm:
      scale = self.w[f"{norm}.weight"] * (self.w[f"{norm}.running_var"] + 1e-5).rsqrt()
      w = w * scale[:, None, None, None]
      b = self.w[f"{norm}.bias"] + ((0 if b is None else b) - self.w[f"{norm}.running_mean"]) * scale
    return w.contiguous(memory_format=torch.channels_last), b

  def conv(self, x, name, n_in, n_out, kernel, stride=1, padding=0, groups=1, bias=True, norm=None, gain=1.0):
    w, b = self.once(name, lambda: self.kernel(name, bias, norm))
    return F.conv2d(x, w, b, stride, padding, 1, groups)

  def layer_norm(self, x, name, width, eps):
    return F.layer_norm(x, (width,), self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

  def group_norm(self, x, name, groups, channels, eps):
    return F.group_norm(x, groups, self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

  def attention(self, q, k, v, heads, width, mask=None, causal_up_to=None):
    q, k, v = (t.unflatten(-1, (heads, width)).transpose(1, 2) for t in (q, k, v))
    o = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal_up_to is not None)
    return o.transpose(1, 2).flatten(2)

  # -- activations --
  def relu(self, x):
    return F.relu(x)

  def relu6(self, x):
    return F.relu6(x)

  def silu(self, x):
    return F.silu(x)

  def tanh(self, x):
    return torch.tanh(x)

  def gelu(self, x):
    return F.gelu(x)

  def gelu_tanh(self, x):
    return F.gelu(x, approximate="tanh")

  # -- the rest --
  def add(self, a, b):
    return a + b

  def mul(self, a, b):
    return a * b

  def parts(self, x, n, width):
    return x.chunk(n, -1)

  def max_pool(self, x, kernel, stride, padding):
    return F.max_pool2d(x, kernel, stride, padding)

  def mean_of_image(self, x):
    return x.mean((2, 3))

  def twice_as_large(self, x):
    return F.interpolate(x, scale_factor=2, mode="nearest")

  def tokens(self, x):
    return x.flatten(2).transpose(1, 2)

  def image(self, x, side):
    return x.transpose(1, 2).unflatten(2, (side, side))

  def of_image(self, x):
    return x[:, :, None, None]

  def first_token(self, x):
    return x[:, 0]

  def before(self, x, token, width):
    return torch.cat((token.expand(x.shape[0], 1, width), x), dim=1)

  def positions(self, ids, most):
    return torch.arange(ids.shape[1])[None]

  def hidden(self, mask):
    batch, seq = mask.shape
    return torch.zeros(batch, 1, 1, seq).masked_fill(mask[:, None, None] == 0, torch.finfo(torch.float32).min)
