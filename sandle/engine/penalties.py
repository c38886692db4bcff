"""What a sequence's own past, its biases and forbidden tokens do to its logits, kept up to date token by token."""

from collections import Counter
from collections.abc import Iterable

import torch

from sandle.engine.engine import SamplingParams


class Penalties:
    """One sequence's, for logits like `row` [V] in size and device. Engine thread only.

    Presence and frequency penalties are OpenAI's: each generated token's logit loses its count times the one, and once
    the other. The repetition penalty is CTRL's (Keskar et al. 2019): logits of tokens seen in prompt or answer are
    divided by it where positive and multiplied where negative. `ends` are forbidden until `min_tokens` are generated.
    """

    def __init__(self, params: SamplingParams, prompt: Iterable[int], ends: Iterable[int], row: torch.Tensor) -> None:
        self._params = params
        self._bias = dict(params.logit_bias)
        self._counts: Counter[int] = Counter()
        self._generated = 0
        self._ends = torch.tensor(sorted(ends), dtype=torch.long, device=row.device)
        self._offsets = torch.zeros(row.shape, device=row.device)  # [V], what bias and OpenAI's penalties add
        self._seen = set(prompt)
        self._seen_ids = torch.tensor(sorted(self._seen), dtype=torch.long, device=row.device)
        for token, bias in self._bias.items():
            self._offsets[token] = bias

    @staticmethod
    def are_wanted(params: SamplingParams) -> bool:
        """Returns whether logits must be changed at all before a token is chosen."""
        return bool(params.logit_bias or params.min_tokens or params.presence_penalty or params.frequency_penalty
                    or params.repetition_penalty != 1)

    def add(self, token: int) -> None:
        """Takes in a generated token."""
        self._generated += 1
        self._counts[token] += 1
        params = self._params
        self._offsets[token] = (self._bias.get(token, 0.0) - params.presence_penalty
                                - params.frequency_penalty * self._counts[token])
        if token not in self._seen:
            self._seen.add(token)
            self._seen_ids = torch.cat((self._seen_ids, self._seen_ids.new_tensor([token])))

    def apply(self, row: torch.Tensor) -> None:
        """Changes logits [V] in place."""
        penalty = self._params.repetition_penalty
        if penalty != 1:
            seen = row[self._seen_ids]
            row[self._seen_ids] = torch.where(seen > 0, seen / penalty, seen * penalty)
        row += self._offsets
        if self._generated < self._params.min_tokens:
            row[self._ends] = -torch.inf
