"""Two libraries of constrained decoding behind one face, for bench/grammar.py. Each is optional."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Walk(Protocol):
    """One answer on its way through a compiled schema."""

    def mask(self) -> bytes:
        """Computes which tokens may come next: a bit each, the lowest first."""
        ...

    def accept(self, token: int) -> bool:
        """Goes on with a token; returns whether it was allowed."""
        ...


class Library(Protocol):
    """A library that has been told a vocabulary."""

    def compile(self, schema: str) -> Callable[[], Walk]:
        """Returns what begins an answer by a JSON schema. Raises ValueError where it cannot be."""
        ...


class Vocabulary:
    """What llguidance wants to know of a tokenizer."""

    bos_token_id = None

    def __init__(self, tokens: Sequence[bytes], end: int) -> None:
        self.tokens = tokens
        self.eos_token_id = end
        self.special_token_ids = [end]

    def __call__(self, text: bytes) -> list[int]:
        """Splits a text into tokens: into bytes, which all vocabularies here begin with."""
        return list(text)


class LlGuidance:
    """An Earley parser over lexemes whose automata are made as they are met."""

    def __init__(self, tokens: Sequence[bytes], end: int) -> None:
        import llguidance
        self._matcher: Any = llguidance.LLMatcher
        self._tokenizer: Any = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Vocabulary(tokens, end)))

    def compile(self, schema: str) -> Callable[[], Walk]:
        """See Library.compile."""
        matcher = self._matcher(self._tokenizer, self._matcher.grammar_from_json_schema(schema), log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error().splitlines()[0])
        return lambda: LlGuidanceWalk(matcher.deep_copy())


class LlGuidanceWalk:
    """A Walk."""

    def __init__(self, matcher: Any) -> None:  # Any: this module does without the library
        self._matcher = matcher

    def mask(self) -> bytes:
        """See Walk.mask."""
        return bytes(self._matcher.compute_bitmask())

    def accept(self, token: int) -> bool:
        """See Walk.accept."""
        return bool(self._matcher.consume_token(token))


class XGrammar:
    """Pushdown automata with masks made ahead where they can be."""

    def __init__(self, tokens: Sequence[bytes], end: int) -> None:
        xgrammar: Any = importlib.import_module('xgrammar')  # where types are checked it is not installed
        self._library: Any = xgrammar
        self._size = len(tokens)
        self._compiler = xgrammar.GrammarCompiler(
            xgrammar.TokenizerInfo(list(tokens), stop_token_ids=[end]), cache_enabled=False)

    def compile(self, schema: str) -> Callable[[], Walk]:
        """See Library.compile."""
        try:
            compiled = self._compiler.compile_json_schema(schema)
        except RuntimeError as error:
            raise ValueError(str(error).splitlines()[0]) from error
        return lambda: XGrammarWalk(self._library.GrammarMatcher(compiled),
                                    self._library.allocate_token_bitmask(1, self._size))


class XGrammarWalk:
    """A Walk."""

    def __init__(self, matcher: Any, bits: Any) -> None:  # Any: this module does without the library
        self._matcher, self._bits = matcher, bits

    def mask(self) -> bytes:
        """See Walk.mask."""
        self._matcher.fill_next_token_bitmask(self._bits)
        return bytes(self._bits.numpy().tobytes())

    def accept(self, token: int) -> bool:
        """See Walk.accept."""
        return bool(self._matcher.accept_token(token))


LIBRARIES: Mapping[str, Callable[[Sequence[bytes], int], Library]] = {'llguidance': LlGuidance, 'xgrammar': XGrammar}
