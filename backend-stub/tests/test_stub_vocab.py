import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stub_vocab import END_OF_TEXT, WORDS, Vocabulary

VOCABULARY = Vocabulary(' world! Zymurgy')


@given(st.text())
@example('<|endoftext|>')
@example(' world!')
@example('  two  spaces\n\tand 🙂')
def test_encode_is_reversible(text: str) -> None:
    ids = VOCABULARY.encode(text)
    assert VOCABULARY.detokenize(ids) == text
    assert b''.join(map(VOCABULARY.token_bytes, ids)).decode('utf-8') == text.replace('<|endoftext|>', '')
    assert all(0 <= number < VOCABULARY.vocab_size for number in ids)


@pytest.mark.parametrize('before, after', [('', ''), ('!', '!'), ('a ', ' b'), ('<|', '|>'), ('\u00e9', '\n')])
def test_special_token_within_a_text_is_one_id(before: str, after: str) -> None:
    ids = VOCABULARY.encode(f'{before}<|endoftext|>{after}')
    assert ids == (*VOCABULARY.encode(before), END_OF_TEXT, *VOCABULARY.encode(after))


def test_vocabulary_has_no_token_twice() -> None:
    pieces = [VOCABULARY.shown(number) for number in range(len(VOCABULARY))]
    assert len(set(pieces)) == len(pieces)
    assert len(set(WORDS)) == len(WORDS)


def test_encode_splits_into_words_and_bytes() -> None:
    assert [VOCABULARY.shown(number) for number in VOCABULARY.encode('Hello the xq é')] == [
        b'Hello', b' the', b' ', b'x', b'q', b' ', b'\xc3', b'\xa9']


def test_words_of_the_answer_are_tokens_and_move_no_other_id() -> None:
    assert len(VOCABULARY.encode(' Zymurgy')) == 1
    assert len(Vocabulary('').encode(' Zymurgy')) == 8
    assert VOCABULARY.encode('Hello world') == Vocabulary('').encode('Hello world')


def test_end_of_text_adds_no_text() -> None:
    assert VOCABULARY.token_bytes(END_OF_TEXT) == b''
    assert VOCABULARY.shown(END_OF_TEXT) == b'<|endoftext|>'
