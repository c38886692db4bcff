"""A GGUF file's vocabulary as the engine wants it: text to ids, and each id to the bytes that it adds to a text.

Files that Sandle has made hold the Hugging Face tokenizer that the model came with, and text is split by that one, so
that every backend splits it alike; for all others llama.cpp does it. Knows nothing of requests.
"""

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import tokenizers
from llama_library import Model

from sandle.chat_template import ChatTemplate
from sandle.engine.engine import Conversation, TokenizerInfo
from sandle.engine.runner import LoadError

TEMPLATE_KEY = 'tokenizer.chat_template'
HUGGINGFACE_KEY = 'tokenizer.huggingface.json'
CONTROL, UNUSED, UNKNOWN = 1 << 3, 1 << 1, 1 << 0  # of llama_token_attr
JOINT = '\u263a'  # merges with no text
PIECE_BYTES = 256  # more than any token of known vocabularies has; a longer one is asked for again


class LlamaTokenizer:
    """Implements `sandle.engine.runner.Tokenizer`. Every method may be called on any thread."""

    def __init__(self, model: Model) -> None:
        """Takes over the model, of which the vocabulary is enough: it is freed with this. Raises LoadError."""
        weakref.finalize(self, model.free)
        self._functions = functions = model.library.functions
        vocab = model.vocab
        self._size = model.vocab_size
        self._pieces = [self._piece(vocab, token) for token in range(self._size)]
        self._names = [str(functions.llama_vocab_get_text(vocab, token).decode('utf-8', 'replace'))
                       for token in range(self._size)]
        self._eos = frozenset(token for token in range(self._size) if functions.llama_vocab_is_eog(vocab, token))
        self._bos, self._end, self._pad = (self._known(find(vocab)) for find in (
            functions.llama_vocab_bos, functions.llama_vocab_eos, functions.llama_vocab_pad))
        self._adds_bos = bool(functions.llama_vocab_get_add_bos(vocab)) and self._bos is not None
        self._template, self._tool_template = model.metadata(TEMPLATE_KEY), model.metadata(f'{TEMPLATE_KEY}.tool_use')
        self._chat = ChatTemplate(self.info)
        self._split = _huggingface(model) or _by_llama_cpp(model)
        middle = [self._known(find(vocab)) for find in (
            functions.llama_vocab_fim_pre, functions.llama_vocab_fim_suf, functions.llama_vocab_fim_mid)]
        self._infill = [token for token in middle if token is not None]

    @property
    def vocab_size(self) -> int:
        """See TextTokenizer.vocab_size."""
        return self._size

    @property
    def eos_ids(self) -> frozenset[int]:
        """See Tokenizer.eos_ids."""
        return self._eos

    @property
    def can_infill(self) -> bool:
        """See Tokenizer.can_infill."""
        return len(self._infill) == 3

    @property
    def infill_ends(self) -> frozenset[int]:
        """See Tokenizer.infill_ends: llama.cpp counts them among those that end any answer."""
        return frozenset()

    @property
    def default_prompt(self) -> tuple[int, ...]:
        """See Tokenizer.default_prompt."""
        return (self._bos if self._bos is not None else min(self._eos, default=0),)

    @property
    def info(self) -> TokenizerInfo:
        """See TextTokenizer.info."""
        bos, end, pad = (None if token is None else self._names[token] for token in (self._bos, self._end, self._pad))
        return TokenizerInfo('GGUF', bos_token=bos, eos_token=end, pad_token=pad, chat_template=self._template,
                             tool_template=self._tool_template)

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        return self._chat.render(conversation)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Returns the ids of a text; one that begins with the beginning-of-text token gets no second one."""
        ids = self._split(text)
        if add_special_tokens and self._adds_bos and self._bos is not None and ids[:1] != [self._bos]:
            return [self._bos, *ids]
        return ids

    def infill(self, prefix: str | Sequence[int], suffix: str, add_special_tokens: bool) -> list[int]:
        """See Tokenizer.infill."""
        before = self._split(prefix) if isinstance(prefix, str) else list(prefix)
        bos = [self._bos] if add_special_tokens and self._adds_bos and self._bos is not None else []
        begin, middle, end = self._infill
        return [*bos, begin, *before, middle, *self._continued(suffix), end]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See TextTokenizer.detokenize."""
        data = b''.join(self._pieces[token] or self._names[token].encode() for token in tokens)
        return data.decode('utf-8', 'replace')

    def token_bytes(self, token: int) -> bytes:
        """See Tokenizer.token_bytes."""
        return self._pieces[token]

    def token_name(self, token: int) -> str:
        """See Tokenizer.token_name."""
        return self._names[token]

    def _continued(self, text: str) -> list[int]:
        """Returns the ids of a text without the space that some vocabularies put before one."""
        mark, ids = self._split(JOINT), self._split(JOINT + text)
        return ids[len(mark):] if ids[:len(mark)] == mark else self._split(text)

    def _piece(self, vocab: Any, token: int) -> bytes:  # Any: a pointer of C's
        if self._functions.llama_vocab_get_attr(vocab, token) & (CONTROL | UNUSED | UNKNOWN):
            return b''
        buffer = ctypes.create_string_buffer(PIECE_BYTES)
        length = self._functions.llama_token_to_piece(vocab, token, buffer, PIECE_BYTES, 0, True)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._functions.llama_token_to_piece(vocab, token, buffer, -length, 0, True)
        return buffer.raw[:length]

    def _known(self, token: int) -> int | None:
        return token if 0 <= token < self._size else None


def _huggingface(model: Model) -> Callable[[str], list[int]] | None:
    """Returns a function from text to ids by the tokenizer that the file brings along, if it does. Raises LoadError."""
    text = model.metadata(HUGGINGFACE_KEY)
    if text is None:
        return None
    try:
        tokenizer = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # an edge: the library raises plain Exceptions for what it cannot read
        raise LoadError(f'The tokenizer in the file ({HUGGINGFACE_KEY}) cannot be read: {error}.') from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def _by_llama_cpp(model: Model) -> Callable[[str], list[int]]:
    functions, vocab, lock = model.library.functions, model.vocab, threading.Lock()

    def split(text: str) -> list[int]:
        data = text.encode()
        capacity = len(data) + 2  # a token has at least one byte, but for a space in front
        with lock:  # the vocabulary's own caches promise nothing about threads
            ids = (ctypes.c_int32 * capacity)()
            count = functions.llama_tokenize(vocab, data, len(data), ids, capacity, False, True)
        assert count >= 0, 'no text has more tokens than bytes'
        return list(ids[:count])

    return split
