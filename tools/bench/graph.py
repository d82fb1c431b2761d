"""An ONNX graph in the making."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}


class Graph:
  """Nodes and constants, in the order in which they are made. Weights beyond 2 GB are not needed here, so the file
  holds them."""

  def __init__(self):
    self.nodes, self.constants = [], {}

  def constant(self, name, array):
    self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
    return name

  def scalar(self, value):
    return self.constant(f"f32_{value}", np.array(value, np.float32))

  def ints(self, *values):
    return self.constant("i64_" + "_".join(map(str, values)), np.array(values, np.int64))

  def __call__(self, op, *inputs, n_outputs=1, **attributes):
    outs = [f"t{len(self.nodes)}" + "_" * i for i in range(n_outputs)]
    self.nodes.append(helper.make_node(op, list(inputs), outs, name=f"{op}_{len(self.nodes)}", **attributes))
    return outs[0] if n_outputs == 1 else outs

  def model(self, name, inputs, outputs):
    """inputs: {name: (dtype, shape with names for open sizes)}; outputs: {name: value of the graph}, all f32."""
    for public, value in outputs.items():
      for node in self.nodes:
        for names in (node.input, node.output):
          names[:] = [public if n == value else n for n in names]
    ins = [helper.make_tensor_value_info(n, TYPES[np.dtype(t)], shape) for n, (t, shape) in inputs.items()]
    outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph(self.nodes, name, ins, outs, list(self.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)  # of the outputs too
    onnx.checker.check_model(model)
    return model

