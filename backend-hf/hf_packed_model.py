"""A transformers model whose linear modules keep their weights packed, as GPTQ and AWQ checkpoints store them.

A module unpacks its weight whenever that is asked for: a runner that lays weights out in its own way asks layer by
layer, so that a whole model never lies unpacked in memory; else each product does. Knows transformers' way to put other
modules in place of linear ones (`HfQuantizer`); the formats are `hf_packed`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hf_packed import Packing, read_packing, unpack
from hf_quantize import GROUP
from torch.nn import functional
from transformers.quantizers import HfQuantizer, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from sandle.checkpoint import read_json, tensor_shapes
from sandle.engine.runner import LoadError

NAME = 'sandle-packed'  # among transformers' quantizers
WORDS = '.qweight'
OPTIONAL = ('g_idx', 'bias')  # some writers leave the groups out, some add biases of zeros


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """What is packed in a checkpoint: `modules` by name, and what each has besides words, zero points and scales."""

    packing: Packing
    modules: Mapping[str, frozenset[str]]

    @property
    def bits(self) -> int:
        """The fewest bits with which the kernels hold these weights as they are, or nearly so.

        With 4 bits they hold whole multiples of a scale from -8 to 7, for groups of 32 inputs.
        """
        packing = self.packing
        fits = packing.is_symmetric and packing.is_ordered and packing.bits <= 4
        return 4 if fits and (packing.group == -1 or packing.group % GROUP == 0) else 8


def find_packed(folder: Path) -> PackedWeights:
    """Returns what is packed in a folder of GPTQ's or AWQ's. Raises LoadError."""
    packing = read_packing(read_json(folder / 'config.json')['quantization_config'])
    shapes = tensor_shapes(folder)
    modules = {name: frozenset(part for part in OPTIONAL if f'{name}.{part}' in shapes)
               for name in (key.removesuffix(WORDS) for key in shapes if key.endswith(WORDS))}
    if not modules:
        raise LoadError(f'{folder} holds no packed weights, though its config.json says so: get the model again.')
    return PackedWeights(packing, modules)


class PackedLinear(torch.nn.Linear):
    """A linear module whose `weight` is unpacked each time."""

    qweight: torch.Tensor
    qzeros: torch.Tensor
    scales: torch.Tensor
    g_idx: torch.Tensor

    def __init__(self, packing: Packing, like: torch.nn.Linear, optional: frozenset[str]) -> None:
        torch.nn.Module.__init__(self)  # not Linear's, which would make a weight
        self._is_hf_initialized = True  # transformers fills a weight with random numbers first, which unpacks it, else
        self.in_features, self.out_features = like.in_features, like.out_features
        self.packing = packing
        own = torch.nn.Parameter(torch.empty(like.out_features, dtype=like.weight.dtype), requires_grad=False)
        self.register_parameter('bias', own if 'bias' in optional else like.bias)
        groups = 1 if packing.group == -1 else -(-like.in_features // packing.group)
        words = like.out_features // packing.per_word
        shape = ((like.in_features, words) if packing.method == 'awq' else
                 (like.in_features // packing.per_word, like.out_features))
        self.register_buffer('qweight', torch.empty(shape, dtype=torch.int32))
        self.register_buffer('qzeros', torch.empty((groups, words), dtype=torch.int32))
        self.register_buffer('scales', torch.empty((groups, like.out_features), dtype=torch.float32))
        if 'g_idx' in optional:
            self.register_buffer('g_idx', torch.empty(like.in_features, dtype=torch.int32))

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]  # Linear keeps it; this makes it anew
        """Float32, so that nothing of what is stored is lost."""
        if 'g_idx' in self._buffers:
            return unpack(self.packing, self.qweight, self.qzeros, self.scales, self.g_idx)
        size = self.in_features if self.packing.group == -1 else self.packing.group
        groups = torch.arange(self.in_features, device=self.scales.device) // size
        return unpack(self.packing, self.qweight, self.qzeros, self.scales, groups)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As Linear's."""
        return functional.linear(input, self.weight.to(input.dtype), self.bias)


class PackedConfig(QuantizationConfigMixin):  # type: ignore[misc]  # transformers is typed in part
    """What `from_pretrained` takes as `quantization_config`; in place of the checkpoint's own."""

    def __init__(self, packed: PackedWeights) -> None:
        self.quant_method = NAME
        self.packed = packed


@register_quantizer(NAME)
class PackedQuantizer(HfQuantizer):  # type: ignore[misc]  # transformers is typed in part
    """Puts PackedLinear in place of what is packed."""

    quantization_config: PackedConfig

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> None:  # Any: transformers' own signature
        packed = self.quantization_config.packed
        for name, optional in packed.modules.items():
            try:
                module = model.get_submodule(name)
            except AttributeError:
                module = None
            if not isinstance(module, torch.nn.Linear):
                raise LoadError(f'The weights of {name} are packed, which is no linear module of this model: use the '
                                'unquantized model.')
            with torch.device('meta'):
                model.set_submodule(name, PackedLinear(packed.packing, module, optional))

    def _process_model_after_weight_loading(self, model: Any, **_: Any) -> None:
        self.remove_quantization_config(model)

    def is_serializable(self) -> bool:
        """It is only for loading."""
        return False

    @property
    def is_trainable(self) -> bool:
        """It is only for loading."""
        return False
