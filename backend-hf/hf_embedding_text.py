"""From a text to the tokens that an embedding model reads. Every method may be called on any thread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers.normalizers import Lowercase, Sequence

from sandle.engine.runner import LoadError


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text's tokens. Its vector is not made of the first `skip` of them."""

    ids: tuple[int, ...]
    skip: int = 0


class TextEncoder:
    """A tokenizer of the tokenizers library. `prompts` are the texts that may stand before others, by name."""

    def __init__(self, tokenizer: Any, lowers_case: bool, prompts: Mapping[str, str], default_prompt: str,
                 skips_prompt: bool) -> None:  # Any: transformers' tokenizers share no typed base
        """`skips_prompt`: the tokens of a prompt are read, and not counted in. Raises LoadError."""
        if not tokenizer.is_fast:
            raise LoadError('The tokenizer has no tokenizer.json: convert it with transformers, and save it again.')
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        if lowers_case and '"Lowercase"' not in str(self._backend.normalizer.__getstate__()
                                                    if self._backend.normalizer else ''):
            old = self._backend.normalizer
            self._backend.normalizer = Lowercase() if old is None else Sequence([Lowercase(), old])
        self._special = frozenset(tokenizer.all_special_ids)
        self._default_prompt = default_prompt
        self._skips_prompt = skips_prompt
        self.prompts = prompts

    def encode(self, text: str, prompt_name: str | None, max_tokens: int | None) -> EncodedText:
        """Returns the tokens of a text behind its prompt, and the special ones around it, cut to so many in all."""
        prompt = self._default_prompt if prompt_name is None else self.prompts[prompt_name]
        encoding = self._backend.encode(prompt + text, add_special_tokens=False)
        if max_tokens is not None:
            encoding.truncate(max(0, max_tokens - self._backend.num_special_tokens_to_add(False)))
        ids = tuple(self._backend.post_process(encoding, None, True).ids)
        if max_tokens is not None:
            ids = ids[:max_tokens]  # where even the special ones are too many
        return EncodedText(ids, self._prompt_tokens(prompt) if prompt and self._skips_prompt else 0)

    def _prompt_tokens(self, prompt: str) -> int:
        ids = self._backend.encode(prompt, add_special_tokens=True).ids
        return len(ids) - (ids[-1] in self._special)
