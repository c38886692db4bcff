"""What the stub "predicts": which token stands where, and logprobs that hang together. Pure functions, no state.

A logprob depends only on the tokens before it and on the token's rank, so the same request has the same logprobs in
every run. A generated token is always the most likely one; a prompt's token has a rank between 0 and 3.
"""

import math
import zlib
from collections.abc import Sequence

from sandle.engine.engine import Token, TopToken
from sandle.engine.text import token_text
from stub_vocab import END_OF_TEXT, Vocabulary

PROMPT_RANKS = 4


def context_hash(before: int, token: int) -> int:
    """Returns the hash of a context lengthened by a token; the empty context's hash is 0."""
    return zlib.crc32(token.to_bytes(8, 'big'), before)


def is_end(position: int, answer_length: int, min_tokens: int, ignore_eos: bool) -> bool:
    """Returns whether the end-of-text token stands at a position of the answer, counted from 0."""
    return position >= max(answer_length, min_tokens) and not ignore_eos


def shown_token(vocabulary: Vocabulary, token: int, length: int, logprobs: tuple[int, int, int] | None) -> Token:
    """Returns a token as the API shows it.

    `length` is the number of characters it adds to its text; `logprobs` is (hash of the context, rank of the token,
    number of alternatives), or None for a token without logprobs.
    """
    text = token_text(vocabulary.shown(token))
    if logprobs is None:
        return Token(token, text, length)
    context, rank, alternatives = logprobs
    ranked = _ranking(vocabulary, context, token, rank, max(alternatives, rank + 1))
    top = tuple(TopToken(other, token_text(vocabulary.shown(other)), logprob)
                for other, logprob in ranked[:alternatives])
    return Token(token, text, length, ranked[rank][1], top)


def _ranking(vocabulary: Vocabulary, context: int, token: int, rank: int, count: int) -> Sequence[tuple[int, float]]:
    """Returns the `count` most likely tokens of a context with their logprobs, `token` being at `rank`.

    The first has a probability between 0.5 and 0.9; each of the others half of what is left after those before it.
    """
    first = 0.5 + 0.4 * (context % 1000) / 1000
    others = (number for step in range(count + 1)
              if (number := (context // 1000 + 7 * step) % len(vocabulary)) != token)
    ranked = []
    for place in range(min(count, len(vocabulary))):
        number = token if place == rank else next(others)
        ranked.append((number, math.log(first if place == 0 else (1 - first) / 2 ** place)))
    return ranked


def answer_token(answer: Sequence[int], position: int, at_end: bool) -> int:
    """Returns the token at a position of an answer that repeats as often as is needed."""
    return END_OF_TEXT if at_end or not answer else answer[position % len(answer)]
