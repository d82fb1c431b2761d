"""One ONNX operator at a time, by onnx.reference (any dtype, f64 here) or by onnxruntime (f32)."""

import numpy as np
import onnx
import onnx.helper
import onnx.reference

OPSET = 23


def model(op, inputs, n_out, domain="", **attributes):
  names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
  node = onnx.helper.make_node(op, names, [f"y{i}" for i in range(n_out)], domain=domain, **attributes)
  kind = lambda x: onnx.helper.np_dtype_to_tensor_dtype(np.asarray(x).dtype)
  ins = [
    onnx.helper.make_tensor_value_info(n, kind(x), list(np.shape(x))) for n, x in zip(names, inputs) if x is not None
  ]
  outs = [onnx.helper.make_empty_tensor_value_info(f"y{i}") for i in range(n_out)]
  made = onnx.helper.make_model(
    onnx.helper.make_graph([node], "one", ins, outs), opset_imports=[onnx.helper.make_opsetid("", OPSET)]
  )
  return made, {n: np.asarray(x) for n, x in zip(names, inputs) if x is not None}


def onnx_op(op, inputs, n_out=1, **attributes):
  """Results of one operator by the reference evaluator; an input may be None."""
  made, feed = model(op, inputs, n_out, **attributes)
  return [np.asarray(y) for y in onnx.reference.ReferenceEvaluator(made).run(None, feed)]
