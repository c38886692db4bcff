import math

from hypothesis import given, settings
from hypothesis import strategies as st

import stub_model
from stub_vocab import Vocabulary

VOCABULARY = Vocabulary('')
tokens = st.integers(0, len(VOCABULARY) - 1)


@given(st.integers(0, 2 ** 32 - 1), tokens, st.integers(0, stub_model.PROMPT_RANKS - 1), st.integers(0, 20))
@settings(deadline=None)
def test_logprobs_are_a_part_of_a_distribution(context: int, token: int, rank: int, alternatives: int) -> None:
    shown = stub_model.shown_token(VOCABULARY, token, 1, (context, rank, alternatives))
    assert shown.top is not None and shown.logprob is not None
    assert len(shown.top) == alternatives == len({other.text for other in shown.top})
    logprobs = [other.logprob for other in shown.top]
    assert logprobs == sorted(logprobs, reverse=True)
    assert all(math.isfinite(logprob) and logprob < 0 for logprob in (*logprobs, shown.logprob))
    assert sum(map(math.exp, logprobs)) < 1
    if rank < alternatives:
        assert shown.top[rank] == (shown.id, shown.text, shown.logprob)
    else:
        assert shown.text not in {other.text for other in shown.top}


def test_a_token_without_logprobs_has_none() -> None:
    shown = stub_model.shown_token(VOCABULARY, 0xC3, 0, None)
    assert (shown.text, shown.logprob, shown.top) == (r'bytes:\xc3', None, None)


def test_context_hash_depends_on_every_token_and_their_order() -> None:
    def of(*ids: int) -> int:
        value = 0
        for number in ids:
            value = stub_model.context_hash(value, number)
        return value

    assert len({of(), of(1), of(2), of(1, 2), of(2, 1), of(1, 2, 1)}) == 6
