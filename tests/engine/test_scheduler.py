"""The scheduler with a runner that checks every slot's contents: no threads, no clock, no model."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from sandle.engine.engine import SamplingParams
from sandle.engine.scheduler import Scheduler
from sandle.engine.sequence import Sequence, Status
from tests.engine.scripted import ScriptedRunner, completion, next_token

noise = itertools.count()


def sequence(prompt: str, max_tokens: int = 4, scores_prompt: bool = False) -> Sequence:
    """A waiting sequence."""
    tokens = list(prompt.encode())
    return Sequence(tokens, len(tokens), SamplingParams(max_tokens=max_tokens), (0, 0, next(noise)),
                    scores_prompt=scores_prompt)


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


@settings(deadline=None)
@given(st.lists(st.tuples(st.text('ab', min_size=1, max_size=20), st.integers(1, 6), st.integers(0, 5),
                          st.one_of(st.none(), st.integers(0, 5))), max_size=12),
       st.integers(1, 3), st.integers(2, 12))
def test_every_sequence_gets_the_answer_it_gets_alone(
        requests: list[tuple[str, int, int, int | None]], slots: int, budget: int) -> None:
    """Arrivals, lengths, cancellations, slots and budgets at random; prefixes are shared all the time."""
    scheduler, runner = Scheduler(slots, budget), ScriptedRunner(slots)
    items = [(sequence(prompt, count), arrival, leaves) for prompt, count, arrival, leaves in requests]
    for now in range(6):
        for item, arrival, leaves in items:
            if arrival == now:
                scheduler.add(item)
            if leaves is not None and arrival + leaves == now and item.status is not Status.ENDED:
                scheduler.end(item)
        step(scheduler, runner)
    run(scheduler, runner)
    for item, arrival, leaves in items:
        wanted = completion(item.tokens[:item.prompt_length], item.params.max_tokens)
        assert answer(item) == (wanted if leaves is None else wanted[:item.generated])


def test_a_long_prompt_is_prefilled_in_chunks_beside_running_sequences() -> None:
    scheduler, runner = Scheduler(2, 8), ScriptedRunner(2)
    first, long = sequence('a', 20), sequence('b' * 30, 1)
    scheduler.add(first)
    step(scheduler, runner)
    scheduler.add(long)
    before = first.generated
    computed = [step(scheduler, runner) for _ in range(4)]
    assert first.generated == before + 4, 'the running sequence decodes in every step'
    assert max(computed) <= 8


def test_sequences_wait_for_a_slot_in_their_order() -> None:
    scheduler, runner = Scheduler(1, 16), ScriptedRunner(1)
    items = [sequence(prompt, 2) for prompt in ('a', 'b', 'c')]
    for item in items:
        scheduler.add(item)
    assert (scheduler.waiting, len(scheduler.running)) == (3, 0)
    order = []
    while not scheduler.is_idle():
        step(scheduler, runner)
        order += [item for item in items if item.status is Status.ENDED and item not in order]
    assert order == items


def test_a_later_sequence_computes_only_what_no_slot_holds() -> None:
    scheduler, runner = Scheduler(2, 64), ScriptedRunner(2)
    scheduler.add(sequence('abcdefgh', 1))
    run(scheduler, runner)
    scheduler.add(sequence('abcdefxy', 1))
    assert run(scheduler, runner) == [2]
    assert not runner.copies, 'the slot that holds the prefix is free, so it is used as it is'


def test_a_prefix_is_copied_from_a_slot_in_use() -> None:
    scheduler, runner = Scheduler(2, 64), ScriptedRunner(2)
    running = sequence('abcdefgh', 9)
    scheduler.add(running)
    step(scheduler, runner)
    late = sequence('abcdefxy', 1)
    scheduler.add(late)
    step(scheduler, runner)
    assert runner.copies == [(0, 1, 6)]
    assert answer(late) == [next_token(b'abcdefxy')]


def test_a_prompt_that_is_scored_is_computed_whole() -> None:
    scheduler, runner = Scheduler(1, 4), ScriptedRunner(1)
    for _ in range(2):
        scheduler.add(sequence('abcdefgh', 1, scores_prompt=True))
        run(scheduler, runner)
    assert [[work.logits for work in batch] for batch in runner.steps] == [[4], [4]] * 2


def test_an_ended_sequence_frees_its_slot_for_the_next_step() -> None:
    scheduler, runner = Scheduler(1, 16), ScriptedRunner(1)
    first, second = sequence('a', 50), sequence('b', 1)
    scheduler.add(first)
    step(scheduler, runner)
    scheduler.add(second)
    scheduler.end(first)
    step(scheduler, runner)
    assert answer(second) == [next_token(b'b')]


def test_forgotten_slots_are_not_reused() -> None:
    scheduler, runner = Scheduler(1, 16), ScriptedRunner(1)
    scheduler.add(sequence('abcdef', 1))
    run(scheduler, runner)
    scheduler.forget()
    runner.held = [[]]
    scheduler.add(sequence('abcdef', 1))
    assert run(scheduler, runner) == [6]
