"""One sequence on its way through the model: its tokens, its place, its end. Plain data of the engine thread."""

import enum
from dataclasses import dataclass

from sandle.engine.engine import SamplingParams


class Status(enum.Enum):
    """Where a sequence stands."""

    WAITING = 'waiting'
    ADMITTED = 'admitted'
    ENDED = 'ended'


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of a request.

    `tokens` holds the prompt and then what was generated; the first `computed` of them are in the slot;
    `computed_at_start` were there already when it got the slot. `noise_key` tells the sequences of one seed apart. A
    sequence that `scores_prompt` needs the logits of its whole prompt. `user` is whose it is, for fairness;
    `adapter` the one that the model has for it. One that waits without a slot until its `leader` has computed `awaited`
    tokens, which both share, is following.
    """

    tokens: list[int]
    prompt_length: int
    params: SamplingParams
    noise_key: tuple[int, int, int]
    scores_prompt: bool = False
    user: str | None = None
    adapter: str | None = None
    status: Status = Status.WAITING
    slot: int | None = None
    computed: int = 0
    computed_at_start: int = 0
    leader: 'Sequence | None' = None
    awaited: int = 0

    @property
    def generated(self) -> int:
        """The number of tokens generated so far."""
        return len(self.tokens) - self.prompt_length

    @property
    def max_length(self) -> int:
        """The number of tokens that it may have at its end."""
        return self.prompt_length + self.params.max_tokens

    @property
    def is_prefilled(self) -> bool:
        """Whether only the newest token is still to be computed, so that a step yields the next one."""
        return self.computed >= len(self.tokens) - 1

    @property
    def is_following(self) -> bool:
        """Whether its leader is still computing what both share."""
        leader = self.leader
        return leader is not None and leader.status is not Status.ENDED and leader.computed < self.awaited
