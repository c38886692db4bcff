"""Choosing tokens: pure functions on float32 logits [R, V] of R rows over V tokens. Knows no sequences and no slots.

A row's choice has the same bits alone and in any batch, on one device: whatever is computed is computed of each element
by itself, or along a row. Likelihoods are whole numbers, so that their sums are exact in whatever order they are made,
and fast. Arguments are left as they are.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence

import torch

from sandle.engine.engine import SamplingParams

LIKELIEST = 2 ** 40  # the weight of the likeliest token: 2 ** 22 tokens of it have a sum that an int64 can hold
LEAST_TEMPERATURE = 1e-6  # below, float32 cannot tell it from greedy
MOST_SELECTED = 256  # likeliest tokens: more than these are found faster by sorting all
ROWS_AT_ONCE = 64  # so that scoring a long prompt needs no second copy of all its logits


def uniform(key: tuple[int, int, int], position: int) -> float:
    """Returns a number in [0, 1) that depends on its arguments alone, so that no neighbour in a batch can change it.

    `key` is (seed, prompt index, candidate); `position` counts the sequence's tokens.
    """
    digest = hashlib.blake2b(struct.pack('<4q', *key, position), digest_size=8).digest()
    return float(int.from_bytes(digest, 'little') >> 11) / 2 ** 53


@torch.inference_mode()
def logprobs(logits: torch.Tensor, tokens: Sequence[int], count: int) -> list[tuple[float, list[tuple[int, float]]]]:
    """Returns, for each row, the logprob of its token, and the `count` most likely (token, logprob), most likely first.

    They are the model's own: temperature 1, nothing cut off. A token has the same float in both places.
    """
    result: list[tuple[float, list[tuple[int, float]]]] = []
    for start in range(0, len(tokens), ROWS_AT_ONCE):
        part = torch.log_softmax(logits[start:start + ROWS_AT_ONCE], dim=-1)
        chosen = part.gather(-1, torch.tensor(tokens[start:start + ROWS_AT_ONCE], device=part.device)[:, None])
        top = part.topk(min(count, part.shape[-1]))
        result += [(logprob, list(zip(*row))) for logprob, row
                   in zip(chosen[:, 0].tolist(), zip(top.indices.tolist(), top.values.tolist()))]
    return result


def choose(logits: torch.Tensor, params: Sequence[SamplingParams], noises: Sequence[float]) -> list[int]:
    """Returns each row's token: the likeliest at temperature 0, else one drawn by its noise in [0, 1).

    Only what top-k, then top-p, then min-p, then typical-p leave is drawn. Equally likely tokens rank by their ids.
    """
    if logits.device.type == 'mps':
        logits = logits.cpu()  # Metal has no float64, and shares its memory
    if logits.device.type != 'cpu':
        return choose_together(logits, params, noises).tolist()
    if all(each.temperature == 0 for each in params):
        return _greedy(logits, params, noises).tolist()
    # A row at a time, which stays in the processor's cache.
    return [int(choose_together(row[None], [each], [noise])) for row, each, noise in zip(logits, params, noises)]


@torch.inference_mode()
def choose_together(logits: torch.Tensor, params: Sequence[SamplingParams], noises: Sequence[float]) -> torch.Tensor:
    """Returns what `choose` does, int64 [R], all rows at a time. Nothing waits for the device but who reads it."""
    groups: dict[Callable[..., torch.Tensor], list[int]] = {}
    for row, each in enumerate(params):
        groups.setdefault(_method(each), []).append(row)
    if len(groups) == 1:
        return next(iter(groups))(logits, params, noises)
    tokens = torch.empty(len(params), dtype=torch.long, device=logits.device)
    for method, rows in groups.items():
        at = torch.tensor(rows, device=logits.device)
        tokens[at] = method(logits[at], [params[row] for row in rows], [noises[row] for row in rows])
    return tokens


@torch.inference_mode()
def restrict(logits: torch.Tensor, masks: Sequence[bytes]) -> torch.Tensor:
    """Returns the logits, minus infinity for tokens with a 0 in their row's mask, which has the lowest bit first."""
    data = torch.frombuffer(bytearray(b''.join(masks)), dtype=torch.uint8).to(logits.device)
    places = torch.arange(8, dtype=torch.uint8, device=logits.device)
    is_allowed = (data.view(len(masks), -1, 1) >> places & 1).view(len(masks), -1)  # [R, at least V]
    return logits.masked_fill(is_allowed[:, :logits.shape[-1]] == 0, -torch.inf)


def _method(params: SamplingParams) -> Callable[..., torch.Tensor]:
    if params.temperature == 0:
        return _greedy
    needs_ranks = params.top_k > 0 or params.top_p < 1 or params.typical_p < 1
    return _drawn_of_ranked if needs_ranks else _drawn


def _greedy(logits: torch.Tensor, params: Sequence[SamplingParams], noises: Sequence[float]) -> torch.Tensor:
    if logits.device.type == 'cpu':
        return torch.from_numpy(logits.numpy().argmax(-1))  # a tenth of torch's time
    return logits.argmax(-1)


def _drawn(logits: torch.Tensor, params: Sequence[SamplingParams], noises: Sequence[float]) -> torch.Tensor:
    weights = _weights(_scaled(logits, params))
    if any(each.min_p > 0 for each in params):
        weights = weights * (weights >= _least_weight(params, weights))
    cumulative = weights.cumsum(-1)
    return _drawn_index(cumulative, cumulative[:, -1:], noises)


def _drawn_of_ranked(logits: torch.Tensor, params: Sequence[SamplingParams], noises: Sequence[float]) -> torch.Tensor:
    """Draws a rank among the likeliest tokens, and then finds the token that has this rank."""
    scaled = _scaled(logits, params)
    ranked, total = _ranked(scaled, params)  # [R, C], most likely first; [R, 1]
    weights = _weights(ranked)
    kept = _kept(weights, params, total)  # [R, 1]
    for row, each in enumerate(params):
        if each.typical_p < 1:
            weights[row, int(kept[row]):] = 0
            weights[row] = _typical(weights[row], each.typical_p)
    cumulative = weights.cumsum(-1)
    rank = _drawn_index(cumulative, cumulative.gather(-1, kept - 1), noises)[:, None]
    value = ranked.gather(-1, rank)  # [R, 1]
    before = (rank - torch.searchsorted(-ranked, -value)).int()  # equally likely tokens of a better rank
    likely = (scaled == value).cumsum(-1, dtype=torch.int32)  # [R, V], how many such tokens there are up to each id
    return torch.searchsorted(likely, before, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)


def _scaled(logits: torch.Tensor, params: Sequence[SamplingParams]) -> torch.Tensor:
    """Returns logits [R, V] at each row's temperature, the likeliest token's being 0."""
    temperature = _column([max(each.temperature, LEAST_TEMPERATURE) for each in params], logits).float()
    return (logits - logits.amax(-1, keepdim=True)).div_(temperature)


def _ranked(scaled: torch.Tensor, params: Sequence[SamplingParams]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the logits [R, C] in descending order, at least as many as each row's top-k and top-p leave.

    And the weight [R, 1] of all tokens, which is 0 where no row wants it.
    """
    if all(0 < each.top_k <= MOST_SELECTED for each in params):
        ranked = scaled.topk(min(max(each.top_k for each in params), scaled.shape[-1])).values
        return ranked, torch.zeros(len(params), 1, dtype=torch.int64, device=scaled.device)
    weights = _weights(scaled)
    total = weights.sum(-1, keepdim=True)
    if scaled.device.type != 'cpu' or len(params) > 1:
        return scaled.sort(descending=True).values, total
    row = scaled[0]
    if params[0].top_k == 0:
        # Those that are less likely than this have together less than half of what top-p does not need.
        is_needed = weights[0] >= (1 - params[0].top_p) * int(total) / 2 / len(row)
        row = row[is_needed] if is_needed.any() else row  # none is where a logit is no number
    ascending = row.neg()
    ascending.numpy().sort()  # many times as fast as torch's
    return ascending.neg_()[None], total


def _weights(scaled: torch.Tensor) -> torch.Tensor:
    return scaled.exp().mul_(LIKELIEST).long()


def _kept(weights: torch.Tensor, params: Sequence[SamplingParams], total: torch.Tensor) -> torch.Tensor:
    """Returns how many [R, 1] of ranked weights [R, C] top-k, top-p and min-p leave; at least 1.

    `total` [R, 1] is the weight of all tokens, of which the lightest may be missing where there is no top-k.
    """
    count = weights.shape[-1]
    cumulative = weights.cumsum(-1)
    kept = _column([min(each.top_k, count) if each.top_k else count for each in params], weights).long()
    if any(each.top_p < 1 for each in params):
        top_p = _column([each.top_p for each in params], weights)
        of_all = _column([float(each.top_k == 0) for each in params], weights) > 0
        mass = (top_p * torch.where(of_all, total, cumulative.gather(-1, kept - 1))).ceil().long()
        # A token stays if all likelier ones together have less than the mass.
        of_mass = torch.searchsorted(cumulative, mass).add_(1)
        kept = torch.where(top_p < 1, torch.minimum(kept, of_mass), kept)
    if any(each.min_p > 0 for each in params):
        kept = torch.minimum(kept, (weights >= _least_weight(params, weights)).sum(-1, keepdim=True))
    return kept


def _least_weight(params: Sequence[SamplingParams], weights: torch.Tensor) -> torch.Tensor:
    return _column([each.min_p * LIKELIEST for each in params], weights).long()


def _typical(weights: torch.Tensor, mass: float) -> torch.Tensor:
    """Returns weights [C] with 0 for what is not typical (Meister et al. 2022).

    Kept are those whose surprise is closest to the entropy, until they hold `mass`.
    """
    shares = weights.double() / weights.sum()
    surprise = -shares.log()
    entropy = torch.where(shares > 0, shares * surprise, 0).sum()
    order = (surprise - entropy).abs().argsort(stable=True)
    before = shares[order].cumsum(-1) - shares[order]
    kept = order[before < mass]
    return torch.zeros_like(weights).index_copy_(0, kept, weights[kept])


def _drawn_index(cumulative: torch.Tensor, total: torch.Tensor, noises: Sequence[float]) -> torch.Tensor:
    """Returns the place [R] at which each row's sums [R, C] pass its noise's share of `total` [R, 1]."""
    aim = torch.minimum((_column(noises, cumulative) * total).long(), total - 1)
    return torch.searchsorted(cumulative, aim, right=True)[:, 0].clamp_(max=cumulative.shape[-1] - 1)


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]
