"""What transformers' greedy `generate` makes of prompts, for the checkpoints of the zoo that generate.

    python tests/ref/make_refs.py generated [NAME...]      all of these checkpoints, or those named

In:   tests/zoo/MODEL-NAME as gen/zoo.py left it. Out: generated.safetensors beside it, all i32:
  input_ids [batch, time]  lengths [batch]     prompts, padded on the right
  ends [n]                                     the tokens that end a sequence: for some prompts one of those they lead to
  start []                                     of translations: the token before the first
  sequences [batch, new]                       what follows (of a translation all), padded with ends[0]
Each prompt runs alone and in f64, so that no padding is seen; a prompt where two tokens come close is drawn again, and of
several the one with the most different tokens is kept. Translations begin with the padding token, which is never
generated (`bad_words_ids`), as Marian's models are published.
"""

import zlib
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from safetensors.numpy import save_file

from gen.checkpoints import write_each

OUT = Path(__file__).resolve().parents[2] / "zoo"
CLOSE = 1e-3  # of the largest logit: far more than f32 changes
DRAWS = 20

# name: (batch, longest prompt, new tokens)
CHECKPOINTS = {
  "llama-mha": (3, 9, 20),
  "llama-gqa": (2, 17, 31),
  "gpt2-scaled": (2, 12, 21),
  "marian-apart": (3, 9, 15),
  "marian-deep": (2, 6, 24),
}


def greedy(model, prompt, new, ends):
  """The tokens behind the prompt, or None where one of them was a near thing."""
  ids = torch.from_numpy(prompt[None].astype(np.int64))
  more = {}
  if model.config.is_encoder_decoder:
    pad = model.config.pad_token_id
    more = dict(decoder_start_token_id=pad, bad_words_ids=[[pad]])
  given = hf.GenerationConfig(max_new_tokens=new, eos_token_id=ends, pad_token_id=0, do_sample=False, use_cache=True,
                              return_dict_in_generate=True, output_scores=True, **more)
  out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=given)
  for scores in out.scores:
    best = scores[0].topk(2).values
    if best[0] - best[1] < CLOSE * scores[scores.isfinite()].abs().max():
      return None
  first = 1 if model.config.is_encoder_decoder else len(prompt)
  return out.sequences[0, first:].numpy().astype(np.int32)


def draw(model, n, new, rng):
  """A prompt of n tokens, and what follows without an end."""
  best = None
  for _ in range(DRAWS):
    prompt = rng.integers(0, model.config.vocab_size, n, dtype=np.int32)
    follows = greedy(model, prompt, new, [model.config.vocab_size])
    if follows is not None and (best is None or len(set(follows)) > len(set(best[1]))):
      best = prompt, follows
  return best


def write(name):
  batch, longest, new = CHECKPOINTS[name]
  rng = np.random.default_rng(zlib.crc32(f"{name} generated".encode()))
  model = hf.AutoModelForSeq2SeqLM if name.startswith("marian") else hf.AutoModelForCausalLM
  model = model.from_pretrained(OUT / name).double().eval()
  model.generation_config = hf.GenerationConfig()  # no forced end, no beams
  ids, lengths, free = np.zeros((batch, longest), np.int32), [], []
  for b in range(batch):
    n = longest if b == 0 else int(rng.integers(1, longest + 1))
    prompt, follows = draw(model, n, new, rng)
    ids[b, :n] = prompt
    lengths.append(n)
    free.append(follows)
  ends = np.array([free[0][new // 2], free[-1][-1]], np.int32)
  sequences = np.full((batch, new), ends[0], np.int32)
  for b in range(batch):
    follows = greedy(model, ids[b, :lengths[b]], new, ends.tolist())
    sequences[b, :len(follows)] = follows
  file = OUT / name / "generated.safetensors"
  tensors = {"input_ids": ids, "lengths": np.array(lengths, np.int32), "ends": ends, "sequences": sequences}
  if model.config.is_encoder_decoder:
    tensors["start"] = np.array(model.config.pad_token_id, np.int32)
  save_file(tensors, file)
  file.chmod(0o644)
  print(f"zoo/{name}: prompts of {lengths}, ends {ends.tolist()}, {file.stat().st_size} bytes")


def write_all(names):
  write_each(write, CHECKPOINTS, names)
