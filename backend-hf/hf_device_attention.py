"""Attention on an accelerator: the key-value cache of all slots, and what the rows of a step see of it.

A slot has a place for every position, and a spare one behind them for tokens that stand for nothing. Nothing here waits
for the device. Knows tensors and slots; knows nothing of the rest of the model.
"""

import torch
from hf_decoder import Decoder
from torch.nn import functional

PLACES_PER_UNIT = 16  # so that every slot begins at an address as good as the others'
LEAST_LENGTH = 32


class Cache:
    """Keys and values [layers, slots, kv heads, places, head size]. `spare` is the place of tokens of no account."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype, slots: int, device: torch.device) -> None:
        self.decoder = decoder
        self.slots = slots
        self.spare = decoder.positions
        shape = (len(decoder.modules), slots, decoder.kv_heads, _places(decoder), decoder.head_size)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.numbers = torch.arange(slots, device=device)
        self.slopes = None if decoder.alibi is None else decoder.alibi.to(device)  # [heads]
        self._ends = [0] * slots  # what is behind them is zeros

    def cut(self, slot: int, end: int) -> None:
        """Prepares a slot for a text that ends at `end`, and empties what lies behind.

        Places behind the end are looked at with the weight 0, which does not hide a NaN that another text has left.
        """
        if self._ends[slot] > end:
            for kept in (self.keys, self.values):
                kept[:, slot, :, end:self._ends[slot]].zero_()
        self._ends[slot] = end

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Makes the first places of one slot those of another."""
        for kept in (self.keys, self.values):
            kept[:, target, :, :length] = kept[:, source, :, :length]
        self._ends[target] = max(self._ends[target], length)


def cache_bytes(decoder: Decoder, dtype: torch.dtype) -> int:
    """Returns the bytes of one slot's key-value cache."""
    return 2 * len(decoder.modules) * decoder.kv_heads * _places(decoder) * decoder.head_size * dtype.itemsize


def rounded_length(length: int, most: int) -> int:
    """Returns a length that is at least this one, and at most a quarter more: one of few, so that few are recorded."""
    unit = max(LEAST_LENGTH, 1 << (length - 1).bit_length() >> 3)
    return min(-(-length // unit) * unit, most)


class EverySlot:
    """One row for each slot, at `positions` [slots]; those of slots that are not in the step are at the spare place.

    `length` is how many places are looked at. The results of slots not in the step mean nothing.
    """

    def __init__(self, cache: Cache, positions: torch.Tensor, length: int) -> None:
        self.rows = slice(0, cache.slots)
        self._cache = cache
        self._positions = positions
        self._length = length
        self._biases: dict[int, torch.Tensor] = {}

    def attend(self, layer: int, window: int, queries: torch.Tensor, keys: torch.Tensor,
               values: torch.Tensor) -> torch.Tensor:
        """See hf_device_model.Rows.attend."""
        cache, decoder = self._cache, self._cache.decoder
        cache.keys[layer][cache.numbers, :, self._positions] = keys
        cache.values[layer][cache.numbers, :, self._positions] = values
        if window not in self._biases:
            places = self._positions.clamp(max=self._length - 1)
            heads = 1 if cache.slopes is None else decoder.kv_heads
            self._biases[window] = _bias(cache, places, self._length, window).view(cache.slots, heads, -1, self._length)
        grouped = queries.view(cache.slots, decoder.kv_heads, -1, decoder.head_size)
        found = _attend(decoder, grouped, cache.keys[layer, :, :, :self._length],
                        cache.values[layer, :, :, :self._length], self._biases[window])
        return found.reshape(cache.slots, -1)


class Chunk:
    """Rows that are one sequence's next tokens: in `slot`, from position `start` on; `positions` [rows] are theirs."""

    def __init__(self, cache: Cache, slot: int, start: int, rows: slice, positions: torch.Tensor) -> None:
        self.rows = rows
        self._cache = cache
        self._slot = slot
        self._start = start
        self._positions = positions
        self._count = len(positions)
        self._biases: dict[int, torch.Tensor | None] = {}

    def attend(self, layer: int, window: int, queries: torch.Tensor, keys: torch.Tensor,
               values: torch.Tensor) -> torch.Tensor:
        """See hf_device_model.Rows.attend."""
        decoder, end = self._cache.decoder, self._start + self._count
        kept_keys, kept_values = (kept[layer, self._slot] for kept in (self._cache.keys, self._cache.values))
        kept_keys[:, self._start:end] = keys.transpose(0, 1)
        kept_values[:, self._start:end] = values.transpose(0, 1)
        seen = kept_keys[None, :, :end], kept_values[None, :, :end]  # [1, kv heads, end, head size]
        if self._is_plain(window):
            found = functional.scaled_dot_product_attention(
                queries.transpose(0, 1)[None], *seen, is_causal=True, scale=decoder.attention_scale,
                enable_gqa=decoder.heads > decoder.kv_heads)  # [1, heads, rows, head size]
            return found[0].transpose(0, 1).flatten(1)
        if window not in self._biases:
            self._biases[window] = self._bias(window)
        grouped = queries.view(self._count, decoder.kv_heads, -1, decoder.head_size).permute(1, 2, 0, 3).flatten(1, 2)
        found = _attend(decoder, grouped[None], *seen, self._biases[window])[0]  # [kv heads, group * rows, head size]
        return found.view(decoder.heads, self._count, decoder.head_size).transpose(0, 1).flatten(1)

    def _is_plain(self, window: int) -> bool:
        """Whether the rows are a text's beginning, and each one sees all before it: there is a faster way then."""
        decoder = self._cache.decoder
        return (self._start == 0 and not 0 < window < self._count and decoder.attention_cap == 0
                and self._cache.slopes is None)

    def _bias(self, window: int) -> torch.Tensor | None:
        """Returns what is added to the scores [1, kv heads or 1, group * rows, end]."""
        decoder, end = self._cache.decoder, self._start + self._count
        if self._count == 1 and not 0 < window < end and self._cache.slopes is None:
            return None  # the last token sees everything
        bias = _bias(self._cache, self._positions, end, window).transpose(0, 1)  # [heads or 1, rows, end]
        if self._cache.slopes is None:
            return bias.repeat(1, decoder.heads // decoder.kv_heads, 1)[None]
        return bias.reshape(1, decoder.kv_heads, -1, end)


def _attend(decoder: Decoder, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor,
            bias: torch.Tensor | None) -> torch.Tensor:
    """Returns [batch, kv heads, queries of one kv head, head size], shaped as the queries are."""
    if not decoder.attention_cap:
        return functional.scaled_dot_product_attention(queries, keys, values, bias, scale=decoder.attention_scale)
    scores = (queries * decoder.attention_scale @ keys.mT).float()
    scores = decoder.attention_cap * torch.tanh(scores / decoder.attention_cap)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1).to(values.dtype) @ values


def _bias(cache: Cache, positions: torch.Tensor, length: int, window: int) -> torch.Tensor:
    """Returns [positions, heads or 1, length]: 0, or ALiBi's part, where a position sees a place; else minus infinity.

    ALiBi counts from the position, not from the text's beginning: small numbers have more digits left.
    """
    distance = torch.arange(length, device=positions.device) - positions[:, None, None]  # [positions, 1, length]
    is_hidden = distance > 0
    if window:
        is_hidden |= distance <= -window
    bias = torch.zeros_like(distance, dtype=torch.float32)
    if cache.slopes is not None:
        bias = distance * cache.slopes[:, None]
    return bias.masked_fill(is_hidden, float('-inf')).to(cache.keys.dtype)


def _places(decoder: Decoder) -> int:
    return -(-(decoder.positions + 1) // PLACES_PER_UNIT) * PLACES_PER_UNIT
