"""A llama.cpp model as a ModelRunner: one batch a step for all sequences.

Knows tokens and slots; knows neither text nor requests. Runs on the engine thread alone.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from llama_library import Adapter, Model
from llama_streams import Streams

from sandle.engine.runner import LoadError, Work

MAX_UBATCH = 640  # tokens that llama.cpp computes at once: memory grows with them; beyond some hundreds, speed does not
ALL_F32 = '0'  # of llama_ftype: weights without any loss, for which the rest is to have none either
GGML_TYPE_F32 = 0
NO_FLASH_ATTENTION = 0  # which computes in 16 bits whatever the cache holds
Logits = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """`slot_tokens` is how many tokens a slot holds; `step_tokens` how many one step computes."""

    slots: int
    slot_tokens: int
    step_tokens: int
    threads: int
    adapters: Sequence[Adapter] = ()


class LlamaRunner:
    """See sandle.engine.runner.ModelRunner."""

    def __init__(self, model: Model, options: RunnerOptions) -> None:
        """Raises LoadError. The model is freed with the runner."""
        self._model = model
        self._functions = functions = model.library.functions
        self._slots = options.slots
        self._vocab_size = model.vocab_size
        params = functions.llama_context_default_params()
        params.n_ctx = options.slots * options.slot_tokens
        params.n_batch = options.step_tokens
        params.n_ubatch = min(options.step_tokens, MAX_UBATCH)
        params.n_seq_max = options.slots
        params.n_threads = params.n_threads_batch = options.threads
        params.kv_unified = False  # see llama_streams.py
        params.swa_full = True  # no layer forgets what lies outside its window: a slot must be able to go back
        params.no_perf = True
        if model.metadata('general.file_type') == ALL_F32:
            params.type_k = params.type_v = GGML_TYPE_F32
            params.flash_attn_type = NO_FLASH_ATTENTION
        adapters = model.load_adapters(options.adapters)
        self._context = functions.llama_init_from_model(model.pointer, params)
        if not self._context:
            raise LoadError(f'No context of {options.slots} times {options.slot_tokens} tokens: '
                            f'{model.library.last_error()}.')
        if adapters:
            functions.llama_set_adapters_lora(
                self._context, (functions.llama_adapter_lora_p_ctypes * len(adapters))(*adapters), len(adapters),
                (ctypes.c_float * len(adapters))(*(adapter.scale for adapter in options.adapters)))
        self._batch = Batch(functions, options.step_tokens)
        self._streams = Streams(functions, self._context, options.slots)

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return self._slots

    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        try:
            return self._compute(batch)
        except RuntimeError:
            self._streams.forget()  # as the engine does
            raise

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix."""
        self._streams.copy(source, target, length)

    def _compute(self, batch: Sequence[Work]) -> torch.Tensor:
        streams = self._streams
        for work in batch:
            streams.cut(work.slot, work.start)
        streams.gather([work.slot for work in batch])
        for work in batch:
            streams.extend(work.slot, work.start + len(work.tokens))
        places = [streams[work.slot] for work in batch]
        if len({len(work.tokens) for work in batch}) == 1 and places == sorted(places):
            return torch.from_numpy(self._decode(batch, places))
        ends = list(accumulate(work.logits for work in batch))
        rows = {work.slot: end - work.logits for work, end in zip(batch, ends)}  # where the next of each goes
        logits = np.empty((ends[-1], self._vocab_size), np.float32)
        for pieces in calls(batch, places):
            pieces = sorted(pieces, key=lambda piece: streams[piece.slot])
            found = self._decode(pieces, [streams[piece.slot] for piece in pieces])
            for piece in pieces:
                row = rows[piece.slot]
                rows[piece.slot] = row + piece.logits
                logits[row:row + piece.logits], found = found[:piece.logits], found[piece.logits:]
        return torch.from_numpy(logits)

    def _decode(self, pieces: Sequence[Work], streams: Sequence[int]) -> Logits:
        """Computes pieces of work, in the order of their streams. Returns their logits [R, V], until the next call."""
        status = self._functions.llama_decode(self._context, self._batch.fill(pieces, streams))
        if status != 0:
            raise RuntimeError(f'llama.cpp failed with {status}: {self._model.library.last_error()}')
        count = sum(piece.logits for piece in pieces)
        if count == 0:
            return np.empty((0, self._vocab_size), np.float32)
        address = ctypes.addressof(self._functions.llama_get_logits(self._context).contents)
        numbers = (ctypes.c_float * (count * self._vocab_size)).from_address(address)
        return np.frombuffer(memoryview(numbers), np.float32).reshape(count, self._vocab_size)

    def release(self) -> None:
        """See ModelRunner.release."""
        context, self._context = self._context, None
        if context is not None:
            self._functions.llama_free(context)
            self._model.free()


def calls(batch: Sequence[Work], streams: Sequence[int]) -> list[Sequence[Work]]:
    """Returns a step's work, in those streams, in pieces: what is computed together first, then the next, and so on.

    llama.cpp takes as many tokens of every sequence of a call, then as many as there are of what is left, and so on:
    beside others that have one token, a prompt would be cut into pieces that take long for what they are. So what is
    of one length goes together. If prompts lie between those with one token, one token of each goes with them.
    """
    groups: dict[int, list[Work]] = {}
    for work in batch:
        groups.setdefault(len(work.tokens), []).append(work)
    single = [stream for work, stream in zip(batch, streams) if len(work.tokens) == 1]
    if len(groups) == 1 or not single or max(single) - min(single) < len(single):
        return list(groups.values())
    heads = [replace(work, tokens=work.tokens[:1], logits=int(work.logits == len(work.tokens))) for work in batch]
    tails = [replace(work, start=work.start + 1, tokens=work.tokens[1:], logits=work.logits - head.logits)
             for work, head in zip(batch, heads) if len(work.tokens) > 1]
    return [heads, *calls(tails, [stream for work, stream in zip(batch, streams) if len(work.tokens) > 1])]


class Batch:
    """llama.cpp's description of a step, in arrays that are filled anew for each."""

    def __init__(self, functions: object, capacity: int) -> None:
        self._tokens, self._positions, self._counts, self._sequences = np.ones((4, capacity), np.int32)
        self._wanted = np.zeros(capacity, np.int8)
        # Each token's list of sequences is one long: a pointer to its place among them.
        self._lists = self._sequences.ctypes.data + 4 * np.arange(capacity, dtype=np.uintp)
        self._struct = functions.llama_batch(  # type: ignore[attr-defined]  # C's own
            0, pointer(self._tokens, ctypes.c_int32), None, pointer(self._positions, ctypes.c_int32),
            pointer(self._counts, ctypes.c_int32),
            ctypes.cast(self._lists.ctypes.data, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            pointer(self._wanted, ctypes.c_int8))

    def fill(self, batch: Sequence[Work], streams: Sequence[int]) -> object:
        """Returns the C structure for a step's work in these streams; it is good until the next call."""
        counts = [len(work.tokens) for work in batch]
        ends = list(accumulate(counts))
        end = ends[-1]
        self._tokens[:end] = [token for work in batch for token in work.tokens]
        self._positions[:end] = [position for work, count in zip(batch, counts)
                                 for position in range(work.start, work.start + count)]
        self._sequences[:end] = np.repeat(streams, counts)
        self._wanted[:end] = 0
        for work, last in zip(batch, ends):
            self._wanted[last - work.logits:last] = 1
        self._struct.n_tokens = end
        return self._struct


def pointer(array: 'np.ndarray[tuple[int], np.dtype[np.int32 | np.int8]]', kind: type) -> object:
    """Returns a C pointer to an array, which must outlive it."""
    return array.ctypes.data_as(ctypes.POINTER(kind))
