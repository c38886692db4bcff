import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandle.choices import LOWEST_LOGPROB, ChoiceWriter, rank
from sandle.engine.engine import Delta, FinishReason, Token, TopToken
from sandle.protocol import CompletionRequest, Logprobs
from tests.scripted_engine import delta, token


def request(**fields: Any) -> CompletionRequest:
    return CompletionRequest(model='m', **fields)


def written(deltas: list[Delta], **fields: Any) -> ChoiceWriter:
    writer = ChoiceWriter(request(**fields), 0, (7, 8))
    for each in deltas:
        writer.add(each)
    return writer


def logprobs_of(writer: ChoiceWriter) -> Logprobs:
    logprobs = writer.take(0).logprobs
    assert logprobs is not None
    return logprobs


def test_a_choice_is_the_sum_of_its_deltas() -> None:
    choice = written([delta('a'), delta(''), delta('bc', reason=FinishReason.LENGTH)]).take(5)
    assert (choice.text, choice.index, choice.finish_reason, choice.logprobs) == ('abc', 5, 'length', None)
    assert choice.token_ids is None and choice.prompt_token_ids is None


def test_logprobs_have_an_entry_a_token_in_every_array() -> None:
    prompt = Delta(0, 'Hi', (token('H', logprob=None), token('i', top=(('x', -0.1), ('i', -0.5)))), is_prompt=True)
    end = Delta(0, '', (Token(2, '<eos>', 0, -0.25, (TopToken(2, '<eos>', -0.25),)),), FinishReason.STOP)
    logprobs = logprobs_of(written([prompt, delta(' there'), end], logprobs=2, echo=True))
    assert logprobs.tokens == ['H', 'i', ' there', '<eos>']
    assert logprobs.token_logprobs == [None, -0.5, -0.5, -0.25]
    assert logprobs.top_logprobs == [None, {'x': -0.1, 'i': -0.5}, {' there': -0.5}, {'<eos>': -0.25}]
    assert logprobs.text_offset == [0, 1, 2, 8]


def test_text_offsets_count_characters_of_the_text() -> None:
    half = Token(1, r'bytes:\xc3', 0, -0.5)
    logprobs = logprobs_of(written([Delta(0, 'aéb', (token('a'), half, Token(2, r'bytes:\xa9', 1, -0.5), token('b')))],
                                   logprobs=0))
    assert logprobs.text_offset == [0, 1, 1, 2]


def test_the_chosen_token_is_in_its_own_dict_with_the_same_float() -> None:
    value = -1 / 3
    logprobs = logprobs_of(written([Delta(0, 'a', (token('a', logprob=value, top=(('b', -0.1),)),))], logprobs=1))
    assert logprobs.top_logprobs == [{'b': -0.1, 'a': value}]
    assert logprobs.top_logprobs[0] is not None and logprobs.top_logprobs[0]['a'] == logprobs.token_logprobs[0]


def test_of_two_ids_with_the_same_text_the_larger_value_is_shown() -> None:
    for chosen, other in ((-0.5, -0.1), (-0.1, -0.5)):
        logprobs = logprobs_of(written([Delta(0, 'a', (token('a', logprob=chosen, top=(('a', other),)),))], logprobs=1))
        assert logprobs.top_logprobs == [{'a': -0.1}]
        assert logprobs.token_logprobs == [chosen]


def test_minus_infinity_is_shown_as_a_number() -> None:
    lowest = float('-inf')
    logprobs = logprobs_of(written([Delta(0, 'a', (token('a', logprob=lowest, top=(('b', lowest),)),))], logprobs=1))
    assert logprobs.token_logprobs == [LOWEST_LOGPROB] == [-9999.0]
    assert logprobs.top_logprobs == [{'b': LOWEST_LOGPROB, 'a': LOWEST_LOGPROB}]


def test_token_ids_are_given_on_request_and_the_prompts_once() -> None:
    writer = ChoiceWriter(request(return_token_ids=True), 0, (7, 8))
    first, second = writer.chunk(delta('a')), writer.chunk(delta('bc', reason=FinishReason.STOP))
    assert first is not None and second is not None
    assert (first.prompt_token_ids, first.token_ids) == ([7, 8], [1])
    assert (second.prompt_token_ids, second.token_ids) == (None, [2])


def test_the_ids_of_the_likeliest_tokens_come_with_the_ids_of_the_others() -> None:
    deltas = [Delta(0, 'Hi', (token('H', logprob=None),), is_prompt=True),
              Delta(0, '1', (token('1', number=7, top=(('1', -0.1), ('b', -2.0))),))]
    logprobs = logprobs_of(written(deltas, logprobs=2, echo=True, return_token_ids=True))
    assert logprobs.top_token_ids == [None, {'1': ord('1'), 'b': ord('b')}]
    assert logprobs.top_logprobs == [None, {'1': -0.1, 'b': -2.0}]
    without = logprobs_of(written(deltas, logprobs=2))
    assert without.top_token_ids is None and 'top_token_ids' not in without.model_dump()


def test_of_equals_with_the_same_text_the_chosen_id_is_shown() -> None:
    logprobs = logprobs_of(written([Delta(0, 'a', (token('a', number=5, top=(('a', -0.5),)),))], logprobs=1,
                                   return_token_ids=True))
    assert logprobs.top_token_ids == [{'a': 5}]


def test_a_chunk_waits_for_text() -> None:
    writer = ChoiceWriter(request(), 0, ())
    assert writer.chunk(delta('')) is None
    chunk = writer.chunk(delta('a'))
    assert chunk is not None and chunk.text == 'a'
    end = writer.chunk(Delta(0, '', (), FinishReason.STOP))
    assert end is not None and (end.text, end.finish_reason) == ('', 'stop')


def test_a_chunk_does_not_wait_for_text_when_tokens_are_shown() -> None:
    for fields in ({'logprobs': 0}, {'return_token_ids': True}):
        chunk = ChoiceWriter(request(**fields), 0, ()).chunk(delta(''))
        assert chunk is not None and chunk.text == ''


@pytest.mark.parametrize(('size', 'texts'), [
    (0, ['a', 'b', 'c', 'd', 'e']), (1, ['a', 'b', 'c', 'd', 'e']), (2, ['ab', 'cd', 'e']), (4, ['abcd', 'e']),
    (99, ['abcde'])])
def test_stream_batch_size_is_the_number_of_tokens_a_chunk(size: int, texts: list[str]) -> None:
    writer = ChoiceWriter(request(stream_batch_size=size), 0, ())
    deltas = [delta(letter, reason=FinishReason.LENGTH if letter == 'e' else None) for letter in 'abcde']
    assert [chunk.text for each in deltas if (chunk := writer.chunk(each)) is not None] == texts


def test_an_echoed_prompt_is_a_chunk_of_its_own() -> None:
    writer = ChoiceWriter(request(echo=True, stream_batch_size=9), 0, ())
    chunk = writer.chunk(Delta(0, 'Hello', (token('Hello'),), is_prompt=True))
    assert chunk is not None and (chunk.text, chunk.finish_reason) == ('Hello', None)


def test_rank_keeps_the_order_of_prompts_and_candidates() -> None:
    writers = [written([delta(str(number))], n=2) for number in range(6)]
    choices = rank(writers, request(n=2, prompt=['a', 'b', 'c']))
    assert [(choice.index, choice.text) for choice in choices] == [(number, str(number)) for number in range(6)]


def test_rank_puts_the_best_mean_logprob_first_for_each_prompt() -> None:
    def candidate(text: str, *logprobs: float) -> ChoiceWriter:
        return written([delta(text, logprob=value) for value in logprobs])

    writers = [candidate('a', -1.0), candidate('b', -0.2, -0.2, -0.2), candidate('c', -0.3),
               candidate('d', -0.1), candidate('e', -3.0), candidate('f', -0.2, -0.1)]
    choices = rank(writers, request(n=2, best_of=3))
    assert [(choice.index, choice.text) for choice in choices] == [(0, 'bbb'), (1, 'c'), (2, 'd'), (3, 'ff')]


def test_the_prompts_logprobs_do_not_count_for_the_rank() -> None:
    prompt = Delta(0, 'x', (token('x', logprob=-50.0),), is_prompt=True)
    assert written([prompt, delta('a', logprob=-0.5), delta('b', logprob=-1.0)], echo=True).mean_logprob() == -0.75
    assert written([prompt], echo=True).mean_logprob() == 0


pieces = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 99)), min_size=1, max_size=8)


@given(pieces, st.integers(0, 4), st.booleans(), st.booleans())
def test_chunks_add_up_to_the_whole(tokens: list[tuple[str, int]], batch_size: int, wants_logprobs: bool,
                                    wants_ids: bool) -> None:
    fields: dict[str, Any] = {'stream_batch_size': batch_size, 'return_token_ids': wants_ids,
                              'logprobs': 1 if wants_logprobs else None}
    deltas = [Delta(0, text, (token(text, number),), FinishReason.STOP if place == len(tokens) - 1 else None)
              for place, (text, number) in enumerate(tokens)]
    streamer = ChoiceWriter(request(**fields), 0, (7,))
    chunks = [chunk for each in deltas if (chunk := streamer.chunk(each)) is not None]
    whole = written(deltas, **fields).take(0)
    assert ''.join(chunk.text for chunk in chunks) == whole.text
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ['stop']
    if wants_ids:
        assert list(itertools.chain.from_iterable(chunk.token_ids or [] for chunk in chunks)) == whole.token_ids
    if whole.logprobs is not None:
        for name in ('tokens', 'token_logprobs', 'top_logprobs', 'text_offset'):
            assert list(itertools.chain.from_iterable(getattr(chunk.logprobs, name) for chunk in chunks)) == getattr(
                whole.logprobs, name)
            assert len(getattr(whole.logprobs, name)) == len(tokens)


@pytest.mark.parametrize(('text', 'tokens', 'offsets'), [
    ('<s>a<s>b', [('<s>', 0), ('a', 1), ('<s>', 0), ('b', 1)], [0, 3, 4, 7, 8]),  # special tokens written out
    ('ab', [('<s>', 0), ('a', 1), ('b', 1)], [0, 0, 1, 2]),  # one that the tokenizer has added
    ('a b', [(' a', 2), (' b', 2)], [0, 1, 3]),  # and a space that it has
    (' a b', [(' a', 2), (' b', 2)], [0, 2, 4]),
    ('é!', [(r'bytes:\xc3', 0), (r'bytes:\xa9', 1), ('!', 1)], [0, 0, 1, 2])])
def test_offsets_of_an_echo_are_places_in_the_prompt_as_it_was_sent(text: str, tokens: list[tuple[str, int]],
                                                                    offsets: list[int]) -> None:
    echo = Delta(0, text, tuple(Token(1, name, length) for name, length in tokens), is_prompt=True)
    assert logprobs_of(written([echo, delta('next')], logprobs=0, echo=True)).text_offset == offsets
