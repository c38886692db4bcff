"""A Hugging Face tokenizer as the engine wants it: text to ids, and each id to the bytes that it adds to a text.

Knows the library's tokenizers; knows nothing of requests or of the model but its special ids.
"""

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_infill import find_infill
from transformers import PreTrainedTokenizerBase

from sandle.chat_template import ChatTemplate
from sandle.engine import token_bytes
from sandle.engine.engine import Conversation, TokenizerInfo

JOINT = '\u263a'  # merges with no text: what CodeLLaMA's own code uses


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """What the model's configuration says of its tokens. `vocab_size` is the number of ids that the model takes."""

    vocab_size: int
    eos: frozenset[int]
    bos: int | None


class HfTokenizer:
    """Implements `sandle.engine.runner.Tokenizer`. Every method may be called on any thread."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, special: SpecialIds) -> None:
        self._tokenizer = tokenizer
        self._special = special
        self._lock = threading.Lock()  # the tokenizers written in Python promise nothing about threads
        self._backend = tokenizer.backend_tokenizer if tokenizer.is_fast else None
        if self._backend is not None:  # settings of training that a tokenizer.json may carry, which would cut prompts
            self._backend.no_truncation()
            self._backend.no_padding()
        added = tokenizer.added_tokens_decoder
        self._special_ids = frozenset(tokenizer.all_special_ids) | {
            token for token, content in added.items() if content.special}
        self._added = {token: str(content.content) for token, content in added.items()}
        decoder = None if self._backend is None else self._backend.decoder
        self._decoder = None if decoder is None else json.loads(decoder.__getstate__())
        self._to_bytes = self._python_bytes if self._backend is None else token_bytes.converter(self._decoder)
        self._bytes: dict[int, bytes] = {}
        self._infill = find_infill(tokenizer, special.vocab_size)
        self._chat = ChatTemplate(self.info)
        self._adds_bos = special.bos is not None and self._encode('', True)[:1] == [special.bos]

    @property
    def vocab_size(self) -> int:
        return self._special.vocab_size

    @property
    def eos_ids(self) -> frozenset[int]:
        return self._special.eos

    @property
    def infill_ends(self) -> frozenset[int]:
        """See sandle.engine.runner.Tokenizer.infill_ends."""
        return frozenset() if self._infill is None else self._infill.ends

    @property
    def can_infill(self) -> bool:
        """See sandle.engine.runner.Tokenizer.can_infill."""
        return self._infill is not None

    @property
    def strips_first_space(self) -> bool:
        """Whether every text begins with a space in the vocabulary that it does not have."""
        return self._backend is None or token_bytes.strips_first_space(self._decoder)

    @property
    def special_ids(self) -> frozenset[int]:
        """The tokens that add nothing to a text."""
        return self._special_ids

    @property
    def info(self) -> TokenizerInfo:
        """The tokenizer's own special tokens; the end of text, if it names none, by the model's configuration."""
        library, eos = self._tokenizer, min(self._special.eos, default=None)
        return TokenizerInfo(
            type(library).__name__, bos_token=library.bos_token, pad_token=library.pad_token,
            eos_token=library.eos_token or (None if eos is None else self.token_name(eos)),
            unk_token=library.unk_token, chat_template=self._named_template('default'),
            tool_template=self._named_template('tool_use'))

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        return self._chat.render(conversation)

    def _named_template(self, name: str) -> str | None:
        """Returns a chat template; a tokenizer that has a single one has no other than the default one."""
        templates = getattr(self._tokenizer, 'chat_template', None)
        return templates.get(name) if isinstance(templates, dict) else templates if name == 'default' else None

    @property
    def default_prompt(self) -> tuple[int, ...]:
        """The beginning-of-text token, or else an end-of-text token; for a model that has neither, any token: 0."""
        return (self._special.bos if self._special.bos is not None else min(self._special.eos, default=0),)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Returns the ids of a text; special tokens written out in it become their ids.

        A text that begins with the beginning-of-text token gets no second one, as harnesses that decode their tokens
        into a prompt expect.
        """
        ids = self._encode(text, add_special_tokens)
        is_doubled = add_special_tokens and self._adds_bos and ids[:2] == [self._special.bos] * 2
        return ids[1:] if is_doubled else ids

    def infill(self, prefix: str | Sequence[int], suffix: str, add_special_tokens: bool) -> list[int]:
        """Returns the prompt in the order prefix, suffix, middle, which all models know that fill in."""
        assert self._infill is not None, 'asked only of a tokenizer that can'
        before = self._encode(prefix, False) if isinstance(prefix, str) else list(prefix)
        bos = [self._special.bos] if add_special_tokens and self._adds_bos and self._special.bos is not None else []
        return [*bos, self._infill.prefix, *before, self._infill.suffix, *self._continued(suffix), self._infill.middle]

    def _continued(self, text: str) -> list[int]:
        """Returns the ids of a text without the space that some tokenizers put before one."""
        mark = self._encode(JOINT, False)
        if mark and self.token_bytes(mark[0])[:1] == b' ':
            ids = self._encode(JOINT + text, False)
            if ids[:len(mark)] == mark:
                return ids[len(mark):]
        return self._encode(text, False)

    def _encode(self, text: str, add_special_tokens: bool) -> list[int]:
        if self._backend is not None:
            return list(self._backend.encode(text, add_special_tokens=add_special_tokens).ids)
        with self._lock:
            return list(self._tokenizer.encode(text, add_special_tokens=add_special_tokens, verbose=False))

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids, special tokens left out and spaces as the model wrote them."""
        with self._lock:
            text = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See TextTokenizer.detokenize; ids without a token add nothing."""
        if self._backend is not None:
            return str(self._backend.decode(list(tokens), skip_special_tokens=False))
        known = [token for token in tokens if self._name(token) is not None]
        with self._lock:
            return str(self._tokenizer.decode(known, clean_up_tokenization_spaces=False))

    def token_bytes(self, token: int) -> bytes:
        """Returns the bytes that a token adds to a text; none for a special token and for ids without a token."""
        known = self._bytes.get(token)
        if known is None:
            known = self._bytes[token] = self._find_bytes(token)
        return known

    def token_name(self, token: int) -> str:
        """Returns how a token is written in the vocabulary."""
        return self._name(token) or f'<token {token}>'

    def _find_bytes(self, token: int) -> bytes:
        if token in self._special_ids:
            return b''
        if token in self._added:
            return self._added[token].encode('utf-8')
        name = self._name(token)
        return b'' if name is None else self._to_bytes(name)

    def _name(self, token: int) -> str | None:
        """Returns None for an id beyond the vocabulary: models have more rows than tokens, for round numbers."""
        if token in self._added:
            return self._added[token]
        if not 0 <= token < len(self._tokenizer):
            return None
        with self._lock:
            name = self._tokenizer.convert_ids_to_tokens(token)
        return None if name is None else str(name)

    def _python_bytes(self, name: str) -> bytes:
        if '\u2581' in name or token_bytes.BYTE_TOKEN.fullmatch(name):
            return token_bytes.of_pieces(name)
        with self._lock:
            return str(self._tokenizer.convert_tokens_to_string([name])).encode('utf-8')
