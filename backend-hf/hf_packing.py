"""Lays a decoder's weights, and those of adapters, out as the kernels of native/decoder.cpp read them.

Knows the layouts and the kernels' structures; knows nothing of steps and caches.
"""

from typing import Any

import hf_kernels
import hf_quantize
import torch
from hf_decoder import Affine, Decoder, DecoderLayer, LayerAdapter, LowRank, Norm
from torch.nn import functional

LANES = 16
PER_UNIT = {torch.bfloat16: 2, torch.float32: 1}


class Packer:
    """Lays tensors out for the kernels and keeps them alive in `kept`; returns their addresses."""

    def __init__(self, dtype: torch.dtype, bits: int | None) -> None:
        self._dtype = dtype
        self._bits = bits
        self.kept: list[Any] = []  # Any: tensors, and arrays of structures
        self.parameters = 0  # of matrices

    def keep(self, tensor: torch.Tensor) -> int:
        """Keeps a tensor as it is."""
        self.kept.append(tensor.contiguous())
        return int(self.kept[-1].data_ptr())

    def keep_optional(self, tensor: torch.Tensor | None) -> int | None:
        """Keeps a tensor in float32, if there is one."""
        return None if tensor is None else self.keep(tensor.detach().float())

    def norm(self, norm: Norm | None) -> hf_kernels.Norm:
        """Keeps a norm's weights."""
        if norm is None:
            return hf_kernels.Norm()
        return hf_kernels.Norm(self.keep(norm.weight), self.keep_optional(norm.bias), norm.epsilon, norm.kind)

    def layer(self, decoder: Decoder, layer: DecoderLayer) -> hf_kernels.Layer:
        """Packs a layer; where its rotation, its keys and its values are is not known here."""
        padded = up_to(decoder.head_size, LANES)
        qkv = [_padded_heads(part, decoder.head_size, padded) for part in (layer.query, layer.key, layer.value)]
        biases = [part.bias for part in qkv if part.bias is not None]
        out = _padded_inputs(layer.out.weight, decoder.head_size, padded)
        return hf_kernels.Layer(
            attention_norm=self.norm(layer.attention_norm), mlp_norm=self.norm(layer.mlp_norm),
            post_attention_norm=self.norm(layer.post_attention_norm), post_mlp_norm=self.norm(layer.post_mlp_norm),
            query_norm=self.norm(layer.query_norm), key_norm=self.norm(layer.key_norm),
            qkv=self.linear(torch.cat([part.weight for part in qkv]), torch.cat(biases) if biases else None),
            out=self.linear(out, layer.out.bias),
            gate=hf_kernels.Linear() if layer.gate is None else self.linear(layer.gate.weight, layer.gate.bias),
            up=self.linear(layer.up.weight, layer.up.bias),
            down=self.linear(layer.down.weight, layer.down.bias, depth=up_to(layer.up.weight.shape[0], LANES)),
            window=layer.window)

    def adapter(self, decoder: Decoder, adapter: LayerAdapter, packed: hf_kernels.Layer) -> hf_kernels.LayerAdapter:
        """Packs what an adapter adds to a layer that is packed."""
        size, padded = decoder.head_size, up_to(decoder.head_size, LANES)
        qkv, out = adapter.qkv, adapter.out
        if qkv is not None:
            whole = _padded_heads(Affine(qkv.up, qkv.bias), size, padded)
            qkv = LowRank(qkv.down, whole.weight, whole.bias)
        if out is not None:
            out = LowRank(_padded_inputs(out.down, size, padded), out.up, out.bias)
        return hf_kernels.LayerAdapter(
            qkv=self._low_rank(qkv, packed.qkv), out=self._low_rank(out, packed.out),
            gate=self._low_rank(adapter.gate, packed.gate), up=self._low_rank(adapter.up, packed.up),
            down=self._low_rank(adapter.down, packed.down))

    def _low_rank(self, pair: LowRank | None, beside: hf_kernels.Linear) -> hf_kernels.LowRank:
        if pair is None:
            return hf_kernels.LowRank()
        down = self.linear(pair.down, None, depth=beside.depth, is_quantized=False)
        return hf_kernels.LowRank(down, self.linear(pair.up, pair.bias, depth=down.columns, is_quantized=False))

    def linear(self, weight: torch.Tensor, bias: torch.Tensor | None, depth: int = 0,
               is_quantized: bool = True) -> hf_kernels.Linear:
        """Packs [outputs, inputs] in panels of LANES outputs, padded with zeros to at least `depth` inputs."""
        bits = self._bits if is_quantized else None
        self.parameters += weight.numel()
        columns = up_to(weight.shape[0], LANES)
        inputs = up_to(max(weight.shape[1], depth), hf_quantize.GROUP if bits else PER_UNIT[self._dtype])
        whole = functional.pad(weight, (0, inputs - weight.shape[1], 0, columns - weight.shape[0]))
        padded = None if bias is None else functional.pad(bias.float(), (0, columns - bias.shape[0]))
        packed = hf_kernels.Linear(bias=self.keep_optional(padded), columns=columns, depth=inputs)
        if bits is None:
            packed.weight = self.keep(_panels(whole.to(self._dtype), PER_UNIT[self._dtype]))
            return packed
        numbers, scales = hf_quantize.quantize(whole, bits)
        pairs = _panels(numbers, 2)  # [panels, pairs, LANES, 2]
        if bits == 4:
            pairs = (pairs[..., 0] + 8) | (pairs[..., 1] + 8) << 4
        packed.weight, packed.bits = self.keep(pairs), bits
        packed.scales = self.keep(_panels(scales, 1))
        return packed


def _panels(matrix: torch.Tensor, unit: int) -> torch.Tensor:
    """Returns [columns, depth] as [columns / LANES, depth / unit, LANES, unit]."""
    columns, depth = matrix.shape
    return matrix.reshape(columns // LANES, LANES, depth // unit, unit).transpose(1, 2).contiguous()


def _padded_heads(part: Affine, size: int, padded: int) -> Affine:
    """Returns a projection to heads with each head's outputs padded with zeros."""
    if size == padded:
        return part
    weight = functional.pad(part.weight.reshape(-1, size, part.weight.shape[1]), (0, 0, 0, padded - size)).flatten(0, 1)
    bias = None if part.bias is None else functional.pad(part.bias.view(-1, size),
                                                         (0, padded - size)).flatten()
    return Affine(weight, bias)


def _padded_inputs(weight: torch.Tensor, size: int, padded: int) -> torch.Tensor:
    """Returns [outputs, inputs] that takes heads padded with zeros."""
    heads = weight.reshape(weight.shape[0], -1, size)
    return functional.pad(heads, (0, padded - size)).flatten(1)


def up_to(number: int, multiple: int) -> int:
    """Returns a number, or the next larger one that is a multiple."""
    return -(-number // multiple) * multiple
