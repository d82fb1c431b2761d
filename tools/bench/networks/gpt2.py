"""GPT-2 over a whole prompt: Radford et al. 2019. Names as in published checkpoints, the weight of the head is that of
the tokens. No mask among the inputs: what hides padding is not needed for one prompt."""

CONFIG = dict(model_type="gpt2", vocab_size=50257, n_positions=1024, n_embd=768, n_layer=12, n_head=12,
              layer_norm_epsilon=1e-5)


def forward(l, c, input_ids):
  h, heads, eps = c["n_embd"], c["n_head"], c["layer_norm_epsilon"]
  x = l.add(l.take("wte.weight", c["vocab_size"], h, input_ids),
            l.take("wpe.weight", c["n_positions"], h, l.positions(input_ids, c["n_positions"])))
  for i in range(c["n_layer"]):
    p = f"h.{i}"
    q, k, v = l.parts(l.linear_in_out(l.layer_norm(x, f"{p}.ln_1", h, eps), f"{p}.attn.c_attn", h, 3 * h), 3, h)
    o = l.attention(q, k, v, heads, h // heads, causal_up_to=c["n_positions"])
    x = l.add(x, l.linear_in_out(o, f"{p}.attn.c_proj", h, h))
    y = l.linear_in_out(l.layer_norm(x, f"{p}.ln_2", h, eps), f"{p}.mlp.c_fc", h, 4 * h)
    x = l.add(x, l.linear_in_out(l.gelu_tanh(y), f"{p}.mlp.c_proj", 4 * h, h))
  return {"logits": l.linear_of_table(l.layer_norm(x, "ln_f", h, eps), "wte.weight")}


def inputs(c, batch, seq, rng):
  return {"input_ids": rng.integers(0, c["vocab_size"], (batch, seq))}
