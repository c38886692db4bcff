"""A ModelRunner over the kernels of native/decoder.cpp: every sequence of a step in one pass through the model.

Weights are packed when the runner is made, which takes them out of the transformers model; the key-value caches of all
slots lie in memory that the system hands out as it is first touched. Runs on the engine thread alone.
"""

import ctypes
import gc
import mmap
from collections.abc import Mapping, Sequence
from itertools import groupby

import hf_kernels
import torch
from hf_decoder import Decoder, LayerAdapter
from hf_packing import LANES, Packer, up_to

from sandle.engine.runner import Work

ALONE_BELOW = 10_000_000  # products of a step below which threads would wait for each other longer than they compute


class BatchedRunner:
    """See sandle.engine.runner.ModelRunner. `decoder` is emptied; `dtype` is of the activations and of the caches.

    The layers' weights have that format too, unless `bits` says 8 or 4; embeddings, head and adapters always do.
    `adapters` have, by their names, what each adds to every layer.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, slots: int, kernels: hf_kernels.Kernels,
                 bits: int | None = None, adapters: Mapping[str, Sequence[LayerAdapter]] = {}) -> None:
        self.dtype = dtype
        self._kernels: hf_kernels.Kernels | None = kernels
        self._slots = slots
        self._vocabulary = decoder.head.weight.shape[0]
        self._packer = Packer(dtype, bits)
        self._keys, self._values = _caches(decoder, dtype, slots)
        layers = self._pack_layers(decoder)
        self._model = self._pack(decoder, dtype, layers)
        self._adapters = {name: self._pack_adapter(decoder, adapter, layers) for name, adapter in adapters.items()}
        self._parameters = self._packer.parameters
        self._threads = torch.get_num_threads()

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return self._slots

    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        assert self._kernels is not None, 'a released runner is not used'
        by_adapter = sorted(batch, key=lambda work: work.adapter or '')  # those without one come first
        spans = (hf_kernels.Span * len(batch))()
        groups: list[hf_kernels.Group] = []
        tokens: list[int] = []
        ends: dict[int, int] = {}  # of each slot's rows
        for adapter, members in groupby(enumerate(by_adapter), lambda indexed: indexed[1].adapter):
            first = len(tokens)
            for index, work in members:
                spans[index] = hf_kernels.Span(work.slot, work.start, len(tokens), len(work.tokens))
                tokens += work.tokens
                ends[work.slot] = len(tokens)
            if adapter is not None:
                groups.append(hf_kernels.Group(self._adapters[adapter], first, len(tokens) - first))
        wanted = [row for work in batch for row in range(ends[work.slot] - work.logits, ends[work.slot])]
        ids, rows = torch.tensor(tokens, dtype=torch.int64), torch.tensor(wanted, dtype=torch.int64)
        logits = torch.empty(len(wanted), self._model.head.columns)
        self._model.threads = 1 if len(tokens) * self._parameters < ALONE_BELOW else self._threads
        self._kernels.step(self._model, ids.data_ptr(), len(tokens), spans,
                           (hf_kernels.Group * len(groups))(*groups), rows.data_ptr(), len(wanted), logits.data_ptr())
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

    def _pack_layers(self, decoder: Decoder) -> 'ctypes.Array[hf_kernels.Layer]':
        rotations = [self._packer.keep(table.float()) for table in decoder.rotations]
        layers = (hf_kernels.Layer * len(decoder.modules))()
        for index, module in enumerate(decoder.modules):
            layer = decoder.layer(index)
            layers[index] = self._packer.layer(decoder, layer)
            layers[index].rotation = rotations[layer.rotation] if rotations else None
            layers[index].keys = self._keys[index].data_ptr()
            layers[index].values = self._values[index].data_ptr()
            del layer
            _empty(module)
        self._packer.kept.append(layers)
        return layers

    def _pack_adapter(self, decoder: Decoder, adapter: Sequence[LayerAdapter],
                      layers: 'ctypes.Array[hf_kernels.Layer]') -> int:
        """Returns the address of what an adapter adds to the layers."""
        packed = (hf_kernels.LayerAdapter * len(layers))(
            *(self._packer.adapter(decoder, own, layer) for own, layer in zip(adapter, layers)))
        self._packer.kept.append(packed)
        return ctypes.addressof(packed)

    def _pack(self, decoder: Decoder, dtype: torch.dtype, layers: 'ctypes.Array[hf_kernels.Layer]',
              ) -> hf_kernels.Decoder:
        pack, padded = self._packer, up_to(decoder.head_size, LANES)
        head = pack.linear(decoder.head.weight, decoder.head.bias, is_quantized=False)
        return hf_kernels.Decoder(
            layers=len(layers), hidden=decoder.hidden, heads=decoder.heads, kv_heads=decoder.kv_heads,
            head_size=decoder.head_size, padded_head_size=padded, positions=self._keys.shape[3] * LANES,
            rotated=2 * decoder.rotations[0].shape[1] if decoder.rotations else 0, rotation_kind=decoder.rotation,
            activation=decoder.activation, is_parallel=decoder.is_parallel, is_float32=dtype == torch.float32,
            position_offset=decoder.position_offset,
            attention_scale=decoder.attention_scale, attention_cap=decoder.attention_cap, logit_cap=decoder.logit_cap,
            embedding_scale=decoder.embedding_scale, layer=ctypes.cast(layers, ctypes.c_void_p),
            embedding=None if decoder.is_tied else pack.keep(decoder.embedding.to(dtype)),
            position_embedding=pack.keep_optional(decoder.position_embedding), alibi=pack.keep_optional(decoder.alibi),
            embedding_norm=pack.norm(decoder.embedding_norm), final_norm=pack.norm(decoder.final_norm), head=head)


def cache_bytes(decoder: Decoder, dtype: torch.dtype) -> int:
    """Returns the bytes of one slot's key-value cache."""
    size = up_to(decoder.head_size, LANES) * up_to(decoder.positions, LANES)
    return 2 * len(decoder.modules) * decoder.kv_heads * size * dtype.itemsize


def _caches(decoder: Decoder, dtype: torch.dtype, slots: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns keys [layers, slots, kv heads, blocks of positions, ·] and values [.., head size / 16, blocks, ·]."""
    half = cache_bytes(decoder, dtype) * slots // 2
    memory = mmap.mmap(-1, 2 * half)  # zeros, and none of it is there before it is used
    keys, values = (torch.frombuffer(memory, dtype=dtype, count=half // dtype.itemsize, offset=offset)
                    for offset in (0, half))
    blocks, padded = up_to(decoder.positions, LANES) // LANES, up_to(decoder.head_size, LANES)
    leading = (len(decoder.modules), slots, decoder.kv_heads)
    return (keys.view(*leading, blocks, LANES * padded),
            values.view(*leading, padded // LANES, blocks, LANES * LANES))


def _empty(module: torch.nn.Module) -> None:
    """Gives the memory of a module's weights back: they have been packed."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = torch.empty(0)
