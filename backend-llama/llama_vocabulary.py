"""Reads vocabularies as GGUF holds them: from tokenizer.json, from SentencePiece's and from tiktoken's tokenizer.model.

Knows those three formats. What a token's bytes are is told by how it is written: byte-level vocabularies write each
byte as a character, SentencePiece's write a space as U+2581 and odd bytes as <0x..>.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import sentencepiece
from gguf import TokenType
from llama_weights import Vocabulary

from sandle.engine.runner import LoadError

BYTE = re.compile(r'<0x[0-9A-Fa-f]{2}>')
LLAMA3_SPLIT = r'\p{N}{1,3}'  # in the pattern of Llama 3, and of no other family that is converted here
# What Llama 3 adds to its vocabulary, in this order; the others up to 256 are reserved.
LLAMA3_SPECIAL = {0: '<|begin_of_text|>', 1: '<|end_of_text|>', 6: '<|start_header_id|>', 7: '<|end_header_id|>',
                  9: '<|eot_id|>'}
LLAMA3_SPECIAL_COUNT = 256


def from_tokenizer_json(file: Path, size: int, config: Mapping[str, Any], special: Mapping[str, str | None],
                        template: str | None) -> Vocabulary:
    """Returns a Hugging Face tokenizer's vocabulary, filled up to a size. Raises LoadError.

    `special` names `bos_token` and so on; the model's config.json has their ids where it does not.
    """
    text = file.read_text('utf-8')
    try:
        data = json.loads(text)
        model, added = data['model'], data.get('added_tokens') or []
        if model['type'] != 'BPE':
            raise LoadError(f'{file} is a {model["type"]} vocabulary, which LLaMA-shaped models do not have.')
        names = {int(token): str(name) for name, token in model['vocab'].items()}
        merges = [merge if isinstance(merge, str) else ' '.join(merge) for merge in model['merges']]
        kinds = {int(token['id']): TokenType.CONTROL if token['special'] else TokenType.USER_DEFINED for token in added}
        names |= {int(token['id']): str(token['content']) for token in added}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(f'{file} is damaged ({error}): get the model again.') from error
    _check_size(file, names, size)
    is_pieces = bool(model.get('byte_fallback'))
    tokens = [names.get(token, f'[PAD{token}]') for token in range(size)]
    types = [kinds.get(token, TokenType.BYTE if is_pieces and BYTE.fullmatch(name) else TokenType.NORMAL)
             if token in names else TokenType.UNUSED for token, name in enumerate(tokens)]
    ids = {name: token for token, name in names.items()}
    bos, eos, pad, unk = (ids.get(special.get(f'{name}_token') or '', _id(config.get(f'{name}_token_id')))
                          for name in ('bos', 'eos', 'pad', 'unk'))
    # SentencePiece joins the pair with the best score first, which is what the order of the merges says.
    rank = {merge.replace(' ', ''): place for place, merge in reversed(list(enumerate(merges)))}
    return Vocabulary(
        'llama' if is_pieces else 'gpt2', [name.encode() for name in tokens], [int(kind) for kind in types],
        scores=[-float(rank.get(name, len(rank))) for name in tokens] if is_pieces else [],
        merges=[] if is_pieces else merges, pre='llama-bpe' if LLAMA3_SPLIT in text else 'default', bos=bos, eos=eos,
        pad=pad, unk=unk, adds_bos=bos is not None and _adds(data.get('post_processor'), tokens[bos]),
        adds_space=is_pieces, template=template, huggingface=text)


def from_tokenizer_model(file: Path, size: int) -> Vocabulary:
    """Returns the vocabulary of a tokenizer.model, SentencePiece's (Llama 1, 2) or tiktoken's (3). Raises LoadError."""
    data = file.read_bytes()
    try:
        ranks = {base64.b64decode(token, validate=True): int(rank)
                 for token, rank in (line.split() for line in data.splitlines() if line)}
    except (ValueError, binascii.Error):
        return _sentencepiece(file, data, size)
    return _tiktoken(file, ranks, size)


def _sentencepiece(file: Path, data: bytes, size: int) -> Vocabulary:
    try:
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise LoadError(f'{file} is no tokenizer of a known kind: get it again.') from error
    count = model.get_piece_size()
    _check_size(file, range(count), size)
    tokens = [model.id_to_piece(token) if token < count else f'[PAD{token}]' for token in range(size)]

    def kind(token: int) -> TokenType:
        for is_kind, found in ((model.is_unknown, TokenType.UNKNOWN), (model.is_control, TokenType.CONTROL),
                               (model.is_unused, TokenType.UNUSED), (model.is_byte, TokenType.BYTE)):
            if is_kind(token):
                return found
        return TokenType.NORMAL

    bos, eos, unk = (token if token >= 0 else None for token in (model.bos_id(), model.eos_id(), model.unk_id()))
    return Vocabulary(
        'llama', [name.encode() for name in tokens],
        [int(kind(token) if token < count else TokenType.UNUSED) for token in range(size)],
        scores=[model.get_score(token) if token < count else -1e4 for token in range(size)], bos=bos, eos=eos, unk=unk,
        adds_bos=bos is not None, adds_space=True)


def _tiktoken(file: Path, ranks: dict[bytes, int], size: int) -> Vocabulary:
    base = len(ranks)
    if sorted(ranks.values()) != list(range(base)) or not all(bytes([byte]) in ranks for byte in range(256)):
        raise LoadError(f'{file} is damaged: it does not number its tokens, or lacks a byte. Get it again.')
    _check_size(file, range(base + LLAMA3_SPECIAL_COUNT), size)
    special = [LLAMA3_SPECIAL.get(place, f'<|reserved_special_token_{place}|>') for place in range(size - base)]
    written = [_byte_level(token) for token in sorted(ranks, key=ranks.__getitem__)]
    merges = [' '.join(map(_byte_level, _parts(token, ranks))) for token in sorted(ranks, key=ranks.__getitem__)
              if len(token) > 1]
    return Vocabulary(
        'gpt2', [name.encode() for name in (*written, *special)],
        [int(TokenType.NORMAL)] * base + [int(TokenType.CONTROL)] * len(special), merges=merges, pre='llama-bpe',
        bos=base, eos=base + 1, eot=base + 9, adds_bos=True)


def _parts(token: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """Returns the two tokens that are joined into one: what is left of it by the merges that come before its own."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        joined = [one + other for one, other in pairwise(parts)]
        _, place = min((ranks.get(pair, len(ranks)), place) for place, pair in enumerate(joined))
        parts[place:place + 2] = [joined[place]]
    return parts


def _byte_alphabet() -> list[str]:
    """Returns the character that stands for each byte in byte-level vocabularies (GPT-2's)."""
    own = [*range(ord('!'), ord('~') + 1), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in own else next(others)) for byte in range(256)]


ALPHABET = _byte_alphabet()


def _byte_level(token: bytes) -> str:
    return ''.join(ALPHABET[byte] for byte in token)


def _check_size(file: Path, tokens: Any, size: int) -> None:
    if not tokens or max(tokens) >= size:
        raise LoadError(f'{file} has more tokens than the model ({max(tokens, default=-1) + 1} and {size}): '
                        'they do not belong together.')


def _adds(processor: object, bos: str) -> bool:
    """Whether a tokenizer's last step puts the beginning-of-text token in front."""
    return processor is not None and json.dumps(bos) in json.dumps(processor, ensure_ascii=False)


def _id(value: object) -> int | None:
    """Returns a token id of config.json; the first one where there are several."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, int) else None
