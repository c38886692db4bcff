"""Answers that keep to a grammar: compiled once for a model, and then a mask of the tokens that may come next.

Knows llguidance, which reads grammars and follows them; knows neither sequences nor what a grammar is for.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import llguidance

from sandle import errors
from sandle.engine.engine import Grammar
from sandle.engine.grammar_proof import GrammarProof

MAX_CHARACTERS = 128 * 1024  # of one grammar
MAX_KEPT = 32  # compiled grammars of one model
LIMITS = llguidance.LLParserLimits(step_lexer_fuel=100_000, step_max_items=20_000)  # some milliseconds a token at most
MAX_FAULT_CHARACTERS = 300
# A model may write what a grammar prescribes in tokens of its own choice: the library's choice would need its tokenizer
# in every step, and some tokenizers put a space before whatever they are given.
OPTIONS = '%llguidance {"no_forcing": true}\n'
proof = GrammarProof()


class Tokenizer(Protocol):
    """What must be known of a model's tokenizer."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id that the model takes."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """Returns the bytes that a token adds to a text; none for a special token."""
        ...

    def encode(self, text: str, add_special_tokens: bool) -> Sequence[int]:
        """Returns the token ids of a text; a special token written out in it is one id."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Returns the text of token ids, special tokens written out."""
        ...


class Vocabulary:
    """A model's tokens as llguidance wants them, and one more behind them: the end of the answer.

    `special` are the special tokens that are text here, with their bytes.
    """

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, special: Mapping[int, bytes]) -> None:
        self.tokens = [*map(tokenizer.token_bytes, range(tokenizer.vocab_size)), b'']
        for token, name in special.items():
            self.tokens[token] = name
        self.eos_token_id = tokenizer.vocab_size
        self.special_token_ids = [tokenizer.vocab_size]

    def __call__(self, text: bytes) -> list[int]:
        """Splits a text into tokens, which nobody asks for: see OPTIONS."""
        raise NotImplementedError


class Constraint:
    """What one answer may go on with. Used by the thread that generates it.

    `special` are the special tokens that are text in it, with their bytes.
    """

    def __init__(self, matcher: llguidance.LLMatcher, end: int, param: str, special: Mapping[int, bytes]) -> None:
        self.special = special
        self._matcher = matcher
        self._end = end
        self._param = param

    @property
    def is_complete(self) -> bool:
        """Whether the answer fits the grammar and nothing can follow."""
        return self._matcher.is_stopped()

    @property
    def may_end(self) -> bool:
        """Whether the answer fits the grammar."""
        return self._matcher.is_accepting()

    def allowed(self, ends: frozenset[int], may_end: bool) -> bytes | None:
        """Returns which tokens may come next, a bit each, the lowest first; None if there are none.

        `ends` are the tokens that end the answer; they are among them where the grammar is fulfilled and it `may_end`.
        Raises InvalidRequestError when this is too hard to find out.
        """
        mask = bytearray(self._matcher.compute_bitmask())
        self._check()
        can_end = may_end and mask[self._end >> 3] >> (self._end & 7) & 1
        for token in (self._end, *ends):
            mask[token >> 3] &= ~(1 << (token & 7))
        for token in ends if can_end else ():
            mask[token >> 3] |= 1 << (token & 7)
        return bytes(mask) if any(mask) else None

    def add(self, token: int) -> None:
        """Goes on with a token that was allowed, and is no end. Raises InvalidRequestError as `allowed` does."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise errors.InvalidRequestError(
                f'The answer could not be kept to what {self._param} asks for: it is too complex.', param=self._param)


class Grammars:
    """The grammars of one model. Any thread."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._lock = threading.Lock()
        self._vocabularies: dict[tuple[int, ...], llguidance.LLTokenizer] = {}  # by the special tokens that are text
        self._compiled: OrderedDict[Grammar, llguidance.LLMatcher] = OrderedDict()

    def compile(self, grammar: Grammar) -> Callable[[], Constraint]:
        """Returns what begins an answer. Raises InvalidRequestError for a grammar that cannot be used."""
        special = self._special(grammar.tokens)
        matcher = self._find(grammar, special)
        return lambda: Constraint(matcher.deep_copy(), self.tokenizer.vocab_size, grammar.param, special)

    def _special(self, names: Sequence[str]) -> dict[int, bytes]:
        """Returns those tokens that are written so and are special to this tokenizer, with their bytes as text."""
        tokenizer = self.tokenizer
        return {token: name.encode() for name in names for token in tokenizer.encode(name, add_special_tokens=False)
                if not tokenizer.token_bytes(token) and tokenizer.detokenize([token]) == name}

    def _find(self, grammar: Grammar, special: Mapping[int, bytes]) -> llguidance.LLMatcher:
        with self._lock:
            matcher = self._compiled.get(grammar)
            if matcher is not None:
                self._compiled.move_to_end(grammar)
                return matcher
        matcher = self._new(grammar, special)
        with self._lock:
            self._compiled[grammar] = matcher
            while len(self._compiled) > MAX_KEPT:
                self._compiled.popitem(last=False)
        return matcher

    def _new(self, grammar: Grammar, special: Mapping[int, bytes]) -> llguidance.LLMatcher:
        if len(grammar.source) > MAX_CHARACTERS:
            raise _refused(grammar, f'it is longer than {MAX_CHARACTERS} characters')
        source = OPTIONS + grammar.source
        if fault := proof.fault(source):
            raise _refused(grammar, fault)
        matcher = llguidance.LLMatcher(self._vocabulary(special), source, log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise _refused(grammar, matcher.get_error().strip().partition('\n')[0])
        return matcher

    def _vocabulary(self, special: Mapping[int, bytes]) -> llguidance.LLTokenizer:
        key = tuple(special)
        with self._lock:
            if key not in self._vocabularies:
                vocabulary = Vocabulary(self.tokenizer, special)
                self._vocabularies[key] = llguidance.LLTokenizer(llguidance.TokenizerWrapper(vocabulary))
            return self._vocabularies[key]


def _refused(grammar: Grammar, fault: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(f'{grammar.param} cannot be used to constrain an answer: '
                                      f'{fault[:MAX_FAULT_CHARACTERS]}.', param=grammar.param)
