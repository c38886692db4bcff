"""Weights as small integers with a scale for every group of inputs: 8 or 4 bits each. Knows matrices alone."""

import torch

GROUP = 32  # inputs that share a scale, as in decoder.cpp
CANDIDATES = 16  # scales tried for each group
MOST_STEPS = 15  # that a 4-bit integer is from its zero point
MOST_OFF = 0.05  # of a step, by the rounding of bfloat16
LEAST_SHARE = 0.7  # of the scale that would hold the group's largest number


def quantize(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns integers [outputs, inputs] (int8, of `bits` bits) and scales [outputs, inputs / GROUP] (float32).

    A number is its integer times its group's scale. With 4 bits a group's scale is the one of several that is nearest
    to the group in squares: the largest numbers may be cut off in favour of the others. Weights that came as 4-bit
    integers with scales get those again; with zero points, too, 8 bits are enough for that.
    """
    groups = weight.float().view(weight.shape[0], -1, GROUP)  # [outputs, groups, GROUP]
    low, high = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    largest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))  # with its sign: the lowest integer is one more
    if (given := _steps(groups, largest, low, high)) is not None:
        return _integers(groups, given, low, high).flatten(1), given[..., 0]
    if bits == 8:
        scales = largest.abs() / high
        return _integers(groups, scales, low, high).flatten(1), scales[..., 0]
    best = torch.zeros_like(largest)
    least = torch.full_like(largest, torch.inf)
    for share in torch.linspace(LEAST_SHARE, 1.0, CANDIDATES).tolist():
        scales = largest * share / low
        error = (_integers(groups, scales, low, high) * scales - groups).square().sum(-1, keepdim=True)
        best, least = torch.where(error < least, scales, best), torch.minimum(error, least)
    return _integers(groups, best, low, high).flatten(1), best[..., 0]


def _steps(groups: torch.Tensor, largest: torch.Tensor, low: int, high: int) -> torch.Tensor | None:
    """Returns scales of which all numbers are few whole multiples; None if a group has none."""
    if len(groups) > 1 and _steps(groups[:1], largest[:1], low, high) is None:
        return None  # most weights: one row tells
    found = torch.zeros_like(largest)
    is_found = largest == 0
    for most in range(min(-low, MOST_STEPS), 0, -1):
        scales = largest / -most
        away = (_integers(groups, scales, low, high) * scales - groups).abs().amax(-1, keepdim=True)
        fits = ~is_found & (away <= MOST_OFF * scales.abs())
        found, is_found = torch.where(fits, scales, found), is_found | fits
    return found if bool(is_found.all()) else None


def _integers(groups: torch.Tensor, scales: torch.Tensor, low: int, high: int) -> torch.Tensor:
    divided = torch.where(scales == 0, 0.0, groups / scales)
    return divided.round().clamp(low, high).to(torch.int8)
