"""What a token of a vocabulary adds to a text, by how it is written there and by what its tokenizer's decoder does.

Knows the decoders of tokenizer.json, as their JSON describes them; knows neither the library that runs them nor ids.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

BYTE_TOKEN = re.compile(r'<0x([0-9A-Fa-f]{2})>')
Decoder = Mapping[str, Any]  # Any: JSON


def _byte_alphabet() -> Mapping[str, int]:
    """Returns the character that stands for each byte in byte-level vocabularies.

    Printable Latin-1 stands for itself; the others, in order, have the characters from U+0100 on. (GPT-2's encoder.)
    """
    own = [*range(ord('!'), ord('~') + 1), *range(0xa1, 0xad), *range(0xae, 0x100)]
    alphabet = {chr(byte): byte for byte in own}
    others = [byte for byte in range(256) if byte not in own]
    return alphabet | {chr(0x100 + place): byte for place, byte in enumerate(others)}


BYTE_ALPHABET = _byte_alphabet()


def of_pieces(name: str) -> bytes:
    """Returns the bytes of a token as SentencePiece writes it: a space as U+2581, odd bytes as <0x..>."""
    if match := BYTE_TOKEN.fullmatch(name):
        return bytes([int(match[1], 16)])
    return name.replace('\u2581', ' ').encode('utf-8')


def converter(decoder: Decoder | None) -> Callable[[str], bytes]:
    """Returns a function from a token of the vocabulary to its bytes."""
    steps = [] if decoder is None else list(_steps(decoder))
    kinds = {str(step['type']) for step in steps}
    if 'ByteLevel' in kinds:
        return _byte_level
    replacements = [pair for step in steps if (pair := _replacement(step)) is not None]
    has_byte_tokens = 'ByteFallback' in kinds

    def convert(name: str) -> bytes:
        if has_byte_tokens and (match := BYTE_TOKEN.fullmatch(name)):
            return bytes([int(match[1], 16)])
        for old, new in replacements:
            name = name.replace(old, new)
        return name.encode('utf-8')

    if 'WordPiece' in kinds:
        prefix = next(str(step['prefix']) for step in steps if step['type'] == 'WordPiece')
        return lambda name: (name.removeprefix(prefix) if name.startswith(prefix) else f' {name}').encode('utf-8')
    return convert


def strips_first_space(decoder: Decoder | None) -> bool:
    """Returns whether the decoder leaves out the space that the vocabulary puts before the first word of a text."""
    for step in () if decoder is None else _steps(decoder):
        match step:
            case {'type': 'WordPiece'} | {'type': 'Strip', 'content': ' ', 'start': 1}:
                return True
            case {'type': 'Metaspace'}:
                return step.get('prepend_scheme', 'always') != 'never' and step.get('add_prefix_space') is not False
    return False


def _steps(decoder: Decoder) -> Iterator[Decoder]:
    if decoder['type'] != 'Sequence':
        yield decoder
        return
    for child in decoder['decoders']:
        yield from _steps(child)


def _replacement(step: Decoder) -> tuple[str, str] | None:
    """Returns what a decoding step puts in the place of what, if it is one that replaces plain text."""
    match step:
        case {'type': 'Replace', 'pattern': {'String': str(old)}, 'content': str(new)}:
            return old, new
        case {'type': 'Metaspace', 'replacement': str(old)}:
            return old, ' '
        case {'type': 'BPEDecoder', 'suffix': str(old)}:
            return old, ' '
    return None


def _byte_level(name: str) -> bytes:
    try:
        return bytes(BYTE_ALPHABET[character] for character in name)
    except KeyError:  # not written in the alphabet: a token that was put into the vocabulary by hand
        return name.encode('utf-8')
