"""One ONNX operator at a time, by onnx.reference in the dtypes given; onnxruntime must agree in f32."""

import numpy as np
import onnx
import onnx.helper
import onnx.reference
import onnxruntime

from .store import F32, F64, agree

OPSET = 23


def model(op, inputs, n_out, attributes):
  """A model of one node, and its feed; an input may be None."""
  names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
  given = {n: np.asarray(x) for n, x in zip(names, inputs) if n}
  node = onnx.helper.make_node(op, names, [f"y{i}" for i in range(n_out)], **attributes)
  kind = lambda x: onnx.helper.np_dtype_to_tensor_dtype(x.dtype)
  ins = [onnx.helper.make_tensor_value_info(n, kind(x), x.shape) for n, x in given.items()]
  outs = [onnx.helper.make_empty_tensor_value_info(f"y{i}") for i in range(n_out)]
  graph = onnx.helper.make_graph([node], "one", ins, outs)
  return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10), given


def by_runtime(op, inputs, n_out, attributes):
  """The same by onnxruntime in f32, on one thread."""
  narrow = [x.astype(F32) if x is not None and x.dtype == F64 else x for x in inputs]
  made, given = model(op, narrow, n_out, attributes)
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1
  options.log_severity_level = 4
  session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
  return session.run(None, given)


def onnx_op(op, inputs, n_out=1, **attributes):
  """Results of one operator."""
  made, given = model(op, inputs, n_out, attributes)
  results = [np.asarray(y) for y in onnx.reference.ReferenceEvaluator(made).run(None, given)]
  for result, other in zip(results, by_runtime(op, inputs, n_out, attributes)):
    agree(result, other, 1e-5)
  return results
