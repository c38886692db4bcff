"""Reads a LLaMA checkpoint as Meta distributes it: tokenizer.model, and a folder a size with params.json and shards.

Pickles are read as tensors alone (`weights_only`), so that nothing in them is run. Knows the format; nothing of GGUF's
file.
"""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from llama_vocabulary import from_tokenizer_model
from llama_weights import Measures, Weights, slowed

from sandle.checkpoint import read_json
from sandle.engine.runner import LoadError

# The place in GGUF, and the axis along which a tensor is split among shards; None for one that each shard has whole.
OUTER: Mapping[str, tuple[str, int | None]] = {'norm': ('output_norm', None), 'output': ('output', 0)}
INNER: Mapping[str, tuple[str, int | None]] = {
    'attention_norm': ('attn_norm', None), 'attention.wq': ('attn_q', 0), 'attention.wk': ('attn_k', 0),
    'attention.wv': ('attn_v', 0), 'attention.wo': ('attn_output', 1), 'ffn_norm': ('ffn_norm', None),
    'feed_forward.w1': ('ffn_gate', 0), 'feed_forward.w2': ('ffn_down', 1), 'feed_forward.w3': ('ffn_up', 0)}
LEFT_OUT = frozenset({'rope.freqs'})
LLAMA31 = {'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192.0}
Shards = list[dict[str, torch.Tensor]]


def find_fault(llama_dir: Path, model_size: str) -> str | None:
    """Returns what a folder lacks of a checkpoint, in one line; None if all is there."""
    checkpoint = llama_dir / model_size
    if not checkpoint.is_dir():
        return f'{llama_dir} has no folder {model_size}: give the folder that holds one for each size.'
    if not (checkpoint / 'params.json').is_file():
        return f'{checkpoint} has no params.json: it is not a LLaMA checkpoint as Meta distributes it.'
    files = _shard_files(checkpoint)
    if not files:
        return f'{checkpoint} has no weights (consolidated.00.pth …): get them again.'
    expected = [f'consolidated.{number:02}.pth' for number in range(len(files))]
    missing = sorted(set(expected) - {file.name for file in files})
    if missing:
        return f'{checkpoint} has no {missing[0]}, though it has later ones: get them again.'
    if _tokenizer(llama_dir, model_size) is None:
        return f'{llama_dir} has no tokenizer.model: copy it there from where the weights came from.'
    return None


def read(llama_dir: Path, model_size: str) -> Weights:
    """Returns the model. Raises LoadError."""
    fault = find_fault(llama_dir, model_size)
    tokenizer = _tokenizer(llama_dir, model_size)
    if fault is not None or tokenizer is None:
        raise LoadError(fault or f'{llama_dir} has no tokenizer.model.')
    folder = llama_dir / model_size
    files = _shard_files(folder)
    shards = [_load(file) for file in files]
    params = read_json(folder / 'params.json')
    try:
        measures = _measures(params, shards)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise LoadError(f'{folder / "params.json"} lacks a number that the model needs ({error}).') from error
    if shards[0]['layers.0.attention.wq.weight'].shape[0] * len(shards) != measures.width:
        raise LoadError(f'{folder} has {len(shards)} of its shards, or some of another model: get them all again.')
    slow = None
    if params.get('use_scaled_rope'):
        scaling = LLAMA31 | {'factor': float(params.get('rope_scaling_factor') or LLAMA31['factor'])}
        slow = slowed(measures.rope_base, measures.head_width, scaling)
    parameters = sum(tensor.numel() for shard in shards for tensor in shard.values())
    return Weights(f'LLaMA {model_size}', measures, from_tokenizer_model(tokenizer, measures.vocab_size),
                   lambda: _tensors(folder, shards, measures, slow), parameters)


def _shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob('consolidated.*.pth'))


def _tokenizer(llama_dir: Path, model_size: str) -> Path | None:
    places = (llama_dir / 'tokenizer.model', llama_dir / model_size / 'tokenizer.model')
    return next((place for place in places if place.is_file()), None)


def _load(file: Path) -> dict[str, torch.Tensor]:
    try:
        try:
            tensors = torch.load(file, map_location='cpu', weights_only=True, mmap=True)
        except RuntimeError:  # a file of an older format, which cannot be mapped
            tensors = torch.load(file, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise LoadError(f'{file} is damaged, or holds more than tensors: get it again.') from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise LoadError(f'{file} does not hold tensors by name: get it again.')
    return tensors


def _measures(params: Mapping[str, Any], shards: Shards) -> Measures:  # Any: JSON
    width, heads = int(params['dim']), int(params['n_heads'])
    rows, columns = shards[0]['tok_embeddings.weight'].shape
    base, epsilon = float(params.get('rope_theta') or 10000.0), float(params['norm_eps'])
    return Measures(
        vocab_size=rows if columns * len(shards) == width else rows * len(shards),
        context_length=_context_length(params, base, epsilon), layers=int(params['n_layers']), width=width, heads=heads,
        kv_heads=int(params.get('n_kv_heads') or heads), head_width=width // heads,
        feed_forward_width=shards[0]['layers.0.feed_forward.w1.weight'].shape[0] * len(shards), norm_epsilon=epsilon,
        rope_base=base)


def _context_length(params: Mapping[str, Any], base: float, epsilon: float) -> int:
    """Returns what a family was trained with: the files do not say it, and tell the families apart only by the way."""
    if params.get('use_scaled_rope'):
        return 131_072
    if base >= 1e6:
        return 16_384  # Code Llama
    if base >= 5e5:
        return 8192  # Llama 3
    return 4096 if epsilon >= 1e-5 else 2048  # Llama 2, Llama 1


def _tensors(folder: Path, shards: Shards, measures: Measures,
             slow: torch.Tensor | None) -> Iterator[tuple[str, torch.Tensor]]:
    if slow is not None:
        yield 'rope_freqs.weight', slow
    for name in shards[0]:
        stem = name.removesuffix('.weight')
        if stem in LEFT_OUT:
            continue
        place, axis = _place(folder, stem, shards[0][name], measures)
        tensor = shards[0][name] if axis is None else torch.cat([shard[name] for shard in shards], axis)
        expected = _shape(place, measures)
        if tuple(tensor.shape) != expected:
            raise LoadError(f'{folder}: {name} is {tuple(tensor.shape)} in {len(shards)} shards together, where '
                            f'params.json asks for {expected}: it is of another model.')
        yield place, tensor


def _place(folder: Path, stem: str, tensor: torch.Tensor, measures: Measures) -> tuple[str, int | None]:
    if stem == 'tok_embeddings':  # split by width, in Llama 3 by token
        return 'token_embd.weight', 1 if tensor.shape[0] == measures.vocab_size else 0
    parts = stem.split('.', 2)
    if stem in OUTER:
        name, axis = OUTER[stem]
        return f'{name}.weight', axis
    if len(parts) == 3 and parts[0] == 'layers' and parts[1].isdecimal() and parts[2] in INNER:
        name, axis = INNER[parts[2]]
        return f'blk.{int(parts[1])}.{name}.weight', axis
    raise LoadError(f'{folder} has a tensor {stem!r} that LLaMA does not have.')


def _shape(place: str, measures: Measures) -> tuple[int, ...]:
    width, wide = measures.width, measures.feed_forward_width
    heads, kv_heads = measures.heads * measures.head_width, measures.kv_heads * measures.head_width
    return {'token_embd': (measures.vocab_size, width), 'output': (measures.vocab_size, width), 'output_norm': (width,),
            'attn_norm': (width,), 'ffn_norm': (width,), 'attn_q': (heads, width), 'attn_k': (kv_heads, width),
            'attn_v': (kv_heads, width), 'attn_output': (width, heads), 'ffn_gate': (wide, width),
            'ffn_up': (wide, width), 'ffn_down': (width, wide)}[place.split('.')[-2]]
