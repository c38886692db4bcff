"""The engine thread over scripted models: answers, errors, cancellation, loading and switching."""

import threading
import time
from dataclasses import replace

import pytest

from sandle import errors
from sandle.engine.engine import Delta, Finished, FinishReason, GenerationRequest, ModelStatus
from sandle.engine.loop import EngineOptions
from tests.engine.scripted import BOS, EOS, ScriptedLoader
from tests.engine.serving import PATIENCE_S, Started, collect, eventually, greedy, ready, request, status, text


def test_answer_has_text_tokens_reason_and_usage(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    deltas, usage = collect(engine.submit(request('ab', max_tokens=5, logprobs=2)))
    assert text(deltas) == greedy('ab', 5)
    assert deltas[-1].finish_reason is FinishReason.LENGTH
    assert usage == Finished(prompt_tokens=2, completion_tokens=5)
    for token in (token for delta in deltas for token in delta.tokens):
        assert token.top is not None and len(token.top) == 2
        assert token.top[0] == (token.id, token.text, token.logprob), 'greedy: the chosen token is the likeliest'


def test_end_token_ends_with_stop_and_is_in_no_text(start: Started) -> None:
    engine = ready(start, ScriptedLoader(likeliest=lambda tokens: EOS if len(tokens) == 4 else ord('x')))
    deltas, usage = collect(engine.submit(request('ab', max_tokens=9, logprobs=0)))
    assert (text(deltas), deltas[-1].finish_reason) == ('xx', FinishReason.STOP)
    assert [token.text for delta in deltas for token in delta.tokens] == ['x', 'x', '</s>']
    assert usage.completion_tokens == 3
    ignoring, _ = collect(engine.submit(request('ab', max_tokens=4, ignore_eos=True)))
    assert (text(ignoring), ignoring[-1].finish_reason) == ('xxx', FinishReason.LENGTH)
    at_least, _ = collect(engine.submit(request('ab', max_tokens=9, min_tokens=3)))
    assert len(at_least) > 3, 'the end token is not chosen before min_tokens'


def test_stop_string_ends_the_answer_before_it(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    whole = greedy('ab', 8)
    stop = whole[3:5]
    deltas, _ = collect(engine.submit(request('ab', max_tokens=8, stops=('never', stop))))
    assert text(deltas) == whole[:whole.index(stop)]
    assert deltas[-1].finish_reason is FinishReason.STOP


def test_text_held_back_for_a_stop_comes_at_the_end(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    whole = greedy('ab', 4)
    deltas, _ = collect(engine.submit(request('ab', max_tokens=4, stops=(whole[-2:] + 'X',))))
    assert text(deltas) == whole


def test_several_prompts_and_candidates_are_numbered_in_the_contracts_order(start: Started) -> None:
    engine = ready(start, ScriptedLoader(slots=2))
    handle = engine.submit(request(prompts=('ab', 'cd', (101, 102)), candidates=2))
    deltas, usage = collect(handle)
    assert [text(deltas, choice) for choice in range(6)] == [greedy(p, 5) for p in ('ab', 'ab', 'cd', 'cd', 'ef', 'ef')]
    assert usage == Finished(prompt_tokens=6, completion_tokens=30), 'each prompt counts once'
    assert handle.prompt_ids == ((97, 98), (99, 100), (101, 102))


def test_seeded_samples_do_not_depend_on_the_neighbours(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    alone, _ = collect(engine.submit(request('ab', temperature=1.9, seed=7, max_tokens=12, candidates=2)))
    handles = [engine.submit(request(prompt, temperature=1.9, seed=7, max_tokens=12, candidates=2))
               for prompt in ('xyz', 'ab', 'abab')]
    among, _ = collect(handles[1])
    assert [text(among, choice) for choice in (0, 1)] == [text(alone, choice) for choice in (0, 1)]
    assert text(alone, 0) != text(alone, 1), 'the candidates of one seed differ'


def test_echo_shows_the_prompt_first_and_scores_it(start: Started) -> None:
    engine = ready(start, ScriptedLoader(), EngineOptions(max_batch_tokens=2))  # so that it is scored in chunks
    deltas, usage = collect(engine.submit(request('abcdefg', max_tokens=1, echo=True, logprobs=1)))
    assert deltas[0].is_prompt and deltas[0].text == 'abcdefg'
    tokens = deltas[0].tokens
    assert [token.text for token in tokens] == list('abcdefg')
    assert tokens[0].logprob is None and all(token.logprob is not None for token in tokens[1:])
    alone, _ = collect(engine.submit(request('abc', max_tokens=1, logprobs=1)))
    assert alone[0].tokens[0].top == tokens[3].top, 'what is likely after abc'
    assert usage == Finished(7, 1)


def test_max_tokens_0_scores_and_generates_nothing(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    deltas, usage = collect(engine.submit(request('abc', max_tokens=0, echo=True)))
    assert text(deltas) == 'abc' and deltas[-1].finish_reason is FinishReason.LENGTH
    assert usage == Finished(3, 0)


def test_empty_prompt_is_the_beginning_of_text(start: Started) -> None:
    handle = ready(start, ScriptedLoader()).submit(request(''))
    assert handle.prompt_ids == ((BOS,),)


@pytest.mark.parametrize(('wrong', 'error', 'param'), [
    (request('ab', model='third'), errors.ModelNotFoundError, 'model'),
    (request('a' * 100, max_tokens=29), errors.ContextLengthExceededError, 'max_tokens'),
    (request('a' * 200), errors.ContextLengthExceededError, 'prompt'),
    (request('ab', max_tokens=2 ** 63 - 1), errors.ContextLengthExceededError, 'max_tokens'),
    (request((5, 300)), errors.InvalidRequestError, 'prompt'),
    (request('ab', logit_bias=((300, 1.0),)), errors.InvalidRequestError, 'logit_bias'),
])
def test_wrong_requests_are_refused_at_once(start: Started, wrong: GenerationRequest, error: type[errors.ApiError],
                                            param: str) -> None:
    engine = ready(start, ScriptedLoader())
    with pytest.raises(error) as raised:
        engine.submit(wrong)
    assert raised.value.param == param
    collect(engine.submit(request('a' * 100, max_tokens=28)))


def test_a_step_that_fails_ends_its_members_and_nobody_else(start: Started) -> None:
    loader = ScriptedLoader()
    engine = ready(start, loader)
    loader.runners['first'].fails_on = lambda work: list(work.tokens) == [ord('!')]
    with pytest.raises(errors.InternalError):
        collect(engine.submit(request('!')))
    loader.runners['first'].held = [[] for _ in range(4)]  # what the slots held is lost, and must not be built upon
    assert text(collect(engine.submit(request('ab')))[0]) == greedy('ab', 5)


def test_prompts_that_arrive_together_are_computed_in_one_step(start: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('sandle.engine.loop.GATHER_S', 0.5)  # so that it does not matter how busy the machine is
    monkeypatch.setattr('sandle.engine.loop.GATHER_LIMIT_S', 5.0)
    loader = ScriptedLoader()
    engine = ready(start, loader)
    handles = []
    for letter in 'abc':
        handles.append(engine.submit(request(letter)))
        time.sleep(0.05)  # for the engine to begin, if it does not wait
    for handle in handles:
        collect(handle)
    assert len(loader.runners['first'].steps[0]) == 3


def test_cancel_frees_the_slot_and_counts_what_was_used(start: Started) -> None:
    loader = ScriptedLoader(slots=1, context_length=10 ** 6)
    engine = ready(start, loader)
    endless = engine.submit(request('ab', max_tokens=10 ** 5, ignore_eos=True))
    waiting = engine.submit(request('cd'))
    assert isinstance(endless.get(PATIENCE_S), Delta)
    used = endless.cancel()
    assert used.prompt_tokens == 2 and used.completion_tokens >= 1
    assert text(collect(waiting)[0]) == greedy('cd', 5)
    assert endless.cancel().completion_tokens < 10 ** 5
    waiting.cancel()


def test_place_in_the_queue_is_known_while_nothing_of_a_request_is_worked_on(start: Started) -> None:
    engine = ready(start, ScriptedLoader(slots=1, context_length=10 ** 6))
    endless = engine.submit(request('ab', max_tokens=10 ** 5, ignore_eos=True))
    first = engine.submit(request('cd', candidates=3, max_tokens=3))
    second = engine.submit(request('ef', max_tokens=30))
    eventually(lambda: (first.position(), second.position()) == (1, 2))
    assert endless.position() is None
    endless.cancel()
    collect(first)
    collect(second)
    assert first.position() is None and second.position() is None


def test_turns_are_shared_between_users(start: Started) -> None:
    engine = ready(start, ScriptedLoader(slots=1, context_length=10 ** 6))
    endless = engine.submit(request('ab', max_tokens=10 ** 5, ignore_eos=True))
    flood = [engine.submit(replace(request('cd'), user='flood')) for _ in range(20)]
    visitor = engine.submit(replace(request('ef'), user='visitor'))
    eventually(lambda: visitor.position() == 2 and flood[19].position() == 21)
    for handle in (endless, *flood):
        handle.cancel()
    assert text(collect(visitor)[0]) == greedy('ef', 5)


def test_a_burst_of_requests_takes_no_more_room_than_there_is(start: Started) -> None:
    """They all come while the engine thread is busy with a step."""
    loader = ScriptedLoader(slots=1)
    engine = ready(start, loader, EngineOptions(max_queue=6))
    loader.runners['first'].gate = threading.Event()
    handles = [engine.submit(request('ab', candidates=3)) for _ in range(2)]
    with pytest.raises(errors.QueueFullError):
        engine.submit(request('ab', candidates=3))
    handles.append(engine.submit(request('ab')))
    loader.runners['first'].gate.set()
    for handle in handles:
        collect(handle)
    assert engine.submit(request('ab', candidates=7)).cancel()


def test_get_times_out_while_nothing_comes(start: Started) -> None:
    loader = ScriptedLoader()
    engine = ready(start, loader)
    loader.runners['first'].gate = threading.Event()
    handle = engine.submit(request('ab'))
    with pytest.raises(TimeoutError):
        handle.get(0.01)
    loader.runners['first'].gate.set()
    collect(handle)


def test_a_full_queue_refuses_and_says_when_to_come_back(start: Started) -> None:
    loader = ScriptedLoader(slots=1)
    engine = ready(start, loader, EngineOptions(max_queue=2))
    loader.runners['first'].gate = threading.Event()
    handles = [engine.submit(request('ab')) for _ in range(3)]
    with pytest.raises(errors.QueueFullError) as raised:
        engine.submit(request('ab'))
    assert raised.value.headers() == {'Retry-After': '1'}
    loader.runners['first'].gate.set()
    for handle in handles:
        collect(handle)


def test_statistics_count_what_became_of_requests_and_tokens(start: Started) -> None:
    loader = ScriptedLoader(slots=1, context_length=10 ** 6)
    engine = ready(start, loader, EngineOptions(max_queue=1))
    collect(engine.submit(request('abcd', max_tokens=5)))
    collect(engine.submit(request('abcd', max_tokens=9, stops=(greedy('abcd', 2)[-1],))))
    loader.runners['first'].fails_on = lambda work: list(work.tokens) == [ord('!')]
    with pytest.raises(errors.InternalError):
        collect(engine.submit(request('!')))
    endless = engine.submit(request('xy', max_tokens=10 ** 5, ignore_eos=True))
    endless.get(PATIENCE_S)
    now = engine.statistics()
    assert (now.running, now.waiting, now.slots) == (1, 0, 1)
    with pytest.raises(errors.QueueFullError):
        engine.submit(request('ab', candidates=2))
    endless.cancel()
    eventually(lambda: engine.statistics().requests['cancelled'] == 1)
    endless.cancel()
    after = engine.statistics()
    assert after.requests == {'stop': 1, 'length': 1, 'cancelled': 1, 'error': 1, 'rejected': 1}
    assert (after.prompt_tokens, after.prefix_hit_tokens) == (4 + 4 + 1 + 2, 3)
    assert after.completion_tokens == 5 + 2 + endless.cancel().completion_tokens
    assert sum(after.queue_s.counts) == 4 and sum(after.first_token_s.counts) == 3
    assert sum(after.inter_token_s.counts) == after.completion_tokens - 3
    assert after.steps >= 7 and 0 < after.model_seconds < after.step_seconds


def test_shutdown_ends_running_and_later_requests(start: Started) -> None:
    loader = ScriptedLoader(slots=1, context_length=10 ** 6)
    engine = ready(start, loader)
    handle = engine.submit(request('ab', max_tokens=10 ** 5, ignore_eos=True))
    handle.get(PATIENCE_S)
    engine.shutdown()
    with pytest.raises(errors.ShuttingDownError):
        collect(handle)
    with pytest.raises(errors.ShuttingDownError):
        engine.submit(request('ab'))
    assert loader.runners['first'].is_released and not engine.is_ready()


def test_another_model_is_loaded_on_demand_after_the_running_requests(start: Started) -> None:
    loader = ScriptedLoader()
    engine = ready(start, loader)
    loader.runners['first'].gate = threading.Event()
    running = engine.submit(request('ab'))
    with pytest.raises(errors.ModelLoadingError) as raised:
        engine.submit(request('ab', model='second'))
    assert 'Retry-After' in raised.value.headers()
    assert status(engine, 'second') is ModelStatus.LOADING
    with pytest.raises(errors.ModelLoadingError):
        engine.submit(request('ab'))  # else the first model's users could keep the second one out for ever
    loader.runners['first'].gate.set()
    assert text(collect(running)[0]) == greedy('ab', 5)
    eventually(lambda: status(engine, 'second') is ModelStatus.READY)
    assert status(engine, 'first') is ModelStatus.AVAILABLE and loader.runners['first'].is_released
    collect(engine.submit(request('ab', model='second')))


def test_a_model_loaded_for_somebody_serves_before_it_gives_way(start: Started) -> None:
    loader = ScriptedLoader()
    engine = ready(start, loader)
    with pytest.raises(errors.ModelLoadingError):
        engine.submit(request('ab', model='second'))
    eventually(lambda: status(engine, 'second') is ModelStatus.READY)
    with pytest.raises(errors.ModelLoadingError, match='must wait'):
        engine.submit(request('ab'))
    collect(engine.submit(request('ab', model='second')))
    with pytest.raises(errors.ModelLoadingError, match='is being loaded'):
        engine.submit(request('ab'))
    eventually(lambda: status(engine, 'first') is ModelStatus.READY)
    assert loader.loads == ['first', 'second', 'first']


def test_a_model_that_cannot_be_loaded_says_why_and_the_former_one_returns(start: Started) -> None:
    loader = ScriptedLoader()
    loader.broken.add('second')
    engine = ready(start, loader)
    collect(engine.submit(request('ab')))
    with pytest.raises(errors.ModelLoadingError):
        engine.submit(request('ab', model='second'))
    eventually(lambda: status(engine, 'second') is ModelStatus.ERROR and engine.is_ready())
    with pytest.raises(errors.UnavailableError, match='download it again') as raised:
        engine.submit(request('ab', model='second'))
    assert 1 <= int(raised.value.headers()['Retry-After']) <= 6
    collect(engine.submit(request('ab')))
    assert loader.loads == ['first', 'second', 'first']


def test_the_preloaded_model_is_tried_again_after_a_failure(start: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('sandle.engine.residency.FIRST_RETRY_S', 0.05)
    monkeypatch.setattr('sandle.engine.loop.IDLE_WAIT_S', 0.02)
    loader = ScriptedLoader()
    loader.broken.add('first')
    engine = start(loader)
    eventually(lambda: len(loader.loads) >= 2)
    assert not engine.is_ready()
    [first] = [info for info in engine.models() if info.id == 'first']
    assert first.detail is not None
    loader.broken.clear()
    eventually(engine.is_ready)
    collect(engine.submit(request('ab')))


def test_end_says_how_long_a_request_waited_for_its_slot(start: Started) -> None:
    loader = ScriptedLoader(slots=1)
    engine = ready(start, loader)
    loader.runners['first'].gate = gate = threading.Event()
    first, second = engine.submit(request()), engine.submit(request())
    time.sleep(0.05)  # time for the first to begin, and for nothing else
    assert second.cancel().queue_s is None
    third = engine.submit(request())
    time.sleep(0.05)  # of this, the third waits all
    gate.set()
    (_, at_once), (_, later) = collect(first), collect(third)
    assert at_once.queue_s is not None and later.queue_s is not None
    assert at_once.queue_s < later.queue_s and later.queue_s >= 0.05


def test_a_models_tokenizer_is_there_while_the_model_is(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    assert engine.tokenizer('first').detokenize(engine.tokenizer('first').encode('ab', True)) == '<s>ab'
    with pytest.raises(errors.ModelNotFoundError):
        engine.tokenizer('third')
    with pytest.raises(errors.ModelLoadingError):
        engine.tokenizer('second')
    eventually(lambda: status(engine, 'second') is ModelStatus.READY)
    assert engine.tokenizer('second').info.eos_token == '</s>'
    engine.shutdown()
    with pytest.raises(errors.ShuttingDownError):
        engine.tokenizer('second')


def test_operator_unloads_a_model_when_what_runs_has_ended(start: Started) -> None:
    loader = ScriptedLoader()
    engine = ready(start, loader)
    gate = loader.runners['first'].gate = threading.Event()
    handle = engine.submit(request('ab', max_tokens=5))
    engine.unload('first')
    with pytest.raises(errors.ModelLoadingError):
        engine.submit(request('cd'))
    assert status(engine, 'first') is ModelStatus.READY
    gate.set()
    deltas, _ = collect(handle)
    assert text(deltas) == greedy('ab', 5)
    eventually(lambda: status(engine, 'first') is ModelStatus.AVAILABLE)
    assert loader.runners['first'].is_released and engine.is_ready()
    engine.load('second')
    eventually(lambda: status(engine, 'second') is ModelStatus.READY)
    collect(engine.submit(request('ab', 'second')))
