"""Sequences and steps as the engine makes them, for tests of the scheduler: no threads, no clock, no text."""

import itertools

from sandle.engine.engine import SamplingParams
from sandle.engine.scheduler import Scheduler
from sandle.engine.sequence import Sequence
from tests.engine.scripted import ScriptedRunner

noise = itertools.count()


def sequence(prompt: str, max_tokens: int = 4, scores_prompt: bool = False, user: str | None = None,
             adapter: str | None = None) -> Sequence:
    """A waiting sequence."""
    tokens = list(prompt.encode())
    return Sequence(tokens, len(tokens), SamplingParams(max_tokens=max_tokens), (0, 0, next(noise)),
                    scores_prompt=scores_prompt, user=user, adapter=adapter)


def step(scheduler: Scheduler, runner: ScriptedRunner) -> int:
    """Does one step as the engine does it; returns the number of tokens that it computed."""
    plan = scheduler.schedule()
    for copy in plan.copies:
        runner.copy_prefix(copy.source, copy.target, copy.length)
    logits, row = runner.step(plan.work), 0
    for item, work in zip(plan.sequences, plan.work):
        row += work.logits
        if work.logits and item.computed == len(item.tokens):
            item.tokens.append(int(logits[row - 1].argmax()))
            if item.generated == item.params.max_tokens:
                scheduler.end(item)
    return sum(len(work.tokens) for work in plan.work)


def run(scheduler: Scheduler, runner: ScriptedRunner) -> list[int]:
    """Steps until nothing is left to do; returns the tokens computed in each step."""
    computed = []
    while not scheduler.is_idle():
        computed.append(step(scheduler, runner))
        assert len(computed) < 1000, 'the scheduler makes no progress'
    return computed


def answer(item: Sequence) -> list[int]:
    """What was generated."""
    return item.tokens[item.prompt_length:]
