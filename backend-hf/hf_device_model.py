"""A decoder's arithmetic in plain torch, for any device: all of the model but its attention, which it is given.

The residual stream, norms and rotations are float32; products have the weights' format. Nothing here waits for the
device. Knows tensors alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from hf_decoder import Activation, Affine, Decoder, DecoderLayer, LayerAdapter, Norm, NormKind, Rotation
from hf_device_adapters import Stacked, StackedLayer, stack_layer
from torch.nn import functional


class Rows(Protocol):
    """Some of a step's rows, and how they attend."""

    rows: slice

    def attend(self, layer: int, window: int, queries: torch.Tensor, keys: torch.Tensor,
               values: torch.Tensor) -> torch.Tensor:
        """Keeps keys and values [rows, kv heads, head size]; returns what queries [rows, heads, head size] find.

        Returned is [rows, heads * head size]. `window` is as DecoderLayer's.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Layer:
    """A DecoderLayer whose products of the same input are one: `qkv`, and `up` below the gate where there is one."""

    attention_norm: Norm
    mlp_norm: Norm
    post_attention_norm: Norm | None
    post_mlp_norm: Norm | None
    query_norm: Norm | None
    key_norm: Norm | None
    qkv: Affine
    out: Affine
    up: Affine
    down: Affine
    is_gated: bool
    window: int
    rotation: int


class DeviceModel:
    """`decoder` is emptied: its weights go on living here, where they are. `dtype` is of all products.

    `adapters` have what each adds to every layer; rows speak of them by their number.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, adapters: Sequence[Sequence[LayerAdapter]] = ()) -> None:
        self._decoder = decoder
        self._dtype = dtype
        self._embedding = decoder.embedding.detach()
        self._head = _converted(decoder.head, dtype)
        self._rotations = [table.to(self._embedding.device) for table in decoder.rotations]
        self._layers = []
        self._adapted: list[StackedLayer] = []
        for index, module in enumerate(decoder.modules):
            layer = decoder.layer(index)
            self._layers.append(_fused(layer, dtype))
            self._adapted.append(stack_layer(
                [adapter[index] for adapter in adapters], 0 if layer.gate is None else len(layer.gate.weight),
                len(layer.up.weight), dtype, self._embedding.device))
            del layer
            for parameter in module.parameters():  # copied, or kept alive by what refers to it
                parameter.data = torch.empty(0, dtype=parameter.dtype, device=parameter.device)

    def logits(self, tokens: torch.Tensor, positions: torch.Tensor, wanted: torch.Tensor,
               parts: Sequence[Rows], chosen: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits [wanted, vocabulary] after the rows `wanted`.

        `tokens`, `positions` and `chosen`, the numbers of the rows' adapters, are int64 [rows], and `parts` have all
        rows in their order.
        """
        decoder = self._decoder
        places = positions.clamp(max=decoder.positions - 1)  # the spare place has neither turn nor embedding
        turns = [table[places].unbind(-1) for table in self._rotations]  # cosines and sines [rows, rotated / 2]
        hidden = self._embedded(tokens, places)
        for index, layer in enumerate(self._layers):
            before = _normed(layer.mlp_norm, hidden) if decoder.is_parallel else None
            hidden += self._attended(index, hidden, turns[layer.rotation] if turns else None, parts, chosen)
            hidden += self._fed_forward(index, _normed(layer.mlp_norm, hidden) if before is None else before, chosen)
        last = _normed(decoder.final_norm, hidden[wanted]).to(self._dtype)
        logits = functional.linear(last, self._head.weight, self._head.bias).float()
        return decoder.logit_cap * torch.tanh(logits / decoder.logit_cap) if decoder.logit_cap else logits

    def _embedded(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Returns the residual stream [rows, hidden] where it begins."""
        decoder = self._decoder
        hidden = functional.embedding(tokens, self._embedding).float() * decoder.embedding_scale
        if decoder.position_embedding is not None:
            hidden += functional.embedding(places + decoder.position_offset, decoder.position_embedding)
        return _normed(decoder.embedding_norm, hidden)

    def _attended(self, index: int, hidden: torch.Tensor, turn: Sequence[torch.Tensor] | None,
                  parts: Sequence[Rows], chosen: torch.Tensor) -> torch.Tensor:
        """Returns what a layer's attention adds to the residual stream, [rows, hidden]."""
        layer, adapted, decoder = self._layers[index], self._adapted[index], self._decoder
        normed = _normed(layer.attention_norm, hidden).to(self._dtype)
        heads = _product(layer.qkv, adapted.qkv, normed, chosen).view(len(hidden), -1, decoder.head_size)
        of_keys, of_values = decoder.heads, decoder.heads + decoder.kv_heads  # where they begin
        queries = self._turned(_normed(layer.query_norm, heads[:, :of_keys].float()), turn).to(self._dtype)
        keys = self._turned(_normed(layer.key_norm, heads[:, of_keys:of_values].float()), turn).to(self._dtype)
        values = heads[:, of_values:]
        found = torch.cat([part.attend(index, layer.window, queries[part.rows], keys[part.rows], values[part.rows])
                           for part in parts])
        return _normed(layer.post_attention_norm, _product(layer.out, adapted.out, found, chosen).float())

    def _fed_forward(self, index: int, normed: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Returns what a layer's feed-forward part adds to the residual stream, [rows, hidden]."""
        layer, adapted = self._layers[index], self._adapted[index]
        wide = _product(layer.up, adapted.up, normed.to(self._dtype), chosen)
        if layer.is_gated:
            gate, up = wide.chunk(2, -1)
            wide = _activated(gate, self._decoder.activation) * up
        else:
            wide = _activated(wide, self._decoder.activation)
        return _normed(layer.post_mlp_norm, _product(layer.down, adapted.down, wide, chosen).float())

    def _turned(self, heads: torch.Tensor, turn: Sequence[torch.Tensor] | None) -> torch.Tensor:
        """Returns heads [rows, heads, head size] with rotary embedding."""
        if turn is None:
            return heads
        cosines, sines = (part[:, None] for part in turn)  # [rows, 1, rotated / 2]
        rotated = 2 * cosines.shape[-1]
        in_halves = self._decoder.rotation is Rotation.HALVES
        first, second = (heads[..., :rotated].chunk(2, -1) if in_halves
                         else (heads[..., 0:rotated:2], heads[..., 1:rotated:2]))
        pair = first * cosines - second * sines, second * cosines + first * sines
        turned = torch.cat(pair, -1) if in_halves else torch.stack(pair, -1).flatten(-2)
        return torch.cat([turned, heads[..., rotated:]], -1)


def _product(affine: Affine, adapted: Stacked | None, rows: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    output = functional.linear(rows, affine.weight, affine.bias)
    return output if adapted is None else adapted.added_to(output, rows, chosen)


def _normed(norm: Norm | None, rows: torch.Tensor) -> torch.Tensor:
    """Returns float32 rows normalized; as they are where there is no norm."""
    if norm is None or norm.kind is NormKind.NONE:
        return rows
    if norm.kind is NormKind.RMS:
        return functional.rms_norm(rows, rows.shape[-1:], norm.weight, norm.epsilon)
    return functional.layer_norm(rows, rows.shape[-1:], norm.weight, norm.bias, norm.epsilon)


def _activated(rows: torch.Tensor, kind: Activation) -> torch.Tensor:
    if kind is Activation.SILU:
        return functional.silu(rows)
    if kind is Activation.RELU:
        return functional.relu(rows)
    return functional.gelu(rows, approximate='tanh' if kind is Activation.GELU_TANH else 'none')


def _fused(layer: DecoderLayer, dtype: torch.dtype) -> _Layer:
    return _Layer(
        layer.attention_norm, layer.mlp_norm, layer.post_attention_norm, layer.post_mlp_norm, layer.query_norm,
        layer.key_norm, _joined([layer.query, layer.key, layer.value], dtype), _converted(layer.out, dtype),
        _converted(layer.up, dtype) if layer.gate is None else _joined([layer.gate, layer.up], dtype),
        _converted(layer.down, dtype), layer.gate is not None, layer.window, layer.rotation)


def _joined(parts: Sequence[Affine], dtype: torch.dtype) -> Affine:
    biases = [part.bias for part in parts if part.bias is not None]
    return _converted(Affine(torch.cat([part.weight for part in parts]), torch.cat(biases) if biases else None), dtype)


def _converted(affine: Affine, dtype: torch.dtype) -> Affine:
    return Affine(affine.weight.to(dtype), None if affine.bias is None else affine.bias.to(dtype))
