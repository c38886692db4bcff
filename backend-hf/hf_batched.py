"""A ModelRunner over the kernels of native/decoder.cpp: every sequence of a step in one pass through the model.

Weights are packed when the runner is made, which takes them out of the transformers model; the key-value caches of all
slots lie in memory that the system hands out as it is first touched. Runs on the engine thread alone.
"""

import ctypes
import gc
import mmap
from collections.abc import Sequence
from typing import Any

import hf_kernels
import hf_quantize
import torch
from hf_decoder import Affine, Decoder, DecoderLayer, Norm
from torch.nn import functional

from sandle.engine.runner import Work

LANES = 16
ALONE_BELOW = 10_000_000  # products of a step below which threads would wait for each other longer than they compute
PER_UNIT = {torch.bfloat16: 2, torch.float32: 1}


class BatchedRunner:
    """See sandle.engine.runner.ModelRunner. `decoder` is emptied; `dtype` is of the activations and of the caches.

    The layers' weights have that format too, unless `bits` says 8 or 4; embeddings and head always do.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, slots: int, kernels: hf_kernels.Kernels,
                 bits: int | None = None) -> None:
        self.dtype = dtype
        self._kernels: hf_kernels.Kernels | None = kernels
        self._slots = slots
        self._vocabulary = decoder.head.weight.shape[0]
        self._packer = _Packer(dtype, bits)
        self._keys, self._values = _caches(decoder, dtype, slots)
        self._model = self._pack(decoder, dtype)
        self._parameters = self._packer.parameters
        self._threads = torch.get_num_threads()

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return self._slots

    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        assert self._kernels is not None, 'a released runner is not used'
        spans = (hf_kernels.Span * len(batch))()
        tokens: list[int] = []
        wanted: list[int] = []
        for index, work in enumerate(batch):
            spans[index] = hf_kernels.Span(work.slot, work.start, len(tokens), len(work.tokens))
            tokens += work.tokens
            wanted += range(len(tokens) - work.logits, len(tokens))
        ids, rows = torch.tensor(tokens, dtype=torch.int64), torch.tensor(wanted, dtype=torch.int64)
        logits = torch.empty(len(wanted), self._model.head.columns)
        self._model.threads = 1 if len(tokens) * self._parameters < ALONE_BELOW else self._threads
        self._kernels.step(self._model, ids.data_ptr(), len(tokens), spans, rows.data_ptr(), len(wanted),
                           logits.data_ptr())
        return logits[:, :self._vocabulary]

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix. What the last block holds beyond the prefix goes along; it is not looked at."""
        blocks = -(-length // LANES)
        self._keys[:, target, :, :blocks] = self._keys[:, source, :, :blocks]
        self._values[:, target, :, :, :blocks] = self._values[:, source, :, :, :blocks]

    def release(self) -> None:
        """See ModelRunner.release."""
        self._kernels = None
        self._model = hf_kernels.Decoder()
        self._packer.kept.clear()
        self._keys = self._values = torch.empty(0)
        self._slots = 0
        gc.collect()

    def _pack(self, decoder: Decoder, dtype: torch.dtype) -> hf_kernels.Decoder:
        pack, padded = self._packer, _up(decoder.head_size, LANES)
        head = pack.linear(decoder.head.weight, decoder.head.bias, is_quantized=False)
        rotations = [pack.keep(table.float()) for table in decoder.rotations]
        layers = (hf_kernels.Layer * len(decoder.modules))()
        for index, module in enumerate(decoder.modules):
            layer = decoder.layer(index)
            layers[index] = self._pack_layer(decoder, layer, padded)
            layers[index].rotation = rotations[layer.rotation] if rotations else None
            layers[index].keys = self._keys[index].data_ptr()
            layers[index].values = self._values[index].data_ptr()
            del layer
            _empty(module)
        pack.kept.append(layers)
        model = hf_kernels.Decoder(
            layers=len(layers), hidden=decoder.hidden, heads=decoder.heads, kv_heads=decoder.kv_heads,
            head_size=decoder.head_size, padded_head_size=padded, positions=self._keys.shape[3] * LANES,
            rotated=2 * decoder.rotations[0].shape[1] if rotations else 0, rotation_kind=decoder.rotation,
            activation=decoder.activation, is_parallel=decoder.is_parallel, is_float32=dtype == torch.float32,
            position_offset=decoder.position_offset,
            attention_scale=decoder.attention_scale, attention_cap=decoder.attention_cap, logit_cap=decoder.logit_cap,
            embedding_scale=decoder.embedding_scale, layer=ctypes.cast(layers, ctypes.c_void_p),
            embedding=None if decoder.is_tied else pack.keep(decoder.embedding.to(dtype)),
            position_embedding=pack.keep_optional(decoder.position_embedding), alibi=pack.keep_optional(decoder.alibi),
            embedding_norm=pack.norm(decoder.embedding_norm), final_norm=pack.norm(decoder.final_norm), head=head)
        return model

    def _pack_layer(self, decoder: Decoder, layer: DecoderLayer, padded: int) -> hf_kernels.Layer:
        pack = self._packer
        qkv = [_padded_heads(part, decoder.head_size, padded) for part in (layer.query, layer.key, layer.value)]
        biases = [part.bias for part in qkv if part.bias is not None]
        out = layer.out.weight.reshape(-1, decoder.heads, decoder.head_size)
        out = functional.pad(out, (0, padded - decoder.head_size)).flatten(1)
        return hf_kernels.Layer(
            attention_norm=pack.norm(layer.attention_norm), mlp_norm=pack.norm(layer.mlp_norm),
            post_attention_norm=pack.norm(layer.post_attention_norm), post_mlp_norm=pack.norm(layer.post_mlp_norm),
            query_norm=pack.norm(layer.query_norm), key_norm=pack.norm(layer.key_norm),
            qkv=pack.linear(torch.cat([part.weight for part in qkv]), torch.cat(biases) if biases else None),
            out=pack.linear(out, layer.out.bias),
            gate=hf_kernels.Linear() if layer.gate is None else pack.linear(layer.gate.weight, layer.gate.bias),
            up=pack.linear(layer.up.weight, layer.up.bias),
            down=pack.linear(layer.down.weight, layer.down.bias, depth=_up(layer.up.weight.shape[0], LANES)),
            window=layer.window)


class _Packer:
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

    def linear(self, weight: torch.Tensor, bias: torch.Tensor | None, depth: int = 0,
               is_quantized: bool = True) -> hf_kernels.Linear:
        """Packs [outputs, inputs] in panels of LANES outputs, padded with zeros to at least `depth` inputs."""
        bits = self._bits if is_quantized else None
        self.parameters += weight.numel()
        columns = _up(weight.shape[0], LANES)
        inputs = _up(max(weight.shape[1], depth), hf_quantize.GROUP if bits else PER_UNIT[self._dtype])
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


def cache_bytes(decoder: Decoder, dtype: torch.dtype) -> int:
    """Returns the bytes of one slot's key-value cache."""
    size = _up(decoder.head_size, LANES) * _up(decoder.positions, LANES)
    return 2 * len(decoder.modules) * decoder.kv_heads * size * dtype.itemsize


def _caches(decoder: Decoder, dtype: torch.dtype, slots: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns keys [layers, slots, kv heads, blocks of positions, ·] and values [.., head size / 16, blocks, ·]."""
    half = cache_bytes(decoder, dtype) * slots // 2
    memory = mmap.mmap(-1, 2 * half)  # zeros, and none of it is there before it is used
    keys, values = (torch.frombuffer(memory, dtype=dtype, count=half // dtype.itemsize, offset=offset)
                    for offset in (0, half))
    blocks, padded = _up(decoder.positions, LANES) // LANES, _up(decoder.head_size, LANES)
    leading = (len(decoder.modules), slots, decoder.kv_heads)
    return (keys.view(*leading, blocks, LANES * padded),
            values.view(*leading, padded // LANES, blocks, LANES * LANES))


def _padded_heads(part: Affine, size: int, padded: int) -> Affine:
    """Returns a projection to heads with each head's outputs padded with zeros."""
    if size == padded:
        return part
    weight = functional.pad(part.weight.reshape(-1, size, part.weight.shape[1]), (0, 0, 0, padded - size)).flatten(0, 1)
    bias = None if part.bias is None else functional.pad(part.bias.view(-1, size),
                                                         (0, padded - size)).flatten()
    return Affine(weight, bias)


def _empty(module: torch.nn.Module) -> None:
    """Gives the memory of a module's weights back: they have been packed."""
    for parameter in module.parameters():
        parameter.data = torch.empty(0)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
