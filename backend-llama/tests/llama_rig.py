"""sandle-tiny as Meta would distribute it; and a model in this process, asked step by step without an engine."""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from llama_vocabulary import ALPHABET, LLAMA3_SPECIAL_COUNT

from sandle.engine.runner import LoadedModel, Work

SANDLE_TINY = Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
HEADS = 4
EMPTY = '<pad>'
# Meta's name, and Hugging Face's, of a layer's tensors; the axis along which Meta splits them among shards.
LAYER = {'attention_norm': ('input_layernorm', None), 'attention.wq': ('self_attn.q_proj', 0),
         'attention.wk': ('self_attn.k_proj', 0), 'attention.wv': ('self_attn.v_proj', 0),
         'attention.wo': ('self_attn.o_proj', 1), 'ffn_norm': ('post_attention_layernorm', None),
         'feed_forward.w1': ('mlp.gate_proj', 0), 'feed_forward.w2': ('mlp.down_proj', 1),
         'feed_forward.w3': ('mlp.up_proj', 0)}


def score(model: LoadedModel, ids: Sequence[int], slot: int = 0, start: int = 0) -> torch.Tensor:
    """Returns the logits [tokens, vocabulary] after each of the tokens, which go into a slot from a position on."""
    return model.runner.step([Work(slot, start, tuple(ids), len(ids))]).clone()


def greedy(model: LoadedModel, prompt: str, count: int) -> str:
    """Returns the likeliest text after a prompt, up to its end."""
    tokens, start, text = list(model.tokenizer.encode(prompt, True)), 0, b''
    for _ in range(count):
        logits = model.runner.step([Work(0, start, tuple(tokens), 1)])
        start += len(tokens)
        tokens = [int(logits[0].argmax())]
        if tokens[0] in model.tokenizer.eos_ids:
            break
        text += model.tokenizer.token_bytes(tokens[0])
    return text.decode('utf-8', 'replace')


def write_meta(folder: Path, shards: int) -> Path:
    """Writes sandle-tiny as Meta would distribute it, in the manner of Llama 3, and returns LLAMA_DIR; the size is `T`.

    Its tokens get other numbers: those of text first, in the order of their merges, then 256 special ones.
    """
    size = folder / 'T'
    size.mkdir(parents=True)
    tokens = _write_tokenizer(folder / 'tokenizer.model')
    order = torch.tensor(tokens)
    weights = safetensors.torch.load_file(SANDLE_TINY / 'model.safetensors')
    table = weights['model.embed_tokens.weight'][order]
    layers = 1 + max(int(found[1]) for name in weights if (found := re.search(r'layers\.(\d+)\.', name)))
    parts: dict[str, tuple[torch.Tensor, int | None]] = {
        'tok_embeddings.weight': (table, 0), 'output.weight': (table, 0),
        'norm.weight': (weights['model.norm.weight'], None)}
    for layer in range(layers):
        for meta, (ours, axis) in LAYER.items():
            weight = weights[f'model.layers.{layer}.{ours}.weight']
            turned = _interleaved(weight) if meta[-2:] in ('wq', 'wk') else weight
            parts[f'layers.{layer}.{meta}.weight'] = turned, axis
    for shard in range(shards):
        torch.save({name: tensor.clone() if axis is None else tensor.chunk(shards, axis)[shard].clone()
                    for name, (tensor, axis) in parts.items()}, size / f'consolidated.{shard:02}.pth')
    (size / 'params.json').write_text(json.dumps(
        {'dim': 256, 'n_layers': layers, 'n_heads': HEADS, 'norm_eps': 1e-5, 'vocab_size': -1, 'rope_theta': 10000.0}))
    return folder


def _write_tokenizer(file: Path) -> list[int]:
    """Writes the vocabulary as tiktoken does, and returns the number that each of its tokens has in sandle-tiny."""
    data = json.loads((SANDLE_TINY / 'tokenizer.json').read_text())
    vocab, bytes_of = data['model']['vocab'], {character: byte for byte, character in enumerate(ALPHABET)}
    names = [*ALPHABET, *dict.fromkeys(''.join(merge) for merge in data['model']['merges'])]
    lines = [b'%s %d' % (base64.b64encode(bytes(bytes_of[character] for character in name)), rank)
             for rank, name in enumerate(names)]
    file.write_bytes(b'\n'.join(lines) + b'\n')
    special = {token['content']: token['id'] for token in data['added_tokens']}
    others = [special['<s>'], special['</s>']] + [special[EMPTY]] * (LLAMA3_SPECIAL_COUNT - 2)
    return [vocab[name] for name in names] + others


def _interleaved(weight: torch.Tensor) -> torch.Tensor:
    """Returns a projection with the numbers that are turned together side by side, head by head."""
    heads = weight.view(HEADS, 2, -1, weight.shape[1])
    return torch.stack([heads[:, 0], heads[:, 1]], 2).reshape(weight.shape)
