"""What Medusa's steps accept, for the checkpoints of the zoo: written here from the paper, Cai et al. 2024, section 3.3.1.

    python tests/ref/make_refs.py medusa [NAME...]      all of these checkpoints, or those named

In:   tests/zoo/medusa-NAME as gen/zoo.py left it. Out: steps.safetensors beside it:
  input_ids [batch, time]  lengths [batch]     i32: prompts, padded on the right
  temperature [batch]                          f32: 0 for greedy verification, else typical acceptance
  choices [paths, depth]                       i32: the tree, a row a path, -1 behind its end
  tokens [steps, batch, depth + 1]  count      i32: what each step gives, -1 behind the last
  greedy [batch, new]                          i32: what transformers' greedy `generate` gives
Every path of the tree is a sequence of its own, whole and in f64: no tree mask, no cache. A prompt on whose way something is
nearly a tie is drawn again.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from safetensors.torch import load_file
from safetensors.numpy import save_file

from gen.checkpoints import write_each
from gen.zoo_torch import Medusa

OUT = Path(__file__).resolve().parents[2] / "zoo"
THRESHOLD, ALPHA, CLOSE = 0.09, 0.3, 1e-4
STEPS, NEW = 6, 12

# name: prompts' temperatures, longest prompt, guesses of each level of the tree
CHECKPOINTS = {
  "medusa-mha": ((0.0, 0.7, 1.0), 7, (12, 5, 2)),
  "medusa-gqa": ((1.2, 0.0), 11, (9, 4, 3, 1)),
  "medusa-layers": ((0.0, 0.9, 1.5), 4, (16, 6)),
}


class NearlyTied(Exception):
  pass


def apart(values):
  """Fails where two of them are nearly the same."""
  v = np.sort(np.asarray(values, np.float64).ravel())
  if np.diff(v).min(initial=np.inf) < CLOSE * np.abs(v).max(initial=0):
    raise NearlyTied
  return values


def tree(widths):
  """All paths of so many guesses a level, shorter ones first, each level a little narrower away from the best."""
  paths, last = [], [()]
  for width in widths:
    last = [p + (k,) for p in last for k in range(max(1, width - sum(p)))]
    paths += last
  return paths


class Reader:
  def __init__(self, name):
    folder = OUT / name
    config = json.loads((folder / "config.json").read_text())
    base = json.loads((folder / "config.base.json").read_text())
    self.model = Medusa(config["medusa_num_heads"], config["medusa_num_layers"], base)
    self.model.base = hf.LlamaForCausalLM.from_pretrained(folder, config=self.model.config)
    for key, value in load_file(folder / "medusa_lm_head.safetensors").items():
      k, j, rest = key.split(".", 2)
      part = self.model.blocks[int(k)] if j == "0" else self.model.outs[int(k)]
      getattr(part, rest.split(".")[-1]).data = value
    self.model.double().eval()
    self.model.base.generation_config = hf.GenerationConfig()
    self.heads, self.vocab = config["medusa_num_heads"], self.model.config.vocab_size

  def score(self, sequences):
    """Logits [batch, time, vocab] and those of the heads [heads, batch, time, vocab], of sequences padded at the end."""
    batch, n = len(sequences), max(map(len, sequences))
    x = torch.tensor([s + [0] * (n - len(s)) for s in sequences])
    with torch.no_grad():
      out = self.model(x, torch.arange(n).expand(batch, n), torch.ones(batch, n, n, dtype=torch.bool).tril())
    return out["logits"].numpy(), out["medusa_logits"].numpy()

  def likeliest(self, logits):
    best = np.sort(logits)[-2:]
    if best[1] - best[0] < CLOSE * np.abs(logits).max():
      raise NearlyTied
    return int(logits.argmax())

  def ranked(self, logits, k):
    order = np.argsort(-logits, kind="stable")[:k + 1]
    apart(logits[order])
    return order[:k].tolist()

  def greedy(self, prompt):
    ids = torch.tensor([prompt])
    given = hf.GenerationConfig(max_new_tokens=NEW, eos_token_id=[self.vocab], pad_token_id=0, do_sample=False)
    out = self.model.base.generate(ids, attention_mask=torch.ones_like(ids), generation_config=given)
    return out[0, len(prompt):].tolist()


def holds(logits, token, temperature, likeliest):
  """Does the token follow these logits? And its log probability."""
  s = logits / (temperature if temperature > 0 else 1.0)
  p = np.exp(s - s.max())
  p /= p.sum()
  if temperature == 0:
    return token == likeliest(logits), np.log(p[token])
  entropy = -(p * np.log(p)).sum()
  least = min(THRESHOLD, ALPHA * np.exp(-entropy))
  if abs(np.log(p[token]) - np.log(least)) < CLOSE:
    raise NearlyTied
  return p[token] > least, np.log(p[token])


def steps(reader, prompt, temperature, paths, top_k):
  ids = list(prompt)
  logits, heads = reader.score([ids])
  token, heads, out = reader.likeliest(logits[0, -1]), heads[:, 0, -1], []
  for _ in range(STEPS):
    guesses = [reader.ranked(heads[k], top_k) for k in range(reader.heads)]
    best, candidates = None, [[guesses[level][rank] for level, rank in enumerate(path)] for path in [()] + paths]
    all_logits, all_heads = reader.score([ids + [token] + tokens for tokens in candidates])
    for b, tokens in enumerate(candidates):
      logits = all_logits[b]
      n, likelihood = 0, 0.0
      for i, t in enumerate(tokens):
        ok, log_p = holds(logits[len(ids) + i], t, temperature, reader.likeliest)
        if not ok:
          break
        n, likelihood = n + 1, likelihood + log_p
      end = len(ids) + n
      found = (n, likelihood), [token] + tokens[:n], logits[end], all_heads[:, b, end]
      if best and best[0][0] == n and best[1] != found[1] and abs(best[0][1] - likelihood) < CLOSE:
        raise NearlyTied
      if best is None or found[0] > best[0]:
        best = found
    _, taken, logits, heads = best
    out.append(taken)
    ids += taken
    token = reader.likeliest(logits)
  return out


def write(name):
  temperatures, longest, widths = CHECKPOINTS[name]
  rng = np.random.default_rng(zlib.crc32(f"{name} steps".encode()))
  reader, paths = Reader(name), tree(widths)
  top_k, depth, batch = max(max(p) for p in paths) + 1, reader.heads + 1, len(temperatures)
  ids, lengths = np.zeros((batch, longest), np.int32), []
  tokens, greedy = np.full((STEPS, batch, depth), -1, np.int32), []
  for b, temperature in enumerate(temperatures):
    best = None
    for _ in range(12):  # the prompt with the most accepted guesses
      prompt = rng.integers(0, reader.vocab, longest if b == 0 else int(rng.integers(1, longest + 1))).tolist()
      try:
        taken = steps(reader, prompt, temperature, paths, top_k)
      except NearlyTied:
        continue
      if best is None or sum(map(len, taken)) > sum(map(len, best[1])):
        best = prompt, taken
    prompt, taken = best
    greedy.append(reader.greedy(prompt))
    flat = sum(taken, [])
    assert temperature > 0 or flat[:NEW] == greedy[-1][:len(flat)], (flat, greedy[-1])
    ids[b, :len(prompt)] = prompt
    lengths.append(len(prompt))
    for s, t in enumerate(taken):
      tokens[s, b, :len(t)] = t
  count = (tokens >= 0).sum(2).astype(np.int32)
  choices = np.array([p + (-1,) * (reader.heads - len(p)) for p in paths], np.int32)
  file = OUT / name / "steps.safetensors"
  save_file({"input_ids": ids, "lengths": np.array(lengths, np.int32), "temperature": np.array(temperatures, np.float32),
             "choices": choices, "tokens": tokens, "count": count, "greedy": np.array(greedy, np.int32)}, file)
  file.chmod(0o644)
  print(f"zoo/{name}: {len(paths)} paths, {count.mean(0).round(2).tolist()} tokens a step, {file.stat().st_size} bytes")


def write_all(names):
  write_each(write, CHECKPOINTS, names)
