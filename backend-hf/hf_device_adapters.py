"""What adapters add to a layer's products, in plain torch for any device: all adapters at once.

Each row is multiplied with the inner matrices of every adapter, and what is not its own adapter's is set to zero. So a
step is the same operations whatever adapters its rows have, and can be recorded. Knows tensors alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from hf_decoder import LayerAdapter, LowRank
from torch.nn import functional

NONE = -1  # the number of a row that has no adapter


@dataclass(frozen=True, slots=True)
class Stacked:
    """The adapters' parts of one product: `down` [ranks, inputs], `up` [outputs, ranks], `owner` [ranks].

    `bias` is [adapters + 1, outputs], and zero for the last, who has none.
    """

    down: torch.Tensor
    up: torch.Tensor
    owner: torch.Tensor
    bias: torch.Tensor | None

    def added_to(self, output: torch.Tensor, rows: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Returns the product's output for rows whose adapters are `chosen` [rows], with what those add."""
        inner = functional.linear(rows, self.down) * (chosen[:, None] == self.owner)
        added = output + functional.linear(inner, self.up)
        return added if self.bias is None else added + self.bias[chosen]


@dataclass(frozen=True, slots=True)
class StackedLayer:
    """The adapters' parts of a layer; `up` is below the gate where there is one."""

    qkv: Stacked | None
    out: Stacked | None
    up: Stacked | None
    down: Stacked | None


def stack_layer(adapters: Sequence[LayerAdapter], gate_outputs: int, up_outputs: int, dtype: torch.dtype,
                device: torch.device) -> StackedLayer:
    """Returns what adapters add to one layer; `gate_outputs` is 0 for a layer without a gate."""
    def stack(pairs: Sequence[LowRank | None]) -> Stacked | None:
        return _stack(pairs, dtype, device)

    return StackedLayer(
        stack([adapter.qkv for adapter in adapters]), stack([adapter.out for adapter in adapters]),
        stack([_below(adapter.gate, gate_outputs, adapter.up, up_outputs) for adapter in adapters]),
        stack([adapter.down for adapter in adapters]))


def _stack(pairs: Sequence[LowRank | None], dtype: torch.dtype, device: torch.device) -> Stacked | None:
    there = [(number, pair) for number, pair in enumerate(pairs) if pair is not None]
    if not there:
        return None
    bias = None
    if any(pair.bias is not None for _, pair in there):
        bias = torch.zeros(len(pairs) + 1, len(there[0][1].up))
        for number, pair in there:
            bias[number] = 0.0 if pair.bias is None else pair.bias
        bias = bias.to(device, dtype)
    return Stacked(
        torch.cat([pair.down for _, pair in there]).to(device, dtype),
        torch.cat([pair.up for _, pair in there], 1).to(device, dtype),
        torch.cat([torch.full((len(pair.down),), number) for number, pair in there]).to(device), bias)


def _below(first: LowRank | None, first_outputs: int, second: LowRank | None, second_outputs: int) -> LowRank | None:
    """Returns two products of one input as one; None where neither adds anything."""
    pairs = [(first, 0), (second, first_outputs)]
    there = [(pair, start) for pair, start in pairs if pair is not None]
    if not there:
        return None
    up = torch.zeros(first_outputs + second_outputs, sum(len(pair.down) for pair, _ in there))
    bias = torch.zeros(first_outputs + second_outputs)
    begin = 0
    for pair, start in there:
        up[start:start + len(pair.up), begin:begin + len(pair.down)] = pair.up
        if pair.bias is not None:
            bias[start:start + len(pair.up)] = pair.bias
        begin += len(pair.down)
    return LowRank(torch.cat([pair.down for pair, _ in there]), up,
                   bias if any(pair.bias is not None for pair, _ in there) else None)
