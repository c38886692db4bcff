"""Choosing tokens: pure functions on logits, the engine's only use of torch. Knows no sequences and no slots.

All of them take float32 logits and leave their arguments as they are. V is the size of the vocabulary.
"""

import hashlib
import struct
from collections.abc import Sequence

import torch

from sandle.engine.engine import SamplingParams


def uniform(key: tuple[int, int, int], position: int) -> float:
    """Returns a number in [0, 1) that depends on its arguments alone, so that no neighbour in a batch can change it.

    `key` is (seed, prompt index, candidate); `position` counts the sequence's tokens.
    """
    digest = hashlib.blake2b(struct.pack('<4q', *key, position), digest_size=8).digest()
    return float(int.from_bytes(digest, 'little') >> 11) / 2 ** 53


def logprobs(logits: torch.Tensor) -> torch.Tensor:
    """Returns the model's own log probabilities, [..., V]: temperature 1, nothing cut off."""
    return torch.log_softmax(logits, dim=-1)


def top_logprobs(row: torch.Tensor, count: int) -> list[tuple[int, float]]:
    """Returns the `count` most likely (token, logprob) of log probabilities [V], most likely first."""
    if count == 0:
        return []
    values, tokens = torch.topk(row, min(count, row.shape[-1]))
    return list(zip(tokens.tolist(), values.tolist()))


def adjusted(logits: torch.Tensor, params: SamplingParams, prompt: Sequence[int], generated: Sequence[int],
             banned: Sequence[int] = ()) -> torch.Tensor:
    """Returns logits [V] with penalties, bias and banned tokens applied.

    Presence and frequency penalties are OpenAI's: each generated token's logit loses its count times the one, and once
    the other. The repetition penalty is CTRL's (Keskar et al. 2019): logits of tokens seen in prompt or answer are
    divided by it where positive and multiplied where negative.
    """
    result = logits.clone()
    if params.repetition_penalty != 1 and (prompt or generated):
        seen = torch.tensor(sorted({*prompt, *generated}), device=logits.device)
        values = result[seen]
        result[seen] = torch.where(values > 0, values / params.repetition_penalty, values * params.repetition_penalty)
    if generated and (params.presence_penalty or params.frequency_penalty):
        counts = torch.bincount(torch.tensor(generated, device=logits.device), minlength=logits.shape[-1])
        result -= params.frequency_penalty * counts + params.presence_penalty * (counts > 0)
    for token, bias in params.logit_bias:
        result[token] += bias
    if banned:
        result[list(banned)] = -torch.inf
    return result


def choose(logits: torch.Tensor, params: SamplingParams, noise: float) -> int:
    """Returns the token chosen from logits [V]: the likeliest at temperature 0, else one drawn by `noise` in [0, 1).

    Inverse transform sampling over the tokens that top-k, top-p, min-p and typical-p leave, in the order of their ids.
    """
    if params.temperature == 0:
        return int(logits.argmax())
    logits = _truncated(logits.double() / params.temperature, params)
    cumulative = logits.softmax(-1).cumsum(-1)  # [V], in float64: a large vocabulary's sum must not drift
    token = int(torch.searchsorted(cumulative, noise * cumulative[-1], right=True))
    return min(token, logits.shape[-1] - 1)


def _truncated(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Returns logits [V] with the tokens that are not to be drawn at minus infinity."""
    vocabulary = logits.shape[-1]
    if 0 < params.top_k < vocabulary:
        kept = logits.topk(params.top_k).indices
        logits = _only(logits, kept)
    if params.top_p < 1:
        ranked, order = logits.sort(descending=True, stable=True)
        before = ranked.softmax(-1).cumsum(-1) - ranked.softmax(-1)  # the share of all likelier tokens; 0 for the first
        logits = _only(logits, order[before < params.top_p])
    if params.min_p > 0:
        probabilities = logits.softmax(-1)
        logits = logits.masked_fill(probabilities < params.min_p * probabilities.max(), -torch.inf)
    if params.typical_p < 1:
        logits = _typical(logits, params.typical_p)
    return logits


def _typical(logits: torch.Tensor, mass: float) -> torch.Tensor:
    """Keeps the tokens whose surprise is closest to the entropy, until they hold `mass` (Meister et al. 2022)."""
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    entropy = -torch.where(p > 0, p * log_p, 0).sum()
    order = (-log_p - entropy).abs().argsort(stable=True)
    before = p[order].cumsum(-1) - p[order]
    return _only(logits, order[before < mass])


def _only(logits: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    result = torch.full_like(logits, -torch.inf)
    result[kept] = logits[kept]
    return result
