"""The seam between the engine thread and what works on one model's sequences: step by step, until their last token.

`sandle.engine.stepper` implements it over a ModelRunner; a library that batches by itself is wrapped in another one.
"""

from typing import Protocol

from sandle.engine.answer import RequestHandle
from sandle.errors import ApiError


class Steps(Protocol):
    """The sequences of one model in memory. Engine thread only, but for the counts."""

    @property
    def active(self) -> int:
        """The number of sequences that wait or run. Any thread."""
        ...

    @property
    def waiting(self) -> int:
        """The number of sequences without a slot. Any thread."""
        ...

    @property
    def running(self) -> int:
        """The number of sequences that have a slot. Any thread."""
        ...

    def add(self, handle: RequestHandle) -> None:
        """Queues a request's sequences."""
        ...

    def drop(self, handle: RequestHandle) -> None:
        """Takes a request's sequences out: their slots are free for the next step, or soon after."""
        ...

    def step(self) -> None:
        """Works on the sequences for a short while: computes a token more, or waits for one. Some must be active."""
        ...

    def fail(self, error: ApiError) -> None:
        """Ends every request with an error."""
        ...

    def reset(self, error: ApiError) -> None:
        """Ends the requests that run, after a step that failed. Those that wait go on waiting."""
        ...
