"""The layers of networks/ as nodes of ONNX, in the form in which PyTorch exports them, which is the form whose fusions
the engines know: GELU is spelt with Erf, attention is matrix products and Softmax, a group norm is an instance norm
between reshapes. Weights are drawn when a layer first names them, and kept under that name: layers_torch.py has the
same layers on them."""

import numpy as np
from graph import Graph


class Layers(Graph):
  def __init__(self, seed=1):
    super().__init__()
    self.rng, self.weights = np.random.default_rng(seed), {}

  # -- weights --
  def draw(self, name, shape, scale=0.1, mean=0.0):
    """Of a network, by its published name."""
    if name not in self.weights:
      x = mean + scale * self.rng.standard_normal(shape, np.float32)
      self.weights[name] = np.asarray(x, np.float32)
    return self.weights[name]

  def parameter(self, name, *shape, scale=0.1, mean=0.0):
    return self.constant(name, self.draw(name, shape, scale, mean))

  # -- layers --
  def take(self, name, rows, width, ids):
    return self("Gather", self.parameter(name, rows, width, scale=0.02), ids)

  def linear(self, x, name, n_in, n_out, bias=True):
    """Over the last dim."""
    w = self.draw(f"{name}.weight", (n_out, n_in), n_in**-0.5)
    y = self("MatMul", x, self.constant(f"{name}.weight^T", w.T))
    return self("Add", self.parameter(f"{name}.bias", n_out), y) if bias else y

  def linear_in_out(self, x, name, n_in, n_out):
    """Its weight lies [in, out]."""
    y = self("MatMul", x, self.parameter(f"{name}.weight", n_in, n_out, scale=n_in**-0.5))
    return self("Add", self.parameter(f"{name}.bias", n_out), y)

  def linear_of_table(self, x, name):
    """The rows of an embedding are the weight."""
    return self("MatMul", x, self.constant(f"{name}^T", self.weights[name].T))

  def linears(self, x, names, n_in, n_out, bias=True):
    """Several of one operand."""
    return [self.linear(x, name, n_in, n_out, bias) for name in names]

  def linear_rows(self, x, name, n_in, n_out):
    """Of [rows, n_in]."""
    w = self.parameter(f"{name}.weight", n_out, n_in, scale=n_in**-0.5)
    return self("Gemm", x, w, self.parameter(f"{name}.bias", n_out), transB=1)

  def conv(self, x, name, n_in, n_out, kernel, stride=1, padding=0, groups=1, bias=True, norm=None, gain=1.0):
    """`norm`: the batch norm behind it, whose scales lie near `gain`."""
    fan_in = n_in // groups * kernel**2
    operands = [x, self.parameter(f"{name}.weight", n_out, n_in // groups, kernel, kernel, scale=(2 / fan_in) ** 0.5)]
    if bias:
      operands.append(self.parameter(f"{name}.bias", n_out))
    y = self("Conv", *operands, group=groups, kernel_shape=[kernel] * 2, pads=[padding] * 4, strides=[stride] * 2,
             dilations=[1, 1])
    if not norm:
      return y
    w = self.parameter(f"{norm}.weight", n_out, scale=0.1 * gain, mean=gain)
    b, mean = (self.parameter(f"{norm}.{part}", n_out) for part in ("bias", "running_mean"))
    variance = self.parameter(f"{norm}.running_var", n_out, scale=0.05, mean=1.0)
    return self("BatchNormalization", y, w, b, mean, variance, epsilon=1e-5)

  def layer_norm(self, x, name, width, eps):
    w, b = self.parameter(f"{name}.weight", width, mean=1.0), self.parameter(f"{name}.bias", width)
    return self("LayerNormalization", x, w, b, epsilon=eps, axis=-1)

  def group_norm(self, x, name, groups, channels, eps):
    """The one operator of opset 21 is at most 5% faster in OpenVINO, and not faster in ONNX Runtime."""
    w, b = self.parameter(f"{name}.weight", channels, mean=1.0), self.parameter(f"{name}.bias", channels)
    one = self.constant(f"ones_{groups}", np.ones(groups, np.float32))
    zero = self.constant(f"zeros_{groups}", np.zeros(groups, np.float32))
    y = self("InstanceNormalization", self("Reshape", x, self.ints(0, groups, -1)), one, zero, epsilon=eps)
    y = self("Reshape", y, self("Shape", x))
    column = self.ints(1, 2)
    return self("Add", self("Mul", y, self("Unsqueeze", w, column)), self("Unsqueeze", b, column))

  def attention(self, q, k, v, heads, width, mask=None, causal_up_to=None):
    """Of [batch, time, heads * width]; `mask` is added to the scores; causal: up to so many tokens."""
    def split(x, order):
      return self("Transpose", self("Reshape", x, self.ints(0, 0, heads, width)), perm=order)

    q, k, v = split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]), split(v, [0, 2, 1, 3])
    scores = self("Div", self("MatMul", q, k), self.scalar(width**0.5))
    if mask:
      scores = self("Add", scores, mask)
    if causal_up_to:
      n = self("Gather", self("Shape", scores), self.ints(3), axis=0)
      seen = self.constant("causal", np.tril(np.ones((1, 1, causal_up_to, causal_up_to), bool)))
      seen = self("Slice", seen, self.ints(0, 0), self("Concat", n, n, axis=0), self.ints(2, 3))
      scores = self("Where", seen, scores, self.scalar(float(np.finfo(np.float32).min)))
    o = self("Transpose", self("MatMul", self("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    return self("Reshape", o, self.ints(0, 0, heads * width))

  # -- activations --
  def relu(self, x):
    return self("Relu", x)

  def relu6(self, x):
    return self("Clip", x, self.scalar(0.0), self.scalar(6.0))

  def silu(self, x):
    return self("Mul", x, self("Sigmoid", x))

  def tanh(self, x):
    return self("Tanh", x)

  def gelu(self, x):
    erf = self("Erf", self("Div", x, self.scalar(2**0.5)))
    return self("Mul", self("Mul", x, self("Add", erf, self.scalar(1.0))), self.scalar(0.5))

  def gelu_tanh(self, x):
    cube = self("Mul", self("Pow", x, self.scalar(3.0)), self.scalar(0.044715))
    t = self("Tanh", self("Mul", self("Add", x, cube), self.scalar((2 / np.pi) ** 0.5)))
    return self("Mul", self("Mul", x, self.scalar(0.5)), self("Add", t, self.scalar(1.0)))

  # -- the rest --
  def add(self, a, b):
    return self("Add", a, b)

  def mul(self, a, b):
    return self("Mul", a, b)

  def parts(self, x, n, width):
    """Of the last dim."""
    return self("Split", x, self.ints(*[width] * n), axis=-1, n_outputs=n)

  def max_pool(self, x, kernel, stride, padding):
    return self("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4)

  def mean_of_image(self, x):
    """[batch, channels]."""
    return self("Flatten", self("GlobalAveragePool", x), axis=1)

  def twice_as_large(self, x):
    """Nearest neighbours."""
    scales = self.constant("scales", np.array([1, 1, 2, 2], np.float32))
    return self("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                nearest_mode="floor")

  def tokens(self, x):
    """[batch, channels, height, width] to [batch, height * width, channels]."""
    return self("Transpose", self("Reshape", x, self.ints(0, 0, -1)), perm=[0, 2, 1])

  def image(self, x, side):
    """Back, of a square image."""
    return self("Reshape", self("Transpose", x, perm=[0, 2, 1]), self.ints(0, 0, side, side))

  def of_image(self, x):
    """[batch, channels] for each pixel."""
    return self("Unsqueeze", x, self.ints(2, 3))

  def first_token(self, x):
    return self("Gather", x, self.constant("zero", np.array(0)), axis=1)

  def before(self, x, token, width):
    """[batch, 1 + time, width]: `token` [1, 1, width] before each sequence."""
    batch = self("Slice", self("Shape", x), self.ints(0), self.ints(1))
    shape = self("Concat", batch, self.ints(1, width), axis=0)
    return self("Concat", self("Expand", token, shape), x, axis=1)

  def positions(self, ids, most):
    """[1, time] 0, 1, … as long as ids [batch, time]."""
    seq = self("Unsqueeze", self("Gather", self("Shape", ids), self.constant("one", np.array(1)), axis=0), self.ints(0))
    return self("Slice", self.constant("position_ids", np.arange(most)[None]), self.ints(0), seq, self.ints(1))

  def hidden(self, mask):
    """What a mask of tokens, 1 to see, adds to scores."""
    mask = self("Cast", self("Unsqueeze", self("Unsqueeze", mask, self.ints(1)), self.ints(2)), to=1)
    return self("Mul", self("Sub", self.scalar(1.0), mask), self.scalar(float(np.finfo(np.float32).min)))
