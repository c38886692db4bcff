"""Makes GPTQ and AWQ checkpoints of a model, integer by integer, from the definition of their formats.

Each comes with its dense twin: a model of the numbers that its integers stand for.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers

OUTPUTS_OF_A_WORD = (0, 2, 4, 6, 1, 3, 5, 7)  # AWQ's, from the lowest nibble on


@dataclass(frozen=True)
class Integers:
    """A matrix as integers [inputs, outputs], with zero points and scales [groups, outputs] and each input's group."""

    numbers: torch.Tensor
    zeros: torch.Tensor
    scales: torch.Tensor
    groups: torch.Tensor

    def dense(self) -> torch.Tensor:
        """Returns [outputs, inputs]."""
        return ((self.numbers - self.zeros[self.groups]) * self.scales.float()[self.groups]).T


def to_integers(weight: torch.Tensor, group: int, bits: int, is_symmetric: bool,
                is_shuffled: bool = False) -> Integers:
    """Rounds a weight [outputs, inputs], group by group; `is_shuffled`: they are in no order, as with `desc_act`."""
    inputs = weight.shape[1]
    group = inputs if group == -1 else group
    order = torch.randperm(inputs) if is_shuffled else torch.arange(inputs)
    groups = torch.empty(inputs, dtype=torch.int64)
    groups[order] = torch.arange(inputs) // group
    top = 2 ** bits - 1
    columns = weight.detach().float().T[order].reshape(-1, group, weight.shape[0])  # [groups, group, outputs]
    if is_symmetric:
        scales = (columns.abs().amax(1) / 2 ** (bits - 1)).half()
        zeros = torch.full(scales.shape, 2 ** (bits - 1))
    else:
        low, high = columns.amin(1).clamp(max=0), columns.amax(1).clamp(min=0)
        scales = ((high - low) / top).half()
        zeros = (-low / scales.float()).round().clamp(1, top).long()
    spread = scales.float()[groups]
    numbers = (weight.detach().float().T / spread + zeros[groups]).round().clamp(0, top).long()
    return Integers(numbers, zeros, scales, groups)


def words(rows: torch.Tensor, bits: int, order: tuple[int, ...] | None = None) -> torch.Tensor:
    """Packs rows of integers into rows of words, the first of a word lowest; by `order` where there is one."""
    per_word = 32 // bits
    packed = torch.zeros(len(rows), rows.shape[1] // per_word, dtype=torch.int64)
    for place in range(per_word):
        packed += rows[:, place if order is None else order[place]::per_word] * 2 ** (place * bits)
    return torch.where(packed < 2 ** 31, packed, packed - 2 ** 32).int()


def gptq(made: Integers, bits: int, is_v2: bool = False) -> dict[str, torch.Tensor]:
    """Returns the tensors of a module."""
    stored = made.zeros if is_v2 else made.zeros - 1
    return {'qweight': words(made.numbers.T, bits).T.contiguous(), 'qzeros': words(stored, bits),
            'scales': made.scales, 'g_idx': made.groups.int()}


def awq(made: Integers) -> dict[str, torch.Tensor]:
    """Returns the tensors of a module."""
    return {'qweight': words(made.numbers, 4, OUTPUTS_OF_A_WORD),
            'qzeros': words(made.zeros, 4, OUTPUTS_OF_A_WORD), 'scales': made.scales}


def write_packed(source: Path, folder: Path, method: str, group: int = 32, bits: int = 4, is_symmetric: bool = True,
                 is_shuffled: bool = False, **config: Any) -> Any:
    """Copies a model's folder with its layers' matrices packed; returns the dense twin (a transformers model)."""
    shutil.copytree(source, folder)
    auto_model: Any = transformers.AutoModelForCausalLM
    model = auto_model.from_pretrained(source, dtype=torch.float32)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items() if name != 'lm_head.weight'
               or not model.config.tie_word_embeddings}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings():
            made = to_integers(module.weight, group, bits, is_symmetric, is_shuffled)
            packed = awq(made) if method == 'awq' else gptq(made, bits, config.get('checkpoint_format') == 'gptq_v2')
            del tensors[f'{name}.weight']
            tensors |= {f'{name}.{part}': tensor for part, tensor in packed.items()}
            module.weight.data = made.dense()
    for file in folder.glob('model*.safetensors*'):
        file.unlink()
    safetensors.torch.save_file(tensors, folder / 'model.safetensors', {'format': 'pt'})
    own = {'version': 'gemm', 'zero_point': True} if method == 'awq' else {'sym': is_symmetric, 'desc_act': is_shuffled}
    file = folder / 'config.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | {'quantization_config': {
        'quant_method': method, 'bits': bits, 'group_size': group, **own, **config}}))
    return model.eval()
