"""What each slot of the model holds, and which one a sequence gets. Plain Python; runs on the engine thread."""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from sandle.engine.sequence import Sequence

MIN_GAIN = 16  # tokens: for fewer, copying them or waiting for them is not worth it


@dataclass(frozen=True, slots=True)
class Copy:
    """A prefix to be copied between slots before the step."""

    source: int
    target: int
    length: int


@dataclass(slots=True)
class Slot:
    """The tokens computed in a slot, whose prefix a later sequence may reuse, who uses it, and in which step it was.

    They were computed with an `adapter`, or with none, and are of no use to who has another one.
    """

    tokens: list[int] = field(default_factory=list)
    adapter: str | None = None
    sequence: Sequence | None = None
    last_used: int = 0


class SlotTable:
    """The slots of one model."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot() for _ in range(count)]

    def __len__(self) -> int:
        return len(self._slots)

    def shared(self, sequence: Sequence) -> list[int]:
        """Returns how many of a sequence's tokens it could have from each slot.

        None where its prompt is scored: then it needs the logits of all of them, so it computes them.
        """
        return [0 if sequence.scores_prompt or slot.adapter != sequence.adapter
                else shared_prefix(slot.tokens, sequence.tokens) for slot in self._slots]

    def place(self, sequence: Sequence, shared: Many[int]) -> Copy | None:
        """Gives a sequence a free slot, with as much of its prompt as any slot holds; some slot must be free.

        `shared` says how much that is. Returns the copy that must be made for it. A sequence takes over the contents
        that it shares; those that it shares less than half of are left for their owner to come back to, as long as
        others are worth less.
        """
        free = [index for index, slot in enumerate(self._slots) if slot.sequence is None]
        source = max(range(len(shared)), key=lambda index: shared[index])
        similar = max(free, key=lambda index: (shared[index], -self._slots[index].last_used))
        target = min(free, key=lambda index: self._slots[index].last_used)
        if shared[similar] + MIN_GAIN > shared[source] and 2 * shared[similar] >= len(self._slots[similar].tokens):
            target = similar
        is_worth_it = shared[source] >= shared[target] + MIN_GAIN
        sequence.slot = target
        sequence.computed = sequence.computed_at_start = shared[source if is_worth_it else target]
        slot = self._slots[target]
        slot.tokens = sequence.tokens[:sequence.computed]
        slot.adapter = sequence.adapter
        slot.sequence = sequence
        return Copy(source, target, sequence.computed) if is_worth_it else None

    def write(self, slot: int, start: int, tokens: Many[int], step: int) -> None:
        """Notes that a step writes tokens into a slot from position `start` on, over whatever it held there."""
        self._slots[slot].tokens[start:] = tokens
        self._slots[slot].last_used = step

    def free(self, slot: int) -> None:
        """Ends a slot's use. What it holds stays."""
        self._slots[slot].sequence = None

    def forget(self) -> None:
        """Declares all contents lost; no slot may be in use."""
        for slot in self._slots:
            assert slot.sequence is None, 'the slot of a running sequence cannot be lost'
            slot.tokens = []
            slot.last_used = 0


def shared_prefix(held: Many[int], wanted: Many[int]) -> int:
    """Returns how many tokens need not be computed again; always fewer than all, for the last one yields the logits.

    Compares slices, which Python does fast: of twice the size while they are equal, then of half.
    """
    limit = min(len(held), len(wanted) - 1)
    start, size = 0, MIN_GAIN
    while start < limit and held[start:start + size] == wanted[start:start + size]:
        start += size
        size *= 2
    while size > 1:
        size //= 2
        if held[start:start + size] == wanted[start:start + size]:
            start += size
    return min(start, limit)
