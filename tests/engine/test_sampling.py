"""Choosing tokens: what is cut off, what is drawn, and that only seed and position decide."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sandle.engine.engine import SamplingParams
from sandle.engine.sampling import adjusted, choose, logprobs, top_logprobs, uniform

LOGITS = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()


def drawn(params: SamplingParams, count: int = 400) -> Counter[int]:
    """How often each token is drawn from LOGITS over evenly spread noise."""
    return Counter(choose(LOGITS, params, (index + 0.5) / count) for index in range(count))


def test_choose_draws_in_proportion() -> None:
    counts = drawn(SamplingParams())
    assert [counts[token] / 400 for token in range(5)] == pytest.approx([0.5, 0.2, 0.15, 0.1, 0.05], abs=0.005)


def test_choose_sharpens_and_flattens_by_temperature() -> None:
    squared = [share ** 2 for share in (0.5, 0.2, 0.15, 0.1, 0.05)]
    counts = drawn(SamplingParams(temperature=0.5))
    assert [counts[token] / 400 for token in range(5)] == pytest.approx([s / sum(squared) for s in squared], abs=0.005)


@pytest.mark.parametrize(('params', 'left'), [
    (SamplingParams(temperature=0), {0}),
    (SamplingParams(top_k=2), {0, 1}),
    (SamplingParams(top_k=99), {0, 1, 2, 3, 4}),
    (SamplingParams(top_p=0.5), {0}),
    (SamplingParams(top_p=0.51), {0, 1}),
    (SamplingParams(top_p=0.001), {0}),
    (SamplingParams(min_p=0.25), {0, 1, 2}),
    (SamplingParams(min_p=1), {0}),
    (SamplingParams(top_k=3, top_p=0.9), {0, 1, 2}),
    (SamplingParams(typical_p=0.19), {1}),
])
def test_choose_draws_only_what_is_left(params: SamplingParams, left: set[int]) -> None:
    assert set(drawn(params)) == left


@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(-50, 50), min_size=1, max_size=30),
       st.floats(0.01, 2), st.integers(0, 5), st.floats(0.01, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_choose_always_returns_a_token_of_some_likelihood(noise: float, values: list[float], temperature: float,
                                                          top_k: int, top_p: float, min_p: float,
                                                          typical_p: float) -> None:
    logits = torch.tensor(values)
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p)
    token = choose(logits, params, noise)
    assert (logits.double() / temperature).softmax(-1)[token] > 0


def test_choose_never_draws_a_banned_token() -> None:
    banned = adjusted(LOGITS, SamplingParams(), [], [], banned=(0, 4))
    assert {choose(banned, SamplingParams(), index / 100) for index in range(100)} == {1, 2, 3}


def test_uniform_depends_on_each_of_its_arguments_and_nothing_else() -> None:
    numbers = {uniform((seed, prompt, candidate), position)
               for seed in (-2 ** 63, 0, 2 ** 63 - 1) for prompt in (0, 1)
               for candidate in (0, 1) for position in (5, 6)}
    assert len(numbers) == 24 and all(0 <= number < 1 for number in numbers)
    assert uniform((7, 0, 0), 5) == uniform((7, 0, 0), 5) == 0.9813958138397586


def test_uniform_is_spread_evenly() -> None:
    numbers = [uniform((1, 0, 0), position) for position in range(2000)]
    assert sum(numbers) / 2000 == pytest.approx(0.5, abs=0.02)


def test_logprobs_are_the_models_own() -> None:
    row = logprobs(LOGITS + 3)
    assert row.exp().tolist() == pytest.approx([0.5, 0.2, 0.15, 0.1, 0.05])
    assert [token for token, _ in top_logprobs(row, 3)] == [0, 1, 2]
    assert top_logprobs(row, 0) == []
    assert len(top_logprobs(row, 20)) == 5


def test_adjusted_applies_openais_penalties_to_generated_tokens_only() -> None:
    params = SamplingParams(presence_penalty=0.5, frequency_penalty=0.25)
    row = adjusted(LOGITS, params, [1], [0, 0, 3])
    assert (row - LOGITS).tolist() == pytest.approx([-1.0, 0, 0, -0.75, 0])


def test_adjusted_applies_the_repetition_penalty_to_prompt_and_answer() -> None:
    row = adjusted(torch.tensor([2.0, -2.0, 1.0]), SamplingParams(repetition_penalty=2), [0], [1])
    assert row.tolist() == [1.0, -4.0, 1.0]


def test_adjusted_adds_the_bias_and_leaves_its_argument_alone() -> None:
    before = LOGITS.clone()
    row = adjusted(LOGITS, SamplingParams(logit_bias=((2, 100.0), (0, -100.0))), [], [])
    assert int(row.argmax()) == 2 and math.isclose(float(row[0] - LOGITS[0]), -100, rel_tol=1e-5)
    assert torch.equal(before, LOGITS)
