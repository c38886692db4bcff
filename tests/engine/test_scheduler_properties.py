"""What holds of every schedule: random arrivals, lengths, users, cancellations and failures, with shared prefixes."""

from collections.abc import Sequence as Many
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sandle.engine.scheduler import Scheduler
from sandle.engine.sequence import Sequence, Status
from tests.engine.scripted import ScriptedRunner, completion
from tests.engine.stepping import answer, sequence, step

BASES = ('abcdefghijklmnopqrstuvwxyz' * 3, 'abcdefghijklmnopqrst' + 'z' * 60, 'b' * 50)


@dataclass(frozen=True)
class Arrival:
    """A sequence, the step before which it arrives, and how many steps later it leaves, if it does not wait."""

    item: Sequence
    step: int
    leaves_after: int | None


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Prompts that share prefixes of every length."""
    base = draw(st.sampled_from(BASES))
    prompt = base[:draw(st.integers(0, len(base)))] + draw(st.text('ab', max_size=4))
    item = sequence(prompt or 'a', draw(st.integers(1, 6)), draw(st.sampled_from([False, False, False, True])),
                    draw(st.sampled_from([None, 'one', 'two'])))
    return Arrival(item, draw(st.integers(0, 5)), draw(st.none() | st.integers(0, 8)))


def check(scheduler: Scheduler, runner: ScriptedRunner) -> None:
    """A step must get on, and no two sequences may have one slot."""
    is_idle = scheduler.is_idle()
    assert step(scheduler, runner) > 0 or is_idle, 'nobody is worked on'
    slots = [item.slot for item in scheduler.running]
    assert len(slots) == len(set(slots)) <= runner.slots


def fail(scheduler: Scheduler, runner: ScriptedRunner) -> Many[Sequence]:
    """A step that fails: it ends its members, and all slots' contents are lost. Returns who was in it."""
    members = scheduler.running
    for item in members:
        scheduler.end(item)
    scheduler.forget()
    runner.held = [[] for _ in range(runner.slots)]
    return members


@settings(deadline=None)
@given(st.lists(arrivals(), max_size=12), st.integers(1, 4), st.integers(2, 40), st.none() | st.integers(0, 8))
def test_every_sequence_gets_the_answer_it_gets_alone(requests: list[Arrival], slots: int, budget: int,
                                                      fails_at: int | None) -> None:
    scheduler, runner = Scheduler(slots, budget), ScriptedRunner(slots)
    left: set[Sequence] = set()
    # A step that is not idle computes at least a token, so this many are enough for all.
    for now in range(15 + sum(len(each.item.tokens) + each.item.params.max_tokens for each in requests)):
        for each in requests:
            if each.step == now:
                scheduler.add(each.item)
            has_come = each.step <= now and each.item.status is not Status.ENDED
            if has_come and each.leaves_after is not None and each.step + each.leaves_after == now:
                scheduler.end(each.item)
                left.add(each.item)
        if fails_at == now:
            left.update(fail(scheduler, runner))
        check(scheduler, runner)
    assert scheduler.is_idle()
    assert (scheduler.waiting, len(scheduler.running)) == (0, 0)
    for each in requests:
        assert each.item.status is Status.ENDED and each.item.slot is None
        wanted = completion(each.item.tokens[:each.item.prompt_length], each.item.params.max_tokens)
        assert answer(each.item) == (wanted[:each.item.generated] if each.item in left else wanted)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 12), st.integers(2, 30))
def test_a_prefix_shared_by_all_is_computed_once(prefix: int, own: int, count: int, budget: int) -> None:
    prompts = ['a' * (20 + prefix) + chr(ord('b') + number) * own for number in range(count)]
    scheduler, runner = Scheduler(count, budget), ScriptedRunner(count)
    for prompt in prompts:
        scheduler.add(sequence(prompt, 1))
    while not scheduler.is_idle():
        step(scheduler, runner)
    assert sum(len(work.tokens) for batch in runner.steps for work in batch) == 20 + prefix + count * own
