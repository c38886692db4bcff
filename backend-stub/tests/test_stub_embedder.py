"""The stub's vectors: the same in every run, closer where words are shared."""

import math
from typing import Any

import pytest

from sandle import errors
from sandle.embedder import EmbeddingRequest
from stub_embedder import SIZE, StubEmbedder


def request(**fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest(**{'model': 'finder', 'texts': ('x',), **fields})


def embed(*texts: str | tuple[int, ...], **fields: Any) -> list[list[float]]:
    return [vector.tolist() for vector in StubEmbedder('finder', 16).submit(request(texts=texts, **fields)).get(0.0)]


def closeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other))


def test_vectors_are_the_same_in_every_run_and_of_length_1() -> None:
    first, second = embed('the sea', 'the sea')
    assert first == second == embed('the sea')[0] and len(first) == SIZE
    assert math.isclose(closeness(first, first), 1.0, rel_tol=1e-6)
    assert first[:2] == pytest.approx([0.11957549, 0.03201588], abs=1e-6)  # on every machine


def test_texts_that_share_words_are_closer() -> None:
    question, answer, other = embed('where is the capital of france', 'paris is the capital of france',
                                    'a dog and a cat run home')
    assert closeness(question, answer) > 0.6 > 0.4 > closeness(question, other)


def test_a_prompt_is_put_before_the_text() -> None:
    assert embed('sea', prompt_name='query') == embed('query: sea') != embed('sea')


def test_what_is_too_long_is_refused_or_cut() -> None:
    with pytest.raises(errors.ContextLengthExceededError) as raised:
        embed('sea ' * 20)
    assert raised.value.param == 'input'
    assert embed('sea ' * 20, max_tokens=-1) == embed('sea ' * 30, max_tokens=99)
    assert embed((300, 301, 302), max_tokens=2) == embed((300, 301))


@pytest.mark.parametrize(('fields', 'param'), [
    ({'texts': ((10 ** 6,),)}, 'input'), ({'prompt_name': 'x'}, 'prompt_name'), ({'model': 'other'}, 'model')])
def test_what_the_model_does_not_have(fields: dict[str, object], param: str) -> None:
    with pytest.raises(errors.ApiError) as raised:
        StubEmbedder('finder', 16).submit(request(**fields))
    assert raised.value.param == param
