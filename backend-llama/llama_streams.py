"""Where llama.cpp's key-value cache holds each slot: in a stream of its own, which can be moved and copied.

One cache for all sequences would let them share the cells of a prefix, but then the attention of each token walks over
the cells of all of them: a step of 16 sequences takes a third longer, and a prefix is copied in less time than that.
llama.cpp computes sequences together only if their streams lie side by side, so the slots at work are kept so.
Knows slots and lengths; knows neither tokens nor logits. Runs on the engine thread alone.
"""

import ctypes
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

END = -1  # of llama.cpp's ranges of positions
State = np.ndarray[tuple[int], np.dtype[np.uint8]]  # as llama.cpp writes it


class Streams:
    """The streams of a context, as many as there are slots."""

    def __init__(self, functions: Any, context: Any, slots: int) -> None:  # Any: C's functions and its pointer
        self._functions = functions
        self._context = context
        self._memory = functions.llama_get_memory(context)
        self._streams = list(range(slots))  # where each slot is
        self._lengths = [0] * slots  # positions that each slot holds
        self._side_by_side: Sequence[int] = ()  # the slots that were gathered last
        self._source: tuple[int, State | None] | None = None  # a slot that is being copied, and what it holds

    def __getitem__(self, slot: int) -> int:
        """Returns the stream of a slot, until the next `gather`."""
        return self._streams[slot]

    def cut(self, slot: int, length: int) -> None:
        """Drops what a slot holds from position `length` on."""
        if self._lengths[slot] > length:
            self._functions.llama_memory_seq_rm(self._memory, self._streams[slot], length, END)
            self._lengths[slot] = length

    def extend(self, slot: int, length: int) -> None:
        """Notes that the next step brings a slot to this length."""
        self._lengths[slot] = length

    def copy(self, source: int, target: int, length: int) -> None:
        """Makes the first `length` positions of slot `target` those of slot `source`. One source often has many."""
        if self._source is None or self._source[0] != source:
            self._source = source, self._read(source)
        self._write(target, self._source[1], self._lengths[source])
        self.cut(target, length)

    def gather(self, slots: Sequence[int]) -> None:
        """Lays the streams of these slots side by side, with as few moves as possible.

        Each that lies apart changes places with one that is in the way; both keep what they hold.
        """
        self._source = None
        if slots == self._side_by_side:
            return
        self._side_by_side = ()  # a move may fail
        slot_at = {stream: slot for slot, stream in enumerate(self._streams)}
        for here, there in moves([self._streams[slot] for slot in slots], len(self._streams)):
            first, second = slot_at[here], slot_at[there]
            held = self._read(first), self._read(second)
            self._streams[first], self._streams[second] = there, here
            self._write(first, held[0], self._lengths[first])
            self._write(second, held[1], self._lengths[second])
        self._side_by_side = slots

    def forget(self) -> None:
        """Drops everything."""
        self._source = None
        self._functions.llama_memory_clear(self._memory, False)
        self._lengths = [0] * len(self._lengths)

    def _read(self, slot: int) -> State | None:
        """Returns what a slot holds; None for nothing."""
        if not self._lengths[slot]:
            return None
        stream = self._streams[slot]
        state = np.empty(self._functions.llama_state_seq_get_size(self._context, stream), np.uint8)
        self._functions.llama_state_seq_get_data(self._context, _pointer(state), state.size, stream)
        return state

    def _write(self, slot: int, state: State | None, length: int) -> None:
        """Makes a slot hold a state of that length. Raises RuntimeError, as a step that fails."""
        if self._source is not None and self._source[0] == slot:
            self._source = None
        stream = self._streams[slot]
        self._functions.llama_memory_seq_rm(self._memory, stream, 0, END)
        self._lengths[slot] = length
        if state is not None and not self._functions.llama_state_seq_set_data(
                self._context, _pointer(state), state.size, stream):
            raise RuntimeError(f'llama.cpp cannot put {length} tokens into stream {stream}')


def moves(active: Collection[int], count: int) -> Iterator[tuple[int, int]]:
    """Yields which of `count` streams change places with which, so that the active ones lie side by side after it.

    The run is where most of them are already.
    """
    wanted = set(active)
    size = len(wanted)
    before = [0, *accumulate(stream in wanted for stream in range(count))]  # active ones before each stream
    start = max(range(count - size + 1), key=lambda stream: before[stream + size] - before[stream])
    run = set(range(start, start + size))
    yield from zip(sorted(wanted - run), sorted(run - wanted))


def _pointer(state: State) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
