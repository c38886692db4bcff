"""The scheduler with a runner that checks every slot's contents: no threads, no clock, no model."""

import pytest

from sandle.engine.scheduler import Scheduler, largest_step
from sandle.engine.sequence import Sequence, Status
from tests.engine.scripted import ScriptedRunner, next_token
from tests.engine.stepping import answer, run, sequence, step

LONG = 'abcdefghijklmnopqrst'  # a prefix worth sharing


def test_a_long_prompt_is_prefilled_in_chunks_beside_running_sequences() -> None:
    scheduler, runner = Scheduler(2, 8), ScriptedRunner(2)
    first, long = sequence('a', 20), sequence('b' * 30, 1)
    scheduler.add(first)
    step(scheduler, runner)
    scheduler.add(long)
    before = first.generated
    computed = [step(scheduler, runner) for _ in range(4)]
    assert first.generated == before + 4, 'the running sequence decodes in every step'
    assert computed == [1 + 8, 1 + 8, 1 + 8, 1 + 6]


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
    running = sequence(LONG + 'gh', 9)
    scheduler.add(running)
    step(scheduler, runner)
    late = sequence(LONG + 'xy', 1)
    scheduler.add(late)
    assert step(scheduler, runner) == 1 + 2
    assert runner.copies == [(0, 1, 20)]
    assert answer(late) == [next_token(f'{LONG}xy'.encode())]


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


def arrive(scheduler: Scheduler, *items: Sequence) -> None:
    """Queues sequences at once."""
    for item in items:
        scheduler.add(item)


def test_sequences_that_arrive_together_compute_their_prefix_once() -> None:
    scheduler, runner = Scheduler(4, 64), ScriptedRunner(4)
    items = [sequence(LONG * 3 + end, 3) for end in ('ab', 'cd', 'ef', 'gh')]
    arrive(scheduler, *items)
    assert step(scheduler, runner) == 62, 'only the first one computes; the others wait for it'
    assert (scheduler.waiting, len(scheduler.running)) == (3, 1)
    assert step(scheduler, runner) == 1 + 3 * 2
    assert runner.copies == [(0, 1, 60), (0, 2, 60), (0, 3, 60)]
    assert [item.computed_at_start for item in items] == [0, 60, 60, 60]
    run(scheduler, runner)
    assert [answer(item)[0] for item in items] == [next_token(item.tokens[:62]) for item in items]


def test_candidates_of_one_prompt_compute_its_last_token_alone() -> None:
    scheduler, runner = Scheduler(4, 512), ScriptedRunner(4)
    arrive(scheduler, *(sequence(LONG, 9) for _ in range(4)))
    assert [step(scheduler, runner) for _ in range(3)] == [20, 1 + 3, 4]


def test_followers_go_on_as_soon_as_what_they_share_is_there() -> None:
    scheduler, runner = Scheduler(2, 16), ScriptedRunner(2)
    leader, follower = sequence(LONG + 'z' * 60, 1), sequence(LONG + 'a', 1)
    arrive(scheduler, leader, follower)
    assert [step(scheduler, runner) for _ in range(2)] == [16, 16]
    step(scheduler, runner)
    assert runner.copies == [(0, 1, 20)] and leader.computed < leader.prompt_length


def test_nobody_follows_a_leader_that_has_another_adapter() -> None:
    scheduler, runner = Scheduler(2, 20), ScriptedRunner(2)
    leader, other = sequence(LONG * 3, 1), sequence(LONG * 3, 1, adapter='poet')
    arrive(scheduler, leader, other)
    run(scheduler, runner)
    assert runner.copies == [] and other.computed_at_start == 0
    assert len(answer(leader)) == len(answer(other)) == 1


def test_a_follower_takes_over_the_slot_of_a_leader_that_has_ended() -> None:
    scheduler, runner = Scheduler(2, 64), ScriptedRunner(2)
    arrive(scheduler, sequence(LONG, 1), sequence(LONG, 1))
    assert run(scheduler, runner) == [20, 1]
    assert not runner.copies


@pytest.mark.parametrize('steps', [1, 2])
def test_a_follower_goes_on_without_a_leader_that_leaves(steps: int) -> None:
    scheduler, runner = Scheduler(3, 16), ScriptedRunner(3)
    leader, *followers = [sequence(LONG * 3, 1) for _ in range(3)]
    arrive(scheduler, leader, *followers)
    for _ in range(steps):
        step(scheduler, runner)
    scheduler.end(leader)
    assert sum(run(scheduler, runner)) == 60 - 16 * steps + 1, 'one of them takes over what is there, and leads'
    assert all(answer(item) == [next_token(item.tokens[:60])] for item in followers)


def test_a_follower_outlives_a_step_that_fails() -> None:
    scheduler, runner = Scheduler(2, 8), ScriptedRunner(2)
    leader, follower = sequence(LONG, 1), sequence(LONG, 1)
    arrive(scheduler, leader, follower)
    scheduler.schedule()
    scheduler.end(leader)
    scheduler.forget()
    assert run(scheduler, runner) == [8, 8, 4]
    assert answer(follower) == [next_token(LONG.encode())]


def test_a_follower_that_leaves_is_gone() -> None:
    scheduler, runner = Scheduler(2, 8), ScriptedRunner(2)
    leader, follower = sequence(LONG, 1), sequence(LONG, 1)
    arrive(scheduler, leader, follower)
    step(scheduler, runner)
    scheduler.end(follower)
    assert (scheduler.waiting, len(scheduler.running)) == (0, 1)
    assert run(scheduler, runner) == [8, 4]


def test_prompts_that_are_scored_neither_wait_nor_reuse() -> None:
    scheduler, runner = Scheduler(2, 64), ScriptedRunner(2)
    arrive(scheduler, *(sequence(LONG, 1, scores_prompt=True) for _ in range(2)))
    assert run(scheduler, runner) == [40]


def test_a_scored_prompt_may_lead() -> None:
    scheduler, runner = Scheduler(2, 64), ScriptedRunner(2)
    arrive(scheduler, sequence(LONG + 'a', 2, scores_prompt=True), sequence(LONG + 'b', 1))
    assert run(scheduler, runner) == [21, 2]


def test_prompts_share_the_budget_in_the_order_of_their_admission() -> None:
    scheduler, runner = Scheduler(3, 16), ScriptedRunner(3)
    decoding, long, short = sequence('a', 20), sequence('b' * 40, 1), sequence('c' * 4, 1)
    arrive(scheduler, decoding)
    step(scheduler, runner)
    arrive(scheduler, long, short)
    ended = {item: 0 for item in (long, short)}
    for number in range(1, 9):
        step(scheduler, runner)
        ended.update({item: ended[item] or number for item in ended if item.status is Status.ENDED})
    assert decoding.generated == 9, 'it is held up in no step'
    assert ended == {long: 3, short: 3}, '16 tokens of prompts a step: 40 of them, and then 4 beside the last 8'


def test_a_prompt_is_cut_into_pieces_that_are_worth_their_step() -> None:
    scheduler, runner = Scheduler(4, 64), ScriptedRunner(4)
    prompts = ('a' * 60, 'b' * 70, 'c' * 80, 'd' * 30)
    arrive(scheduler, *(sequence(prompt, 1) for prompt in prompts))
    run(scheduler, runner)
    assert [[len(work.tokens) for work in batch] for batch in runner.steps] == [[60], [70], [64], [16, 30]], (
        'no step has the 4 tokens that it had room for; 6 too many are taken along, 16 are not')


@pytest.mark.parametrize('max_batch_tokens', [1, 7, 8, 64])
def test_no_step_is_larger_than_the_largest(max_batch_tokens: int) -> None:
    scheduler, runner = Scheduler(3, max_batch_tokens), ScriptedRunner(3)
    lengths = [max_batch_tokens, *range(1, 2 * max_batch_tokens), 5 * max_batch_tokens]
    arrive(scheduler, *(sequence(chr(33 + length % 90) * length, 3) for length in lengths))
    assert max(run(scheduler, runner)) <= largest_step(max_batch_tokens, 3)


def test_answers_are_computed_in_the_order_of_their_slots() -> None:
    scheduler, runner = Scheduler(3, 64), ScriptedRunner(3)
    brief, *others = [sequence(letter, length) for letter, length in (('a', 1), ('b', 9), ('c', 9))]
    arrive(scheduler, brief, *others)
    step(scheduler, runner)
    arrive(scheduler, sequence('d', 9))
    for _ in range(2):
        step(scheduler, runner)
    assert [work.slot for work in runner.steps[-1]] == [0, 1, 2]


def test_a_steady_stream_of_one_user_does_not_hold_up_another() -> None:
    scheduler, runner = Scheduler(2, 16), ScriptedRunner(2)
    arrive(scheduler, *(sequence('a', 2, user='many') for _ in range(20)))
    step(scheduler, runner)
    one = sequence('b', 2, user='one')
    arrive(scheduler, one)
    for _ in range(4):
        arrive(scheduler, *(sequence('a', 2, user='many') for _ in range(2)))
        step(scheduler, runner)
    assert one.status is Status.ENDED and scheduler.waiting > 10
