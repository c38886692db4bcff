"""Which sequences the next step works on, and in which slots. Plain Python: knows no tensors, no text, no clock.

Every method runs on the engine thread, so there are no locks.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from sandle.engine.runner import Work
from sandle.engine.sequence import Sequence, Status
from sandle.engine.slots import MIN_GAIN, Copy, SlotTable, shared_prefix
from sandle.fairness import FairLine

PIECES = 8  # into which a step's tokens are cut at most, for prompts that do not fit into it


def largest_step(max_batch_tokens: int, slots: int) -> int:
    """Returns how many tokens a step may hold: of prompts, with what one exceeds the rest by, and one of each slot."""
    return max_batch_tokens + max_batch_tokens // PIECES + slots


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: first the copies in their order, then the work; `sequences[i]` is what `work[i]` belongs to.

    `placed` are the sequences that have just got a slot.
    """

    placed: list[Sequence] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)


class Scheduler:
    """Continuous batching: running sequences decode one token a step, prompts are prefilled in chunks beside them.

    A step computes `max_batch_tokens` tokens of prompts, so that a long prompt does not hold up those that are already
    being answered. They go to the prompts in the order of their admission; a prompt that must be cut is cut into pieces
    that are worth their step, and one that is a little longer is not cut. An admitted sequence gets a slot at once,
    unless a running one is computing a prefix that both share: that one it follows, and gets its slot when the prefix
    is there to be copied.
    """

    def __init__(self, slots: int, max_batch_tokens: int) -> None:
        self._slots = SlotTable(slots)
        self._max_batch_tokens = max_batch_tokens
        self._least_piece = max_batch_tokens // PIECES
        self._waiting: FairLine[str | None, Sequence] = FairLine()  # those that name no user are one user's
        self._admitted: list[Sequence] = []  # at most one for each slot, in the order of their admission
        self._steps = 0

    @property
    def waiting(self) -> int:
        """The number of sequences without a slot. Any thread."""
        return len(self._waiting) + len(self._admitted) - len(self.running)

    @property
    def running(self) -> Many[Sequence]:
        """The sequences that have a slot. Any thread."""
        return [sequence for sequence in self._admitted if sequence.slot is not None]

    def is_idle(self) -> bool:
        """Returns whether there is nothing to do."""
        return not self._waiting and not self._admitted

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence."""
        self._waiting.add(sequence.user, sequence, sequence.max_length)

    def line(self) -> Many[Sequence]:
        """Returns the sequences that have not been admitted, in the order of their turns as things stand."""
        return self._waiting.order()

    def end(self, sequence: Sequence) -> None:
        """Takes a sequence out, wherever it stands. Its slot keeps its tokens for those who share a prefix."""
        if sequence.status is Status.WAITING:
            self._waiting.remove(sequence.user, sequence)
        elif sequence.status is Status.ADMITTED:
            self._admitted.remove(sequence)
        if sequence.slot is not None:
            self._slots.free(sequence.slot)
        self._waiting.settle(sequence, len(sequence.tokens))
        sequence.status = Status.ENDED
        sequence.slot = None
        sequence.leader = None

    def schedule(self) -> Plan:
        """Returns the next step. Its work counts as done: a step that fails must be followed by `forget`."""
        self._steps += 1
        plan = Plan()
        self._admit()
        self._place(plan)
        decoding = [sequence for sequence in self.running if sequence.is_prefilled]
        prompts = [sequence for sequence in self.running if not sequence.is_prefilled]
        for sequence in sorted(decoding, key=lambda sequence: sequence.slot or 0):  # neighbours stay neighbours
            self._assign(plan, sequence, 1)
        budget = self._max_batch_tokens
        for sequence in prompts:
            if count := self._piece(len(sequence.tokens) - sequence.computed, budget):
                self._assign(plan, sequence, count)
                budget -= count
        return plan

    def _piece(self, left: int, budget: int) -> int:
        """Returns how many of the tokens that are left of a prompt this step computes.

        A few tokens take almost as long as many, so neither the piece nor what it leaves over may be small.
        """
        if budget < min(left, self._least_piece):
            return 0
        return left if left <= budget + self._least_piece else budget

    def forget(self) -> None:
        """Declares every slot's contents lost; nothing may be running."""
        self._slots.forget()

    def _assign(self, plan: Plan, sequence: Sequence, count: int) -> None:
        assert sequence.slot is not None, 'a running sequence has a slot'
        start, end = sequence.computed, sequence.computed + count
        tokens = sequence.tokens[start:end]
        self._slots.write(sequence.slot, start, tokens, self._steps)
        is_last = end == len(sequence.tokens)
        wants_all = sequence.scores_prompt and start < sequence.prompt_length
        plan.sequences.append(sequence)
        plan.work.append(Work(sequence.slot, start, tokens, count if wants_all else int(is_last), sequence.adapter,
                              sequence.prompt_length))
        sequence.computed = end

    def _admit(self) -> None:
        while len(self._admitted) < len(self._slots) and (sequence := self._waiting.take()) is not None:
            sequence.status = Status.ADMITTED
            self._admitted.append(sequence)

    def _place(self, plan: Plan) -> None:
        """Gives a slot to each admitted sequence that has none and need not wait for its leader any longer."""
        for position, sequence in enumerate(self._admitted):
            if sequence.slot is not None or sequence.is_following:
                continue
            shared = self._slots.shared(sequence)
            self._choose_leader(sequence, self._admitted[:position], max(shared))
            if sequence.leader is None:
                plan.placed.append(sequence)
                copy = self._slots.place(sequence, shared)
                if copy is not None:
                    plan.copies.append(copy)

    @staticmethod
    def _choose_leader(sequence: Sequence, earlier: Many[Sequence], held: int) -> None:
        """Lets a sequence follow the earlier one, if any, that is going to compute more of its prompt than is `held`.

        Since only earlier ones lead, no two wait for each other, and nobody waits for ever.
        """
        sequence.leader = None
        if sequence.scores_prompt:
            return  # it computes all of it by itself
        worth = held + MIN_GAIN
        for other in earlier:
            is_ahead = other.slot is not None and other.computed < other.prompt_length
            if is_ahead and other.adapter == sequence.adapter:
                shared = shared_prefix(other.tokens, sequence.tokens)
                if shared >= max(worth, other.computed + 1):
                    sequence.leader, sequence.awaited, worth = other, shared, shared + 1
