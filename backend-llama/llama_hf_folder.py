"""Reads a LLaMA-shaped model from a folder in the Hugging Face format. Knows the format; nothing of GGUF's file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from llama_vocabulary import from_tokenizer_json, from_tokenizer_model
from llama_weights import Measures, Vocabulary, Weights, paired, slowed

from sandle.checkpoint import inspect, read_json, weight_files
from sandle.engine.runner import LoadError

ARCHITECTURES = frozenset({'LlamaForCausalLM', 'MistralForCausalLM'})
OUTER = {'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm', 'lm_head': 'output'}
INNER = {'input_layernorm': 'attn_norm', 'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k',
         'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output', 'post_attention_layernorm': 'ffn_norm',
         'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down'}
LEFT_OUT = ('rotary_emb.inv_freq',)  # old files have it; it follows from the measures


def read(folder: Path) -> Weights:
    """Returns the model. Raises LoadError for one that is damaged, unsafe or of another shape."""
    checkpoint = inspect(folder)
    config = read_json(folder / 'config.json')
    architecture = next(iter(config.get('architectures') or ['?']))
    if architecture not in ARCHITECTURES:
        raise LoadError(f'{folder} holds a {architecture}, and only LLaMA-shaped models can be converted '
                        f"({', '.join(sorted(ARCHITECTURES))}): give a GGUF file of it, or use backend-hf.")
    try:
        measures = _measures(config)
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f'{folder / "config.json"} lacks a number that the model needs ({error}).') from error
    rope = _rope(config)
    kind = rope.get('rope_type', rope.get('type', 'default'))
    if kind not in ('default', 'linear', 'llama3'):
        raise LoadError(f'{folder} turns its positions in a way ({kind}) that is not converted: give a GGUF file.')
    slow = slowed(measures.rope_base, measures.head_width, rope) if kind == 'llama3' else None
    return Weights(folder.name, measures, _vocabulary(folder, config, measures.vocab_size),
                   lambda: _tensors(folder, measures, slow), checkpoint.parameters)


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:  # Any: JSON
    return config.get('rope_parameters') or config.get('rope_scaling') or {}


def _measures(config: Mapping[str, Any]) -> Measures:
    heads, width, rope = int(config['num_attention_heads']), int(config['hidden_size']), _rope(config)
    is_linear = rope.get('rope_type', rope.get('type')) == 'linear'
    return Measures(
        vocab_size=int(config['vocab_size']), context_length=int(config['max_position_embeddings']),
        layers=int(config['num_hidden_layers']), width=width, heads=heads,
        kv_heads=int(config.get('num_key_value_heads') or heads),
        head_width=int(config.get('head_dim') or width // heads),
        feed_forward_width=int(config['intermediate_size']), norm_epsilon=float(config['rms_norm_eps']),
        rope_base=float(rope.get('rope_theta') or config.get('rope_theta') or 10000.0),
        rope_linear_factor=float(rope['factor']) if is_linear else None)


def _tensors(folder: Path, measures: Measures, slow: torch.Tensor | None) -> Iterator[tuple[str, torch.Tensor]]:
    if slow is not None:
        yield 'rope_freqs.weight', slow
    for file in weight_files(folder):
        with safetensors.safe_open(file, framework='pt') as opened:
            for name in opened.keys():
                if not name.endswith(LEFT_OUT):
                    yield _renamed(folder, name), _arranged(name, opened.get_tensor(name), measures)


def _arranged(name: str, tensor: torch.Tensor, measures: Measures) -> torch.Tensor:
    if '.q_proj.' in name:
        return paired(tensor, measures.heads)
    return paired(tensor, measures.kv_heads) if '.k_proj.' in name else tensor


def _renamed(folder: Path, name: str) -> str:
    stem, _, kind = name.rpartition('.')
    if stem in OUTER:
        return f'{OUTER[stem]}.{kind}'
    parts = stem.split('.', 3)
    if len(parts) == 4 and parts[:2] == ['model', 'layers'] and parts[2].isdecimal() and parts[3] in INNER:
        return f'blk.{int(parts[2])}.{INNER[parts[3]]}.{kind}'
    raise LoadError(f'{folder} has a tensor {name!r} that LLaMA-shaped models do not have: give a GGUF file of it.')


def _vocabulary(folder: Path, config: Mapping[str, Any], size: int) -> Vocabulary:
    settings = read_json(folder / 'tokenizer_config.json') if (folder / 'tokenizer_config.json').is_file() else {}
    special = {f'{name}_token': _written(settings.get(f'{name}_token')) for name in ('bos', 'eos', 'pad', 'unk')}
    template = settings.get('chat_template')
    if (folder / 'chat_template.jinja').is_file():
        template = (folder / 'chat_template.jinja').read_text('utf-8')
    if (folder / 'tokenizer.json').is_file():
        return from_tokenizer_json(folder / 'tokenizer.json', size, config, special, template)
    if (folder / 'tokenizer.model').is_file():
        return from_tokenizer_model(folder / 'tokenizer.model', size)
    raise LoadError(f'{folder} has neither tokenizer.json nor tokenizer.model: copy it from the original model.')


def _written(token: object) -> str | None:
    """Returns how a special token is written; older files hold an object with its content."""
    if isinstance(token, dict):
        token = token.get('content')
    return token if isinstance(token, str) else None
