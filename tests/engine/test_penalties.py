"""What penalties, biases and forbidden tokens do to logits."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sandle.engine.engine import SamplingParams
from sandle.engine.penalties import Penalties

LOGITS = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()


def adjusted(logits: torch.Tensor, params: SamplingParams, prompt: Sequence[int], generated: Sequence[int],
             ends: Sequence[int] = ()) -> torch.Tensor:
    """The logits from which the next token is chosen."""
    penalties = Penalties(params, prompt, ends, logits)
    for token in generated:
        penalties.add(token)
    row = logits.clone()
    penalties.apply(row)
    return row


def test_openais_penalties_count_generated_tokens_only() -> None:
    params = SamplingParams(presence_penalty=0.5, frequency_penalty=0.25)
    row = adjusted(LOGITS, params, [1], [0, 0, 3])
    assert (row - LOGITS).tolist() == pytest.approx([-1.0, 0, 0, -0.75, 0])


def test_the_repetition_penalty_counts_prompt_and_answer() -> None:
    row = adjusted(torch.tensor([2.0, -2.0, 1.0]), SamplingParams(repetition_penalty=2), [0, 0], [1])
    assert row.tolist() == [1.0, -4.0, 1.0]


def test_a_bias_is_added_also_to_what_is_penalized() -> None:
    params = SamplingParams(logit_bias=((2, 100.0), (0, -100.0)), presence_penalty=2.0)
    before = adjusted(LOGITS, params, [], [])
    assert int(before.argmax()) == 2 and math.isclose(float(before[0] - LOGITS[0]), -100, rel_tol=1e-5)
    after = adjusted(LOGITS, params, [], [2])
    assert float(after[2] - LOGITS[2]) == pytest.approx(98)


def test_ends_are_forbidden_until_min_tokens() -> None:
    params = SamplingParams(min_tokens=2)
    for generated, is_forbidden in (([], True), ([1], True), ([1, 1], False)):
        row = adjusted(LOGITS, params, [], generated, ends=(0, 4))
        assert [math.isinf(value) for value in row.tolist()] == [is_forbidden, False, False, False, is_forbidden]


@pytest.mark.parametrize(('params', 'wanted'), [
    (SamplingParams(), False), (SamplingParams(temperature=0, top_p=0.5, seed=1), False),
    (SamplingParams(presence_penalty=-1), True), (SamplingParams(frequency_penalty=1), True),
    (SamplingParams(repetition_penalty=0.9), True), (SamplingParams(min_tokens=1), True),
    (SamplingParams(logit_bias=((1, 0.0),)), True)])
def test_are_wanted(params: SamplingParams, wanted: bool) -> None:
    assert Penalties.are_wanted(params) is wanted


tokens = st.lists(st.integers(0, 4), max_size=12)


@settings(deadline=None)
@given(tokens, tokens, st.floats(-2, 2), st.floats(-2, 2), st.floats(0.1, 10))
def test_penalties_follow_their_formulas(prompt: list[int], generated: list[int], presence: float, frequency: float,
                                         repetition: float) -> None:
    params = SamplingParams(presence_penalty=presence, frequency_penalty=frequency, repetition_penalty=repetition,
                            logit_bias=((3, 1.5),))
    row = adjusted(LOGITS, params, prompt, generated).tolist()
    for token, logit in enumerate(LOGITS.tolist()):
        count = generated.count(token)
        if token in prompt or count:
            logit = logit / repetition if logit > 0 else logit * repetition
        logit += 1.5 * (token == 3) - frequency * count - presence * (count > 0)
        assert row[token] == pytest.approx(logit, rel=1e-4, abs=1e-5)
