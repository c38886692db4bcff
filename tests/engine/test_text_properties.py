"""From tokens to the text that a client sees: every way of cutting it, and the whole engine against a definition.

The definition looks at everything generated at once; the engine sees one token after another.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandle.engine.engine import (Delta, Finished, FinishReason, GenerationRequest, ModelInfo, ModelStatus,
                                  SamplingParams)
from sandle.engine.loop import EngineLoop, EngineOptions
from sandle.engine.runner import LoadedModel
from sandle.engine.text import Detokenizer, StopFinder
from tests.engine.scripted import EOS, ByteTokenizer, ScriptedLoader
from tests.engine.serving import eventually

# Besides the single bytes: pieces as vocabularies have them, some of which end or begin within a character.
PIECES = [b'ab', b'b\n', b'\n\n', b' stop', b'aaa', '€'.encode()[:2], '€'.encode()[2:] + b'b', '😀'.encode()[1:3],
          'é'.encode(), b'a\xf0']
FIRST_PIECE = 270
SPECIAL = 265  # a token that adds nothing to the text and does not end it
MAX_TOKENS = 24
PATIENCE_S = 30.0


def decoded(data: bytes) -> str:
    """The text of bytes, without an unfinished character at the end."""
    for cut in range(min(3, len(data)) + 1):
        whole, rest = data[:len(data) - cut], data[len(data) - cut:]
        if rest and _is_unfinished(rest):
            return whole.decode('utf-8', errors='replace')
    return data.decode('utf-8', errors='replace')


def _is_unfinished(data: bytes) -> bool:
    """Whether bytes are the beginning of one character and of no whole one."""
    try:
        data.decode('utf-8')
    except UnicodeDecodeError as error:
        return error.reason == 'unexpected end of data' and error.start == 0
    return False


def first_complete(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop string begins that is complete first, the longest of those; None where there is none."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if stop and text[:end].endswith(stop)]
        if starts:
            return min(starts)
    return None


@given(st.text('ab€é\n', max_size=4), st.lists(st.text('ab€\n', min_size=1, max_size=3), max_size=3))
@example('ab€a', ['€a', 'b€'])
@example('aaab', ['aab', 'ab'])
@settings(max_examples=60, deadline=None)
def test_every_way_to_cut_a_text_into_tokens_gives_the_same(whole: str, stops: list[str]) -> None:
    data = whole.encode()[:9]
    place = first_complete(decoded(data), stops)
    wanted = decoded(data) if place is None else decoded(data)[:place]
    for cuts in itertools.product([False, True], repeat=max(len(data) - 1, 0)):
        places = [0, *(index for index, is_cut in enumerate(cuts, 1) if is_cut), len(data)]
        detokenizer, finder = Detokenizer(), StopFinder(stops)
        shown = ''
        for start, end in zip(places, places[1:]):
            shown += finder.add(detokenizer.add(data[start:end]))
            assert wanted.startswith(shown), 'a part of a stop string was shown'
        assert finder.has_stopped == (place is not None)
        assert (shown if finder.has_stopped else shown + finder.flush()) == wanted


class PieceTokenizer(ByteTokenizer):
    """The scripted one, and PIECES."""

    def token_bytes(self, token: int) -> bytes:
        """See Tokenizer.token_bytes."""
        place = token - FIRST_PIECE
        return PIECES[place] if 0 <= place < len(PIECES) else super().token_bytes(token)


class PieceLoader(ScriptedLoader):
    """Scripted models with that tokenizer, which say what `script` holds."""

    def __init__(self) -> None:
        self.script: list[int] = []
        super().__init__(likeliest=lambda tokens: [*self.script, EOS][min(len(tokens) - 1, len(self.script))])

    def load(self, model_id: str, report: Callable[[str], None]) -> LoadedModel:
        """See ModelLoader.load."""
        return dataclasses.replace(super().load(model_id, report), tokenizer=PieceTokenizer(can_infill=False))


@pytest.fixture(scope='module')
def spoken() -> Iterator[tuple[EngineLoop, PieceLoader]]:
    """An engine whose model says what it is told to."""
    loader = PieceLoader()
    engine = EngineLoop([ModelInfo('pieces', '', '', 0, ModelStatus.AVAILABLE, frozenset())], loader, 'pieces',
                        EngineOptions())
    eventually(engine.is_ready)
    yield engine, loader
    engine.shutdown()


def expected(tokens: Sequence[int], params: SamplingParams) -> tuple[str, FinishReason, int]:
    """The answer by definition: its text, why it ends, and how many tokens were generated."""
    tokenizer = PieceTokenizer(can_infill=False)
    for count in range(1, params.max_tokens + 1):
        text = decoded(b''.join(map(tokenizer.token_bytes, tokens[:count])))
        place = first_complete(text, params.stops)
        if place is not None:
            return text[:place], FinishReason.STOP, count
        if tokens[count - 1] == EOS and not params.ignore_eos:
            return text, FinishReason.STOP, count
    return text, FinishReason.LENGTH, params.max_tokens


tokens_said = st.lists(st.sampled_from([*b'ab\n ', SPECIAL, EOS, 0xe2, 0x82, 0xac, 0xff,
                                        *range(FIRST_PIECE, FIRST_PIECE + len(PIECES))]), max_size=MAX_TOKENS)
stop_strings = st.lists(st.text('ab\n€é😀', min_size=1, max_size=4) | st.sampled_from([' stop', 'a\ufffd', '\n\n']),
                        max_size=3)


@given(tokens_said, stop_strings, st.integers(1, MAX_TOKENS), st.booleans())
@example([ord('a'), SPECIAL, ord('b')], ['ab'], 9, False)  # across a token without text
@example([FIRST_PIECE + 5, FIRST_PIECE + 6], ['€b'], 9, False)  # a character and a stop across two tokens
@example([FIRST_PIECE, FIRST_PIECE + 2, FIRST_PIECE], ['b\n', 'ab\n\na'], 9, False)
@example([ord('a'), EOS, ord('b')], ['ab'], 9, True)
@example([ord('a'), FIRST_PIECE + 5], ['a€'], 2, False)  # ends while both a stop and a character are unfinished
@example([0xe2, ord('a')], ['\ufffda'], 9, False)
@settings(max_examples=150, deadline=None)
def test_engine_answers_as_the_definition_says(spoken: tuple[EngineLoop, PieceLoader], said: list[int],
                                               stops: list[str], max_tokens: int, ignores_eos: bool) -> None:
    engine, loader = spoken
    loader.script = said
    params = SamplingParams(max_tokens=max_tokens, temperature=0, stops=tuple(stops), ignore_eos=ignores_eos)
    text, reason, count = expected([*said, *[EOS] * (MAX_TOKENS + 1)], params)
    handle = engine.submit(GenerationRequest('id', 'pieces', ((5,),), params))
    found: list[Delta] = []
    while not isinstance(event := handle.get(PATIENCE_S), Finished):
        found.append(event)
        assert text.startswith(''.join(delta.text for delta in found)), 'something was shown that is no part of it'
    assert ''.join(delta.text for delta in found) == text
    assert [delta.finish_reason for delta in found] == [None] * (len(found) - 1) + [reason]
    assert [token.id for delta in found for token in delta.tokens] == [*said, *[EOS] * MAX_TOKENS][:count]
    assert event.completion_tokens == count
    held_back = _held_back(found)
    assert all(not held or any(stop.startswith(held) and stop != held for stop in stops) for held in held_back)


def _held_back(found: Sequence[Delta]) -> list[str]:
    """What of the whole characters was not shown after each delta but the last."""
    tokenizer, data, shown, held = PieceTokenizer(can_infill=False), b'', '', []
    for delta in found[:-1]:
        data += b''.join(tokenizer.token_bytes(token.id) for token in delta.tokens)
        shown += delta.text
        held.append(decoded(data)[len(shown):])
    return held
