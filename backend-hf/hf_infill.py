"""The tokens by which models are asked to write what stands between two texts, as the families spell them."""

from dataclasses import dataclass
from typing import Any

# (before the text in front, before the text behind, before what is to be written) of each family.
SPELLINGS = (
    ('<fim_prefix>', '<fim_suffix>', '<fim_middle>'),  # StarCoder, Granite
    ('<fim-prefix>', '<fim-suffix>', '<fim-middle>'),  # SantaCoder
    ('<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'),  # Qwen, CodeGemma
    ('<\uff5cfim\u2581begin\uff5c>', '<\uff5cfim\u2581hole\uff5c>', '<\uff5cfim\u2581end\uff5c>'),  # DeepSeek
    ('\u2581<PRE>', '\u2581<SUF>', '\u2581<MID>'),  # CodeLLaMA
)
# What models put behind what they wrote, in place of their end of text: an end of its own, or what begins a file.
ENDS = ('\u2581<EOT>', '<|endoftext|>', '<|file_separator|>', '<|file_sep|>', '<|repo_name|>', '<|fim_pad|>',
        '<file_sep>', '<repo_name>', '<fim_pad>', '<fim-pad>')


@dataclass(frozen=True, slots=True)
class InfillTokens:
    """One family's token ids. `ends` are those that end what was asked for."""

    prefix: int
    suffix: int
    middle: int
    ends: frozenset[int]


def find_infill(tokenizer: Any, vocab_size: int) -> InfillTokens | None:  # Any: the library has no types
    """Returns a tokenizer's tokens for filling in, None if it has none. Ids are below `vocab_size`."""
    ids = {name: token for name, token in tokenizer.get_vocab().items() if token < vocab_size}
    for spelling in SPELLINGS:
        if all(name in ids for name in spelling):
            prefix, suffix, middle = (ids[name] for name in spelling)
            return InfillTokens(prefix, suffix, middle,
                                frozenset(ids[name] for name in (*ENDS, *spelling) if name in ids))
    return None
