"""Weights as GPTQ and AWQ store them: small integers, several to a 32-bit word, and back to numbers.

Both have, for every group of inputs, a scale and a zero point an output: a weight is scale × (integer − zero point).

- GPTQ (https://github.com/AutoGPTQ/AutoGPTQ and https://github.com/ModelCloud/GPTQModel; the formats `gptq` and
  `gptq_v2`): a word holds consecutive inputs of `qweight` and consecutive outputs of `qzeros`, from the lowest bits on;
  `g_idx` has each input's group. The first format stores zero points less one.
- AWQ (the version `gemm`; https://github.com/casper-hansen/AutoAWQ): a word holds eight outputs of both, in the order
  of AWQ_ORDER.

Knows tensors and a checkpoint's `quantization_config`; knows no models.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from sandle.engine.runner import LoadError

WORD = 32  # bits
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the output that each nibble of a word belongs to, from the lowest on
METHODS = ('gptq', 'awq')


@dataclass(frozen=True, slots=True)
class Packing:
    """How weights are packed. `is_symmetric`: the zero point is the middle one, for all groups.

    `group` is the number of inputs that share a scale; -1 where all do. `is_ordered`: their groups lie one after the
    other.
    """

    method: str
    bits: int
    group: int
    is_symmetric: bool = False
    is_ordered: bool = True
    least_zero: int = 0  # what is to be added to the stored zero points

    @property
    def per_word(self) -> int:
        """How many integers a word holds."""
        return WORD // self.bits


def read_packing(config: Mapping[str, object]) -> Packing:
    """Returns what a `quantization_config` of one of METHODS says. Raises LoadError for what is not read here."""
    method, bits, group = config.get('quant_method'), config.get('bits', 4), config.get('group_size', 128)
    if not isinstance(bits, int) or not isinstance(group, int) or group == 0 or group < -1:
        raise LoadError('The quantization_config in config.json has no valid bits or group_size.')
    if method == 'awq':
        version = str(config.get('version') or config.get('format') or 'gemm').lower()
        if version != 'gemm' or bits != 4:
            raise LoadError(f'The weights are quantized by awq in its version {version!r} with {bits} bits, which '
                            "cannot be read: use one in the version 'gemm' with 4 bits.")
        return Packing('awq', bits, group)
    form = str(config.get('checkpoint_format') or 'gptq')
    if form not in ('gptq', 'gptq_v2') or config.get('is_marlin_format') or bits not in (2, 4, 8):
        raise LoadError(f'The weights are quantized by gptq in the format {form!r} with {bits} bits, which cannot be '
                        "read: use one in the format 'gptq' or 'gptq_v2' with 2, 4 or 8 bits.")
    return Packing('gptq', bits, group, is_symmetric=config.get('sym', True) is True,
                   is_ordered=not config.get('desc_act'), least_zero=1 if form == 'gptq' else 0)


def unpack(packing: Packing, qweight: torch.Tensor, qzeros: torch.Tensor, scales: torch.Tensor,
           groups: torch.Tensor) -> torch.Tensor:
    """Returns weights, float32 [outputs, inputs]. `groups` has each input's group; the others are as stored."""
    if packing.method == 'awq':
        integers = _in_awq_order(_split_words(qweight, packing.bits))  # [inputs, outputs]
        zeros = _in_awq_order(_split_words(qzeros, packing.bits))  # [groups, outputs]
    else:
        integers = _split_words(qweight.T, packing.bits).T
        # With the middle as zero point, what is stored is not looked at: some store it as the other format does.
        zeros = (torch.full(scales.shape, 1 << packing.bits - 1, dtype=torch.int32, device=scales.device)
                 if packing.is_symmetric else
                 _split_words(qzeros, packing.bits) + packing.least_zero & (1 << packing.bits) - 1)
    groups = groups.long()
    return ((integers - zeros[groups]) * scales.float()[groups]).T.contiguous()


def _split_words(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Returns the integers, int32 [rows, columns × per word], of words [rows, columns], lowest bits first."""
    shifts = torch.arange(0, WORD, bits, dtype=torch.int32, device=words.device)
    return (words[..., None] >> shifts & (1 << bits) - 1).flatten(1)


def _in_awq_order(columns: torch.Tensor) -> torch.Tensor:
    places = [AWQ_ORDER.index(output) for output in range(len(AWQ_ORDER))]
    return columns.view(len(columns), -1, len(AWQ_ORDER))[..., places].flatten(1)
