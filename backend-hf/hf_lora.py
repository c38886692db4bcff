"""What adapters add, in the form of `hf_decoder`: found by the same readers that find a model's weights.

A family's reader takes the modules of a layer apart and puts them together. It does so with any weights: here they are
the numbers of their own outputs, so that what the reader returns tells where each output of a product comes from.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from hf_adapters import Adapter
from hf_decoder import Affine, Decoder, LayerAdapter, LowRank, UnknownDecoderError
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A linear module of a layer: its outputs have the numbers from `first` on."""

    name: str
    module: torch.nn.Module
    first: int
    outputs: int


def layer_adapters(model: torch.nn.Module, decoder: Decoder, adapters: Iterable[Adapter],
                   ) -> dict[str, list[LayerAdapter]]:
    """Returns, by each adapter's name, what it adds to every layer. Raises UnknownDecoderError.

    `model` is what `decoder` was read from, and holds its weights still.
    """
    found: dict[str, list[LayerAdapter]] = {adapter.name: [] for adapter in adapters}
    if not found:
        return found
    names = {module: name for name, module in model.named_modules()}
    known: set[str] = set()
    for index, root in enumerate(decoder.modules):
        linears = list(_linears(root, names))
        known |= {linear.name for linear in linears}
        with _numbers_as_weights(model, linears):
            layer = decoder.layer(index)
        for adapter in adapters:
            found[adapter.name].append(LayerAdapter(
                qkv=_product([layer.query, layer.key, layer.value], linears, adapter),
                out=_product([layer.out], linears, adapter),
                gate=None if layer.gate is None else _product([layer.gate], linears, adapter),
                up=_product([layer.up], linears, adapter), down=_product([layer.down], linears, adapter)))
    for adapter in adapters:
        if unknown := sorted(adapter.modules.keys() - known):
            raise UnknownDecoderError(f'the adapter {adapter.name!r} changes {unknown[0]!r}, which is in no layer')
    return found


def _linears(root: torch.nn.Module, names: dict[torch.nn.Module, str]) -> Iterator[_Numbered]:
    first = 0
    for module in root.modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            outputs = int(module.nf) if isinstance(module, Conv1D) else module.out_features
            yield _Numbered(names[module], module, first, outputs)
            first += outputs


@contextlib.contextmanager
def _numbers_as_weights(model: torch.nn.Module, linears: Iterable[_Numbered]) -> Iterator[None]:
    """Puts modules in place whose matrices have one column, with the numbers of their outputs, as long as it lasts."""
    for linear in linears:
        numbers = torch.arange(linear.first, linear.first + linear.outputs, dtype=torch.float64)[:, None]
        stand_in = torch.nn.Linear(1, linear.outputs, device='meta')
        is_transposed = isinstance(linear.module, Conv1D)
        stand_in.weight = torch.nn.Parameter(numbers.T if is_transposed else numbers, requires_grad=False)
        stand_in.register_parameter('bias', linear.module._parameters['bias'])
        model.set_submodule(linear.name, stand_in)
    try:
        yield
    finally:
        for linear in linears:
            model.set_submodule(linear.name, linear.module)


def _product(parts: list[Affine], linears: Iterable[_Numbered], adapter: Adapter) -> LowRank | None:
    """Returns what an adapter adds to a product of parts that read one input; None where that is nothing.

    The parts, which hold numbers in place of weights, stand one below the other; the modules' inner products side by
    side.
    """
    numbers = torch.cat([part.weight[:, 0] for part in parts]).long()
    sources = [(linear, adapter.modules[linear.name]) for linear in linears if linear.name in adapter.modules]
    sources = [(linear, pair) for linear, pair in sources if bool(_is_of(linear, numbers).any())]
    if not sources:
        return None
    up = torch.zeros(len(numbers), sum(len(pair.down) for _, pair in sources))
    bias = torch.zeros(len(numbers))
    begin = 0
    for linear, pair in sources:
        own = _is_of(linear, numbers)
        rows = numbers[own] - linear.first
        up[own, begin:begin + len(pair.down)] = pair.up[rows]
        if pair.bias is not None:
            bias[own] = pair.bias[rows]
        begin += len(pair.down)
    return LowRank(torch.cat([pair.down for _, pair in sources]), up,
                   bias if any(pair.bias is not None for _, pair in sources) else None)


def _is_of(linear: _Numbered, numbers: torch.Tensor) -> torch.Tensor:
    return (linear.first <= numbers) & (numbers < linear.first + linear.outputs)
