"""LoRA adapters as peft saves them: a folder's files read into matrices, by the names of the modules they belong to.

Knows peft's files and what of them is supported; everything else is refused, for an adapter that is half applied gives
wrong answers without a word. Knows nothing of how a model computes with them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from hf_decoder import LowRank
from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

from sandle.checkpoint import read_json
from sandle.engine.runner import LoadError

CONFIG, WEIGHTS = 'adapter_config.json', 'adapter_model.safetensors'
PREFIX = 'base_model.model.'
TENSOR = re.compile(r'(?P<module>.+)\.lora_(?P<side>[AB])\.(?P<kind>weight|bias)')
# What says how an adapter was trained, where it came from, or what is seen from the tensors themselves.
OF_NO_CONCERN = frozenset({
    'auto_mapping', 'base_model_name_or_path', 'revision', 'inference_mode', 'peft_version', 'task_type',
    'lora_dropout', 'target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern', 'fan_in_fan_out',
    'lora_bias', 'megatron_core', 'qalora_group_size', 'runtime_config', 'loftq_config', 'eva_config'})
READ_HERE = frozenset({'peft_type', 'r', 'lora_alpha', 'use_rslora', 'bias', 'init_lora_weights'})
STARTS = (True, False, None, 'gaussian', 'eva', 'orthogonal')  # the others change the weights of the model, too


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter by the name that requests give; `modules` has what it adds to which module of the model."""

    name: str
    modules: Mapping[str, LowRank]


def read_adapter(name: str, folder: Path, model: Any) -> Adapter:  # Any: transformers' models share no typed base
    """Returns the adapter that a folder holds for a model. Raises LoadError, which names the adapter."""
    try:
        scale, rank = _read_config(folder)
        modules = {module: _low_rank(module, tensors, scale, rank)
                   for module, tensors in _read_tensors(folder).items()}
        for module, low_rank in modules.items():
            _check_fit(module, low_rank, model)
    except LoadError as error:
        raise LoadError(f'The adapter {name!r} cannot be used: {error}') from None
    return Adapter(name, modules)


def _read_config(folder: Path) -> tuple[float, int]:
    """Returns by what is multiplied, and the rank."""
    if not (folder / CONFIG).is_file():
        raise LoadError(f'{folder} has no {CONFIG}: give the folder of an adapter that peft saved.')
    config = read_json(folder / CONFIG)
    if config.get('peft_type') != 'LORA':
        raise LoadError(f'it is of the type {config.get("peft_type")!r}, and only LORA is supported.')
    if config.get('bias', 'none') != 'none':
        raise LoadError(f"bias is {config['bias']!r}: adapters that change the model's own biases are not supported.")
    if config.get('init_lora_weights', True) not in STARTS:
        raise LoadError(f"init_lora_weights is {config['init_lora_weights']!r}, which changes the model's own weights: "
                        'convert it to a plain LoRA with peft.')
    for key, value in config.items():
        if value and key not in OF_NO_CONCERN | READ_HERE:
            raise LoadError(f'{key} is set, which is not supported.')
    rank, alpha = config.get('r'), config.get('lora_alpha')
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, (int, float)):
        raise LoadError(f'{folder / CONFIG} says no rank (r) or no lora_alpha.')
    return alpha / (math.sqrt(rank) if config.get('use_rslora') else rank), rank


def _read_tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Returns each module's tensors by `A weight`, `B weight` and `B bias`."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise LoadError(f'{folder} has no {WEIGHTS}; pickles are not read, for they could run code.')
    try:
        stored = load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise LoadError(f'{file} cannot be read: {error}.') from error
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in stored.items():
        found = TENSOR.fullmatch(key.removeprefix(PREFIX))
        if found is None or not key.startswith(PREFIX):
            raise LoadError(f'it holds {key!r}, which is no part of a LoRA adapter for linear modules.')
        modules.setdefault(found['module'], {})[f'{found["side"]} {found["kind"]}'] = tensor
    if not modules:
        raise LoadError(f'{file} holds nothing.')
    return modules


def _low_rank(module: str, tensors: dict[str, torch.Tensor], scale: float, rank: int) -> LowRank:
    down, up, bias = tensors.get('A weight'), tensors.get('B weight'), tensors.get('B bias')
    if down is None or up is None or 'A bias' in tensors:
        raise LoadError(f'{module} does not have one lora_A and one lora_B.')
    if down.shape[0] != rank or up.shape[-1] != rank:
        raise LoadError(f'{module} is of another rank than {CONFIG} says.')
    return LowRank(down.float(), up.float() * scale, None if bias is None else bias.float() * scale)


def _check_fit(name: str, low_rank: LowRank, model: Any) -> None:  # Any: as above
    try:
        module = model.get_submodule(name)
    except AttributeError:
        raise LoadError(f'the model has no module {name!r}: it was made for another model.') from None
    if module is model.get_output_embeddings() or not isinstance(module, (torch.nn.Linear, Conv1D)):
        raise LoadError(f'{name!r} is not a linear module of a layer; others are not supported.')
    sizes = (module.nx, module.nf) if isinstance(module, Conv1D) else (module.in_features, module.out_features)
    if (low_rank.down.shape[1], low_rank.up.shape[0]) != sizes:
        raise LoadError(f'{name!r} has other sizes than in the model: it was made for another model.')
