"""Detokenizing and stop strings, cut into pieces in every way."""

from hypothesis import example, given
from hypothesis import strategies as st

from sandle.engine.text import Detokenizer, StopFinder, token_text


def pieces_of(whole: bytes, cuts: list[int]) -> list[bytes]:
    """Cuts a byte string at some places."""
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    return [whole[start:end] for start, end in zip(places, places[1:])]


@given(st.binary(max_size=40), st.lists(st.integers(0, 40)))
@example('aé漢😀'.encode(), [2, 4, 5, 7])
@example(b'\xe2\x28\xa1', [1])
def test_detokenizer_equals_decoding_the_whole_but_for_an_unfinished_end(whole: bytes, cuts: list[int]) -> None:
    detokenizer = Detokenizer()
    text = ''.join(detokenizer.add(piece) for piece in pieces_of(whole, cuts))
    decoded = whole.decode('utf-8', errors='replace')
    assert decoded in (text, text + '\ufffd')
    if not decoded.endswith('\ufffd'):
        assert text == decoded


def test_detokenizer_never_shows_part_of_a_character() -> None:
    detokenizer = Detokenizer()
    assert [detokenizer.add(bytes([byte])) for byte in '😀!'.encode()] == ['', '', '', '😀', '!']


alphabet = st.text('ab\nQ', max_size=12)
stop_strings = st.lists(st.text('ab\nQ', min_size=1, max_size=4), max_size=3)


def expected(text: str, stops: list[str]) -> tuple[str, bool]:
    """The answer by definition: up to the stop string that is complete first."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[:min(starts)], True
    return text, False


@given(st.lists(alphabet, max_size=6), stop_strings)
@example(['a', 'b'], ['ab'])
@example(['xab'.replace('x', 'Q')], ['ab', 'Qabb'])
@example(['aab'], ['ab', 'aab'])
@example(['aaab'], ['aab'])
@example(['\n', '\nQ'], ['\n\nQ'])
def test_stop_finder_ends_at_the_first_complete_stop_however_the_text_is_cut(pieces: list[str],
                                                                             stops: list[str]) -> None:
    finder = StopFinder(stops)
    shown = ''.join(finder.add(piece) for piece in pieces)
    wanted, stopped = expected(''.join(pieces), stops)
    assert finder.has_stopped is stopped
    assert shown + ('' if stopped else finder.flush()) == wanted


@given(st.lists(alphabet, max_size=6), stop_strings)
def test_stop_finder_holds_back_nothing_but_a_proper_beginning_of_a_stop(pieces: list[str], stops: list[str]) -> None:
    finder = StopFinder(stops)
    for piece in pieces:
        finder.add(piece)
    held = finder.flush()
    assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def test_stop_finder_shows_nothing_after_the_stop() -> None:
    finder = StopFinder(['.'])
    assert finder.add('one. two') == 'one'
    assert finder.add(' three') == ''


def test_token_text_writes_bytes_that_are_no_character() -> None:
    assert token_text('é'.encode()) == 'é'
    assert token_text(b'\xe2\x80') == 'bytes:\\xe2\\x80'
