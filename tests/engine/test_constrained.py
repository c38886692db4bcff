"""Answers that keep to a grammar, from the engine over scripted models, whose likeliest token it mostly forbids."""

import dataclasses
import itertools
import json
from typing import Any

import pytest

from sandle import errors
from sandle.engine.engine import Delta, Finished, FinishReason, GenerationRequest, Grammar
from sandle.engine.grammar import Constraint
from tests.engine.scripted import BOS, EOS, ScriptedLoader, next_token
from tests.engine.serving import Started, collect, eventually, greedy, ready, request, text

CHOICE = {'type': 'object', 'properties': {'pick': {'enum': ['ab', 'ac', 'b']}, 'n': {'type': 'integer', 'maximum': 99,
          'minimum': 1}}, 'required': ['pick', 'n'], 'additionalProperties': False,
          'x-guidance': {'whitespace_flexible': False}}


def constrained(schema: object = CHOICE, prompt: str = 'ab', *, candidates: int = 1, echo: bool = False,
                **sampling: Any) -> GenerationRequest:
    """A request for an answer that keeps to a schema."""
    sampling = {'max_tokens': 60, **sampling}
    return dataclasses.replace(request(prompt, candidates=candidates, echo=echo, **sampling),
                               grammar=Grammar(f'start: %json {json.dumps(schema)}', 'response_format'))


def test_an_answer_keeps_to_its_schema_and_ends_with_it(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    deltas, usage = collect(engine.submit(constrained()))
    assert json.loads(text(deltas)).keys() == {'pick', 'n'}
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert usage.completion_tokens == len(text(deltas)), 'no token is spent on an end that is certain'


def test_it_ends_where_it_may_if_the_model_wants_to(start: Started) -> None:
    engine = ready(start, ScriptedLoader(likeliest=lambda tokens: EOS))
    schema = {'type': 'integer', 'minimum': 100, 'maximum': 99999}
    deltas, _ = collect(engine.submit(constrained(schema)))
    assert (len(text(deltas)), deltas[-1].tokens[0].text) == (3, '</s>')
    longer, _ = collect(engine.submit(constrained(schema, min_tokens=4)))
    assert len(text(longer)) == 4
    ignoring, _ = collect(engine.submit(constrained(schema, ignore_eos=True)))
    assert (len(text(ignoring)), ignoring[-1].finish_reason) == (5, FinishReason.STOP)
    cut_short, _ = collect(engine.submit(constrained(schema, min_tokens=60)))
    assert cut_short[-1].finish_reason is FinishReason.STOP, 'a grammar that ends before min_tokens ends the answer'


def test_special_tokens_that_the_grammar_names_are_text(start: Started) -> None:
    engine = ready(start, ScriptedLoader(likeliest=lambda tokens: BOS))
    wanted = dataclasses.replace(constrained(), grammar=Grammar('start: "<s>" "a"', 'tools', ('<s>', '[other]')))
    deltas, usage = collect(engine.submit(wanted))
    assert (text(deltas), usage.completion_tokens) == ('<s>a', 2)
    spelled, usage = collect(engine.submit(dataclasses.replace(wanted, grammar=Grammar('start: "<s>" "a"', 'tools'))))
    assert (text(spelled), usage.completion_tokens) == ('<s>a', 4)


def test_max_tokens_and_stops_end_it_in_the_middle(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    cut, _ = collect(engine.submit(constrained(max_tokens=4)))
    assert (text(cut), cut[-1].finish_reason) == ('{"pi', FinishReason.LENGTH)
    stopped, _ = collect(engine.submit(constrained(stops=('ck"',))))
    assert (text(stopped), stopped[-1].finish_reason) == ('{"pi', FinishReason.STOP)


def test_only_the_rows_with_a_grammar_are_masked(start: Started) -> None:
    loader = ScriptedLoader()
    engine = ready(start, loader)
    handles = [engine.submit(request('cd', max_tokens=20)), engine.submit(constrained()),
               engine.submit(request('ef', max_tokens=20, presence_penalty=0.1))]
    (free, _), (kept, _), (punished, _) = map(collect, handles)
    assert text(free) == greedy('cd', 20)
    assert text(kept) == text(collect(engine.submit(constrained()))[0])
    assert len(text(punished)) == 20
    assert any(len(step) > 1 for step in loader.runners['first'].steps), 'they shared steps'


def test_logprobs_are_the_models_own_before_the_mask(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    deltas, _ = collect(engine.submit(constrained(logprobs=1)))
    first = deltas[0].tokens[0]
    assert first.text == '{' and first.top is not None and first.logprob is not None
    assert first.top[0].id == next_token(b'ab')
    assert first.top[0].logprob > first.logprob


def test_candidates_and_seeds_hold_and_prefixes_are_shared(start: Started) -> None:
    engine = ready(start, ScriptedLoader(slots=3))
    wanted = constrained(prompt='ab' * 20, candidates=4, temperature=2.0, seed=5, top_p=0.9, top_k=40)
    first, _ = collect(engine.submit(wanted))
    texts = [text(first, choice) for choice in range(4)]
    assert len({*texts}) > 1
    assert all(json.loads(each)['pick'] in ('ab', 'ac', 'b') for each in texts)
    again, _ = collect(engine.submit(wanted))
    assert [text(again, choice) for choice in range(4)] == texts
    alone = dataclasses.replace(wanted, candidates=1)
    assert text(collect(engine.submit(alone))[0]) == texts[0]


@pytest.mark.parametrize('sampling', [
    {'temperature': 0.0}, {'temperature': 1.0}, {'top_k': 1}, {'top_p': 0.01}, {'min_p': 1.0}, {'typical_p': 0.2},
    {'temperature': 2.0, 'typical_p': 0.9, 'top_k': 5}, {'repetition_penalty': 10.0, 'presence_penalty': 2.0},
    {'logit_bias': tuple((token, -100.0) for token in b'{"'), 'temperature': 1.0}, {'min_tokens': 50}])
def test_no_way_of_sampling_leaves_the_grammar(start: Started, sampling: dict[str, Any]) -> None:
    engine = ready(start, ScriptedLoader())
    for seed in range(3):
        deltas, _ = collect(engine.submit(constrained(seed=seed, **sampling)))
        assert 1 <= json.loads(text(deltas))['n'] <= 99


def test_echo_shows_the_prompt_and_constrains_the_answer_alone(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    deltas, _ = collect(engine.submit(constrained(prompt='xyz', echo=True, logprobs=0)))
    assert text(deltas).startswith('xyz{')


def test_a_grammar_that_cannot_be_used_is_refused_at_once(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    with pytest.raises(errors.InvalidRequestError) as caught:
        engine.submit(constrained({'type': 'thing'}))
    assert caught.value.param == 'response_format'
    assert text(collect(engine.submit(request()))[0]) == greedy('ab', 5)


def test_one_that_cannot_go_on_fails_its_request_and_no_other(start: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    adding, count = Constraint.add, itertools.count()

    def fail_at_the_third(constraint: Constraint, token: int) -> None:
        if next(count) == 2:
            raise errors.InvalidRequestError('too complex', param='response_format')
        adding(constraint, token)

    engine = ready(start, ScriptedLoader())
    monkeypatch.setattr(Constraint, 'add', fail_at_the_third)
    free = engine.submit(request('cd', max_tokens=30))
    failing = engine.submit(constrained(candidates=2))
    with pytest.raises(errors.InvalidRequestError, match='too complex'):
        while not isinstance(failing.get(10), Finished):
            pass
    assert text(collect(free)[0]) == greedy('cd', 30)
    assert isinstance(engine.submit(constrained()).get(10), Delta)
    eventually(lambda: engine.statistics().running <= 1)


def test_a_prompt_is_no_part_of_the_grammar(start: Started) -> None:
    engine = ready(start, ScriptedLoader())
    deltas, _ = collect(engine.submit(dataclasses.replace(constrained(), prompts=((BOS, *b'{"pick'),))))
    assert text(deltas).startswith('{"pick"')
