"""Which sequences the next step works on, and in which slots. Plain Python: knows no tensors, no text, no clock.

Every method runs on the engine thread, so there are no locks.
"""

from collections import deque
from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from sandle.engine.runner import Work
from sandle.engine.sequence import Sequence, Status


@dataclass(frozen=True, slots=True)
class Copy:
    """A prefix to be copied between slots before the step."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: first the copies in their order, then the work; `sequences[i]` is what `work[i]` belongs to.

    `admitted` are the sequences that have just got a slot.
    """

    admitted: list[Sequence] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)


@dataclass(slots=True)
class Slot:
    """What a slot holds: the tokens computed in it, whose prefix a later sequence may reuse, and who uses it now."""

    tokens: list[int] = field(default_factory=list)
    sequence: Sequence | None = None
    last_used: int = 0


class Scheduler:
    """Continuous batching: running sequences decode one token a step, prompts are prefilled in chunks beside them.

    A step computes at most `max_batch_tokens` tokens, decoding first, so that a long prompt does not hold up those that
    are already being answered. Waiting sequences are admitted first come, first served, each into the free slot whose
    tokens share the longest prefix with it, or into one that receives a copy of a longer prefix.
    """

    def __init__(self, slots: int, max_batch_tokens: int) -> None:
        self._slots = [Slot() for _ in range(slots)]
        self._max_batch_tokens = max(max_batch_tokens, slots + 1)
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._steps = 0

    @property
    def waiting(self) -> int:
        """The number of sequences without a slot."""
        return len(self._waiting)

    @property
    def running(self) -> Many[Sequence]:
        """The sequences that have a slot."""
        return self._running

    def is_idle(self) -> bool:
        """Returns whether there is nothing to do."""
        return not self._waiting and not self._running

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence."""
        self._waiting.append(sequence)

    def end(self, sequence: Sequence) -> None:
        """Takes a sequence out, wherever it stands. Its slot keeps its tokens for those who share a prefix."""
        if sequence.status is Status.WAITING:
            self._waiting.remove(sequence)
        elif sequence.status is Status.RUNNING and sequence.slot is not None:
            self._running.remove(sequence)
            self._slots[sequence.slot].sequence = None
        sequence.status = Status.ENDED
        sequence.slot = None

    def schedule(self) -> Plan:
        """Returns the next step. Its work counts as done: a step that fails must be followed by `forget`."""
        self._steps += 1
        plan = Plan()
        self._admit(plan)
        budget = self._max_batch_tokens
        for sequence in sorted(self._running, key=lambda sequence: not sequence.is_prefilled):
            count = min(len(sequence.tokens) - sequence.computed, budget)
            if count > 0:
                self._assign(plan, sequence, count)
                budget -= count
        return plan

    def forget(self) -> None:
        """Declares every slot's contents lost; nothing may be running."""
        assert not self._running, 'the slots of running sequences cannot be lost'
        for slot in self._slots:
            slot.tokens = []

    def _assign(self, plan: Plan, sequence: Sequence, count: int) -> None:
        assert sequence.slot is not None, 'a running sequence has a slot'
        start, end = sequence.computed, sequence.computed + count
        tokens = sequence.tokens[start:end]
        slot = self._slots[sequence.slot]
        slot.tokens[start:] = tokens
        slot.last_used = self._steps
        is_last = end == len(sequence.tokens)
        wants_all = sequence.scores_prompt and start < sequence.prompt_length
        plan.sequences.append(sequence)
        plan.work.append(Work(sequence.slot, start, tokens, count if wants_all else int(is_last)))
        sequence.computed = end

    def _admit(self, plan: Plan) -> None:
        while self._waiting and len(self._running) < len(self._slots):
            sequence = self._waiting.popleft()
            self._place(plan, sequence)
            sequence.status = Status.RUNNING
            self._running.append(sequence)
            plan.admitted.append(sequence)

    def _place(self, plan: Plan, sequence: Sequence) -> None:
        """Gives a sequence a slot, with as much of its prompt already computed as any slot holds."""
        shared = [0 if sequence.scores_prompt else _shared_prefix(slot.tokens, sequence.tokens) for slot in self._slots]
        free = [index for index, slot in enumerate(self._slots) if slot.sequence is None]
        source = max(range(len(self._slots)), key=lambda index: shared[index])
        # Among free slots the one that shares most; where all share alike, the one unused for longest.
        target = max(free, key=lambda index: (shared[index], -self._slots[index].last_used))
        if shared[source] > shared[target]:
            target = min(free, key=lambda index: self._slots[index].last_used)
            plan.copies.append(Copy(source, target, shared[source]))
        sequence.slot = target
        sequence.computed = sequence.computed_at_start = shared[source]
        slot = self._slots[target]
        slot.tokens = list(sequence.tokens[:sequence.computed])
        slot.sequence = sequence


def _shared_prefix(held: Many[int], wanted: Many[int]) -> int:
    """Returns how many tokens need not be computed again; always fewer than all, for the last one yields the logits."""
    limit = min(len(held), len(wanted) - 1)
    if list(held[:limit]) == list(wanted[:limit]):
        return limit
    return next(index for index in range(limit) if held[index] != wanted[index])
