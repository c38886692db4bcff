"""Requests with a suffix: the prompt that they become, what ends the answer, and models that cannot fill in."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from sandle import errors
from sandle.engine.engine import Delta, Finished, GenerationRequest, ModelInfo, ModelStatus, SamplingParams
from sandle.engine.loop import EngineLoop, EngineOptions
from tests.engine.scripted import BOS, MIDDLE, PREFIX, SUFFIX, ScriptedLoader
from tests.engine.serving import eventually

REQUEST = GenerationRequest('id', 'm', ('ab',), SamplingParams(max_tokens=4, temperature=0.0), suffix='cd',
                            add_special_tokens=False)


def two_letters_then_an_end(tokens: Sequence[int]) -> int:
    """What the model finds likeliest: `xx`, and then what a file begins with."""
    return ord('x') if tokens[-2:] != [ord('x')] * 2 else SUFFIX


@contextmanager
def engine_of(can_infill: bool) -> Iterator[EngineLoop]:
    """Gives an engine with a model in memory."""
    loader = ScriptedLoader(can_infill=can_infill, likeliest=two_letters_then_an_end)
    info = ModelInfo('m', '', '', 0, ModelStatus.AVAILABLE, frozenset({'echo'}))
    engine = EngineLoop([info], loader, 'm', EngineOptions())
    try:
        eventually(engine.is_ready)
        yield engine
    finally:
        engine.shutdown()


def text_of(engine: EngineLoop, request: GenerationRequest) -> str:
    handle = engine.submit(request)
    text = ''
    while isinstance(event := handle.get(10), Delta):
        text += event.text
    assert isinstance(event, Finished)
    return text


def test_prompt_is_put_together_from_both_sides() -> None:
    with engine_of(can_infill=True) as engine:
        inner = [PREFIX, *b'ab', SUFFIX, *b'cd', MIDDLE]
        assert engine.submit(REQUEST).prompt_ids == (tuple(inner),)
        for_ids = dataclasses.replace(REQUEST, prompts=((97, 98), 'ab'), add_special_tokens=True)
        assert engine.submit(for_ids).prompt_ids == ((BOS, *inner),) * 2
        empty = dataclasses.replace(REQUEST, prompts=('',))
        assert engine.submit(empty).prompt_ids == ((PREFIX, SUFFIX, *b'cd', MIDDLE),)
        with pytest.raises(errors.ContextLengthExceededError):
            engine.submit(dataclasses.replace(REQUEST, suffix='x' * 200))
        with pytest.raises(errors.InvalidRequestError) as raised:
            engine.submit(dataclasses.replace(REQUEST, prompts=((10 ** 6,),)))
        assert raised.value.param == 'prompt'


def test_a_token_that_begins_a_file_ends_what_was_filled_in_and_nothing_else() -> None:
    with engine_of(can_infill=True) as engine:
        assert text_of(engine, REQUEST) == 'xx'
        without = dataclasses.replace(REQUEST, suffix=None)
        assert text_of(engine, without) == 'xxx'  # the third token is no text, and the fourth one begins anew
        at_least = dataclasses.replace(REQUEST, params=dataclasses.replace(REQUEST.params, min_tokens=3))
        assert len(text_of(engine, at_least)) > 2


def test_the_capability_is_known_once_the_model_is_loaded() -> None:
    with engine_of(can_infill=True) as engine:
        assert engine.models()[0].capabilities == {'echo', 'suffix'}
    with engine_of(can_infill=False) as engine:
        assert engine.models()[0].capabilities == {'echo'}
        with pytest.raises(errors.UnsupportedParameterError) as raised:
            engine.submit(REQUEST)
        assert raised.value.param == 'suffix'
