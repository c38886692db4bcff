"""A CTranslate2 model's vocabulary as the engine wants it: text to ids, and each id to its bytes in a text.

The model knows tokens by how they are written; splitting text into them is up to tokenizer.json or to SentencePiece's
files, whichever lie in the model's folder. Knows nothing of requests.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sentencepiece
import tokenizers
from ct2_checkpoint import Checkpoint

from sandle.chat_template import ChatTemplate
from sandle.engine import token_bytes
from sandle.engine.engine import Conversation, TokenizerInfo
from sandle.engine.runner import LoadError

SOURCE_PIECES = ('source.spm', 'sentencepiece.model', 'tokenizer.model', 'spiece.model', 'sentencepiece.bpe.model')
JSON_FILE = 'tokenizer.json'
PAD = '<pad>'


@dataclass(frozen=True, slots=True)
class Splitter:
    """What turns text into tokens, and what is known of those.

    `split` takes a text and whether special tokens are to be added. `to_bytes` is of a token that is not special.
    """

    split: Callable[[str, bool], list[str]]
    to_bytes: Callable[[str], bytes]
    special: frozenset[str]
    strips_first_space: bool


class Ct2Tokenizer:
    """Implements `sandle.engine.runner.Tokenizer`. Every method may be called on any thread.

    A prompt's ids are of the source vocabulary, an answer's of the target vocabulary: mostly the same.
    """

    can_infill = False
    infill_ends: frozenset[int] = frozenset()

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises LoadError."""
        self._checkpoint = checkpoint
        self._splitter = splitter = _splitter(checkpoint)
        self._ids = _ids(checkpoint.source)
        self._special = splitter.special | {name for name in (checkpoint.bos, checkpoint.eos, checkpoint.unk) if name}
        targets = self._ids if checkpoint.target == checkpoint.source else _ids(checkpoint.target)
        self.eos_ids = frozenset({targets[checkpoint.eos]} if checkpoint.eos in targets else ())
        self._unknown = self._ids.get(checkpoint.unk or '', 0)
        self.info = _info(checkpoint)
        self._chat = ChatTemplate(self.info)

    @property
    def vocab_size(self) -> int:
        """See TextTokenizer.vocab_size."""
        return len(self._checkpoint.source)

    @property
    def strips_first_space(self) -> bool:
        """Whether every text begins with a space in the vocabulary that it does not have."""
        return self._splitter.strips_first_space

    @property
    def default_prompt(self) -> tuple[int, ...]:
        """See Tokenizer.default_prompt."""
        names = self._checkpoint.bos, self._checkpoint.eos
        return (next((self._ids[name] for name in names if name is not None and name in self._ids), 0),)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Returns the ids of a text; one that begins with the beginning-of-text token gets no second one."""
        names = self._splitter.split(text, add_special_tokens)
        bos = self._checkpoint.bos
        if add_special_tokens and names[:2] == [bos, bos]:
            del names[0]
        return [self._ids.get(name, self._unknown) for name in names]

    def infill(self, prefix: str | Sequence[int], suffix: str, add_special_tokens: bool) -> list[int]:
        """See Tokenizer.infill: asked only of a tokenizer that can."""
        raise NotImplementedError

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See TextTokenizer.detokenize."""
        names = [self._checkpoint.source[token] for token in tokens]
        text = b''.join(self._bytes(name) or name.encode() for name in names).decode('utf-8', 'replace')
        return text.removeprefix(' ') if self._splitter.strips_first_space else text

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        return self._chat.render(conversation)

    def token_bytes(self, token: int) -> bytes:
        """See Tokenizer.token_bytes."""
        return self._bytes(self._checkpoint.target[token])

    def token_name(self, token: int) -> str:
        """See Tokenizer.token_name."""
        return self._checkpoint.target[token]

    def _bytes(self, name: str) -> bytes:
        return b'' if name in self._special else self._splitter.to_bytes(name)


def _ids(names: Sequence[str]) -> dict[str, int]:
    """Returns the id of each token, the first one of those written alike."""
    return {name: token for token, name in reversed(list(enumerate(names)))}


def _info(checkpoint: Checkpoint) -> TokenizerInfo:
    """Returns what clients must know. Raises LoadError for files that are damaged."""
    file, template_file = checkpoint.folder / 'tokenizer_config.json', checkpoint.folder / 'chat_template.jinja'
    try:
        template = json.loads(file.read_text('utf-8')).get('chat_template') if file.is_file() else None
        if template_file.is_file():
            template = template_file.read_text('utf-8')
    except (ValueError, AttributeError) as error:
        raise LoadError(f'{file} is damaged ({error}).') from error
    return TokenizerInfo('CTranslate2', bos_token=checkpoint.bos, eos_token=checkpoint.eos,
                         pad_token=PAD if PAD in checkpoint.source else None, unk_token=checkpoint.unk,
                         chat_template=template if isinstance(template, str) else None)


def _splitter(checkpoint: Checkpoint) -> Splitter:
    if (checkpoint.folder / JSON_FILE).is_file():
        return _huggingface(checkpoint)
    if file := next((checkpoint.folder / name for name in SOURCE_PIECES if (checkpoint.folder / name).is_file()), None):
        try:
            pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
        except (OSError, RuntimeError) as error:
            raise LoadError(f'{file} cannot be read: {error}.') from error
        return _pieces(checkpoint, pieces)
    raise LoadError(f'{checkpoint.folder} has no tokenizer: copy tokenizer.json into it, or SentencePiece\'s model '
                    f'({", ".join(SOURCE_PIECES)}).')


def _huggingface(checkpoint: Checkpoint) -> Splitter:
    file = checkpoint.folder / JSON_FILE
    try:
        library = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # an edge: the library raises plain Exceptions for what it cannot read
        raise LoadError(f'{file} cannot be read: {error}.') from error
    library.no_truncation()  # settings of training, which would cut prompts
    library.no_padding()
    decoder = None if library.decoder is None else json.loads(library.decoder.__getstate__())
    special = {added.content for added in library.get_added_tokens_decoder().values() if added.special}

    def split(text: str, add_special_tokens: bool) -> list[str]:
        return list(library.encode(text, add_special_tokens=add_special_tokens).tokens)

    return Splitter(split, token_bytes.converter(decoder), frozenset(special), token_bytes.strips_first_space(decoder))


def _pieces(checkpoint: Checkpoint, pieces: Any) -> Splitter:  # Any: the library has no types
    """Returns SentencePiece's splitting, with what models of each kind are trained to see around a text."""
    start = [checkpoint.bos] if checkpoint.bos and not checkpoint.is_encoder_decoder else []
    end = [checkpoint.eos] if checkpoint.eos and checkpoint.is_encoder_decoder and not checkpoint.adds_end else []
    special = frozenset(pieces.id_to_piece(token) for token in range(pieces.get_piece_size())
                        if pieces.is_control(token) or pieces.is_unknown(token))

    def split(text: str, add_special_tokens: bool) -> list[str]:
        names = [str(name) for name in pieces.encode(text, out_type=str)]
        return [*start, *names, *end] if add_special_tokens else names

    return Splitter(split, token_bytes.of_pieces, special | {PAD}, strips_first_space=True)
