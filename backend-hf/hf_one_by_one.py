"""A ModelRunner for --batch-invariant: every token of every sequence is computed by itself, in a step of its own.

The sums that a library makes are ordered by the shapes of what it multiplies, so a token's logits can differ in their
last bits with what is computed beside it. By itself it always has the same shapes. This costs most of the speed.
"""

from collections.abc import Sequence

import torch

from sandle.engine.runner import ModelRunner, Work


class OneByOne:
    """See sandle.engine.runner.ModelRunner. Runs on the engine thread alone."""

    def __init__(self, runner: ModelRunner) -> None:
        self._runner = runner

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return self._runner.slots

    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        return torch.cat([self._runner.step([single]) for work in batch for single in singles(work)])

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix."""
        self._runner.copy_prefix(source, target, length)

    def release(self) -> None:
        """See ModelRunner.release."""
        self._runner.release()


def singles(work: Work) -> list[Work]:
    """Returns work of one token each that comes to the same."""
    silent = len(work.tokens) - work.logits
    return [Work(work.slot, work.start + index, (token,), int(index >= silent), work.adapter, work.prompt_length)
            for index, token in enumerate(work.tokens)]
