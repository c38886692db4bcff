import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import flask.testing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandle import errors
from sandle.engine.engine import Delta, Engine, Finished, GenerationRequest, SamplingParams
from stub_engine import StubEngine, StubHandle
from stub_vocab import END_OF_TEXT

MakeEngine = Callable[..., StubEngine]
MakeClient = Callable[..., flask.testing.FlaskClient]


def request(prompt: str | tuple[int, ...] = 'Hello', candidates: int = 1, echo: bool = False,
            **params: Any) -> GenerationRequest:
    return GenerationRequest('cmpl-1', 'stub', (prompt,), SamplingParams(**params),
                             candidates, echo)


def drain(handle: StubHandle) -> tuple[list[Delta], Finished]:
    deltas = []
    while isinstance(event := handle.get(5), Delta):
        deltas.append(event)
    return deltas, event


def answer(deltas: list[Delta], choice: int = 0) -> str:
    return ''.join(delta.text for delta in deltas if delta.choice == choice)


def reason(deltas: list[Delta], choice: int = 0) -> str | None:
    *others, last = [delta for delta in deltas if delta.choice == choice]
    assert all(delta.finish_reason is None for delta in others)
    return last.finish_reason and last.finish_reason.value


def test_stub_is_an_engine(make_engine: MakeEngine) -> None:
    engine: Engine = make_engine()
    assert engine.is_ready()
    assert [model.id for model in engine.models()] == ['stub']


def test_answer_ends_with_an_end_of_text_token_and_real_usage(make_engine: MakeEngine) -> None:
    deltas, usage = drain(make_engine().submit(request('Hello, world')))
    assert (answer(deltas), reason(deltas)) == (' world!', 'stop')
    assert deltas[-1].tokens[-1].id == END_OF_TEXT
    assert usage == Finished(prompt_tokens=3, completion_tokens=3)


@pytest.mark.parametrize(('options', 'params', 'expected'), [
    ({}, {'max_tokens': 2}, (' world!', 'length', 2)),
    ({}, {'max_tokens': 1}, (' world', 'length', 1)),
    ({}, {'max_tokens': 5, 'ignore_eos': True}, (' world! world! world', 'length', 5)),
    ({}, {'max_tokens': 9, 'min_tokens': 5}, (' world! world! world', 'stop', 6)),
    ({'num_tokens': 5}, {}, (' world! world! world', 'stop', 6)),
    ({'num_tokens': 1}, {}, (' world', 'stop', 2)),
    ({'text': ''}, {}, ('', 'stop', 1)),
    ({'text': ' aé🙂'}, {'max_tokens': 6}, (' aé', 'length', 6)),  # the last character is not whole: left out
    ({}, {'stops': ('ld',)}, (' wor', 'stop', 1)),
    ({}, {'stops': ('d!',)}, (' worl', 'stop', 2)),
    ({}, {'stops': ('d!x',)}, (' world!', 'stop', 3)),
    ({}, {'stops': ('d!x',), 'max_tokens': 1}, (' world', 'length', 1)),
])
def test_answer_length_and_reason(make_engine: MakeEngine, options: dict[str, Any], params: dict[str, Any],
                                  expected: tuple[str, str, int]) -> None:
    deltas, usage = drain(make_engine(**options).submit(request(**params)))
    assert (answer(deltas), reason(deltas), usage.completion_tokens) == expected


def test_text_held_back_never_shows_the_beginning_of_a_stop(make_engine: MakeEngine) -> None:
    deltas, _ = drain(make_engine(text='one two three').submit(request(stops=('two three',))))
    assert answer(deltas) == 'one '
    assert all('t' not in delta.text for delta in deltas)


def test_choices_of_a_request_are_interleaved(make_engine: MakeEngine) -> None:
    deltas, usage = drain(make_engine().submit(request(candidates=3)))
    assert [delta.choice for delta in deltas] == [0, 1, 2] * 3
    assert {answer(deltas, choice) for choice in range(3)} == {' world!'}
    assert usage == Finished(prompt_tokens=1, completion_tokens=9)


def test_echo_comes_first_and_its_first_token_has_no_logprob(make_engine: MakeEngine) -> None:
    deltas, _ = drain(make_engine().submit(request('Say hello', echo=True, logprobs=1)))
    prompt, *rest = deltas
    assert prompt.is_prompt and prompt.text == 'Say hello'
    assert [token.logprob is None for token in prompt.tokens] == [True, False]
    assert answer(rest) == ' world!'


def test_echo_with_max_tokens_0_generates_nothing(make_engine: MakeEngine) -> None:
    deltas, usage = drain(make_engine().submit(request('Hello you', echo=True, max_tokens=0, logprobs=0)))
    assert len(deltas) == 1 and reason(deltas) == 'length'
    assert usage == Finished(prompt_tokens=2, completion_tokens=0)


def test_echo_shows_the_context_that_generation_sees(make_engine: MakeEngine) -> None:
    engine = make_engine()
    alone, _ = drain(engine.submit(request('Hello you', logprobs=3)))
    echoed, _ = drain(engine.submit(request('Hello you', echo=True, logprobs=3)))
    assert [delta.tokens for delta in alone] == [delta.tokens for delta in echoed[1:]]


def test_token_lengths_add_up_to_the_text(make_engine: MakeEngine) -> None:
    deltas, _ = drain(make_engine(text=' é🙂!').submit(request('Zürich', echo=True)))
    assert sum(token.length for delta in deltas for token in delta.tokens) == len(answer(deltas))


def test_empty_prompt_is_the_end_of_text_token(make_engine: MakeEngine) -> None:
    assert make_engine().submit(request('')).prompt_ids == ((END_OF_TEXT,),)


def test_token_id_prompt_is_used_as_it_is(make_engine: MakeEngine) -> None:
    assert make_engine().submit(request((72, 256, 105))).prompt_ids == ((72, 256, 105),)


@pytest.mark.parametrize(('bad', 'error', 'param'), [
    (request((72, 10 ** 6)), errors.InvalidRequestError, 'prompt'),
    (request(logit_bias=((10 ** 6, 1.0),)), errors.InvalidRequestError, 'logit_bias'),
    (request((72,) * 4090, max_tokens=7), errors.ContextLengthExceededError, 'max_tokens'),
    (request((72,) * 4096, max_tokens=1), errors.ContextLengthExceededError, 'prompt'),
    (GenerationRequest('x', 'gone', ('a',), SamplingParams()), errors.ModelNotFoundError, 'model'),
])
def test_submit_refuses(make_engine: MakeEngine, bad: GenerationRequest, error: type[errors.ApiError],
                        param: str) -> None:
    engine = make_engine()
    with pytest.raises(error) as caught:
        engine.submit(bad)
    assert caught.value.param == param
    assert engine.running == 0


def test_context_may_be_filled_to_the_last_token(make_engine: MakeEngine) -> None:
    drain(make_engine().submit(request((72,) * 4090, max_tokens=6)))


def test_get_times_out_until_the_token_is_due(make_engine: MakeEngine) -> None:
    started_s = time.monotonic()
    handle = make_engine(first_token_delay_s=1).submit(request())
    with pytest.raises(TimeoutError):
        handle.get(0.02)
    assert time.monotonic() - started_s < 0.9
    assert isinstance(handle.get(5), Delta)
    assert time.monotonic() - started_s >= 1


def test_tokens_come_at_the_pace_asked_for(make_engine: MakeEngine) -> None:
    started_s = time.monotonic()
    drain(make_engine(num_tokens=4, token_delay_s=0.05).submit(request()))
    assert 0.2 <= time.monotonic() - started_s < 5


def test_cancel_frees_the_place_and_reports_what_was_used(make_engine: MakeEngine) -> None:
    engine = make_engine(max_running=1)
    handle = engine.submit(request())
    handle.get(1)
    with pytest.raises(errors.QueueFullError) as caught:
        engine.submit(request())
    assert caught.value.headers() == {'Retry-After': '1'}
    assert handle.cancel() == Finished(prompt_tokens=1, completion_tokens=1) == handle.cancel()
    assert (engine.running, engine.cancelled) == (0, 1)
    drain(engine.submit(request()))
    assert (engine.running, engine.cancelled) == (0, 1)


def test_shutdown_wakes_a_waiting_request_and_refuses_new_ones(make_engine: MakeEngine) -> None:
    engine = make_engine(first_token_delay_s=60)
    handle = engine.submit(request())
    threading.Timer(0.05, engine.shutdown).start()
    started_s = time.monotonic()
    with pytest.raises(errors.ShuttingDownError):
        handle.get(30)
    assert time.monotonic() - started_s < 5
    with pytest.raises(errors.ShuttingDownError):
        engine.submit(request())
    assert not engine.is_ready() and engine.running == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.text(max_size=12), stops=st.lists(st.text(min_size=1, max_size=3), max_size=3),
       max_tokens=st.integers(1, 20))
def test_stops_cut_the_text_at_the_first_of_them(make_engine: MakeEngine, answer: str, stops: list[str],
                                                 max_tokens: int) -> None:
    engine = make_engine(text=answer)
    whole = ''.join(delta.text for delta in drain(engine.submit(request(max_tokens=max_tokens)))[0])
    cut = ''.join(delta.text for delta in drain(engine.submit(request(max_tokens=max_tokens, stops=tuple(stops))))[0])
    assert whole.startswith(cut)
    assert not any(stop in cut for stop in stops)
    assert cut == whole or any(whole.startswith(stop, len(cut)) for stop in stops)


def test_unstreamed_answer_is_whole(make_client: MakeClient) -> None:
    response = make_client().post('/v1/completions', json={
        'model': 'stub', 'prompt': ['Hello', 'Say'], 'n': 2, 'best_of': 3, 'logprobs': 2, 'echo': True, 'seed': 1,
        'logit_bias': {'33': 1}, 'presence_penalty': 1, 'top_k': 3, 'min_p': 0.1, 'typical_p': 0.9,
        'repetition_penalty': 1.1, 'min_tokens': 1, 'user': 'me', 'return_token_ids': True})
    body = response.get_json()
    assert response.status_code == 200, body
    assert [choice['text'] for choice in body['choices']] == ['Hello world!'] * 2 + ['Say world!'] * 2
    assert [choice['index'] for choice in body['choices']] == [0, 1, 2, 3]
    assert body['usage'] == {'prompt_tokens': 2, 'completion_tokens': 18, 'total_tokens': 20}
    for choice in body['choices']:
        logprobs = choice['logprobs']
        assert len({len(values) for values in logprobs.values()}) == 1
        assert len(logprobs['tokens']) == 4 == len(choice['token_ids'])
        for text, value, top in zip(logprobs['tokens'][1:], logprobs['token_logprobs'][1:],
                                    logprobs['top_logprobs'][1:], strict=True):
            assert top[text] == value
            assert len(top) in (2, 3)


def test_statistics_count_what_happens(make_engine: MakeEngine) -> None:
    engine = make_engine(max_running=1, num_tokens=3)
    first = engine.submit(dataclasses.replace(request(candidates=2), prompts=((1, 2), (3,))))
    with pytest.raises(errors.QueueFullError):
        engine.submit(request())
    assert (engine.statistics().running, engine.statistics().slots) == (1, 1)
    drain(first)
    drain(engine.submit(request(max_tokens=1)))
    left = engine.submit(request())
    left.cancel()
    left.cancel()
    now = engine.statistics()
    assert dict(now.requests) == {'stop': 1, 'length': 1, 'cancelled': 1, 'error': 0, 'rejected': 1}
    assert (now.prompt_tokens, now.completion_tokens, now.running, now.steps) == (6 + 1 + 1, 4 * 4 + 1, 0, 4 + 1)
    assert sum(now.first_token_s.counts) == 2 and sum(now.inter_token_s.counts) == 4 * 3
    waiting = engine.submit(request())
    engine.shutdown()
    with pytest.raises(errors.ShuttingDownError):
        waiting.get(1)
    assert engine.statistics().requests['error'] == 1


def test_scoring_a_prompt_alone_is_a_request_too(make_engine: MakeEngine) -> None:
    engine = make_engine()
    drain(engine.submit(request(max_tokens=0, echo=True)))
    assert engine.statistics().requests['length'] == 1 and engine.running == 0
