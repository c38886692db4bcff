"""Choosing tokens: what is cut off, what is drawn, and that only seed and position decide."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sandle.engine import sampling
from sandle.engine.engine import SamplingParams
from sandle.engine.sampling import choose, choose_together, logprobs, uniform

LOGITS = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()


def chosen(logits: torch.Tensor, params: SamplingParams, noise: float = 0.0) -> int:
    """The token chosen from one row."""
    return choose(logits[None], [params], [noise])[0]


def drawn(params: SamplingParams, count: int = 400, logits: torch.Tensor = LOGITS) -> Counter[int]:
    """How often each token is drawn over evenly spread noise."""
    noises = [(index + 0.5) / count for index in range(count)]
    return Counter(choose(logits.expand(count, -1), [params] * count, noises))


def test_choose_draws_in_proportion() -> None:
    counts = drawn(SamplingParams())
    assert [counts[token] / 400 for token in range(5)] == pytest.approx([0.5, 0.2, 0.15, 0.1, 0.05], abs=0.005)


def test_choose_sharpens_and_flattens_by_temperature() -> None:
    squared = [share ** 2 for share in (0.5, 0.2, 0.15, 0.1, 0.05)]
    counts = drawn(SamplingParams(temperature=0.5))
    assert [counts[token] / 400 for token in range(5)] == pytest.approx([s / sum(squared) for s in squared], abs=0.005)


def test_choose_draws_in_proportion_among_what_is_left() -> None:
    counts = drawn(SamplingParams(top_p=0.8, min_p=0.01, top_k=4), 340)
    assert [counts[token] for token in range(5)] == pytest.approx([200, 80, 60, 0, 0], abs=2)


@pytest.mark.parametrize(('params', 'left'), [
    (SamplingParams(temperature=0), {0}),
    (SamplingParams(temperature=1e-300), {0}),
    (SamplingParams(top_k=2), {0, 1}),
    (SamplingParams(top_k=99), {0, 1, 2, 3, 4}),
    (SamplingParams(top_k=999), {0, 1, 2, 3, 4}),
    (SamplingParams(top_p=0.49), {0}),
    (SamplingParams(top_p=0.51), {0, 1}),
    (SamplingParams(top_p=1e-300), {0}),
    (SamplingParams(min_p=0.25), {0, 1, 2}),
    (SamplingParams(min_p=1), {0}),
    (SamplingParams(min_p=0.25, top_p=0.99), {0, 1, 2}),
    (SamplingParams(top_k=3, top_p=0.9), {0, 1, 2}),
    (SamplingParams(top_k=3, top_p=0.8), {0, 1}),
    (SamplingParams(typical_p=0.19), {1}),
    (SamplingParams(typical_p=0.19, top_k=1), {0}),
])
def test_choose_draws_only_what_is_left(params: SamplingParams, left: set[int]) -> None:
    assert set(drawn(params)) == left


@pytest.mark.parametrize('params', [SamplingParams(top_k=3), SamplingParams(top_p=0.5), SamplingParams(top_k=300)])
def test_equally_likely_tokens_rank_by_their_ids(params: SamplingParams) -> None:
    counts = drawn(params, logits=torch.tensor([1.0, 3.0, 1.0, 3.0, 1.0, 1.0]))
    assert (set(counts) == {0, 1, 3}) == (params.top_k == 3)
    assert counts[1] == pytest.approx(counts[3], abs=1)
    assert set(counts) == {1, 3} or counts[0] > 0


def plainly_kept(logits: torch.Tensor, params: SamplingParams) -> tuple[list[int], torch.Tensor]:
    """What top-k, top-p and min-p leave, by definition; and all shares, in float64."""
    shares = (logits.double() / params.temperature).softmax(-1)
    ranked = sorted(range(len(logits)), key=lambda token: (-float(logits[token]), token))
    if params.top_k:
        ranked = ranked[:params.top_k]
    mass = params.top_p * sum(float(shares[token]) for token in ranked)
    before = 0.0
    kept = []
    for token in ranked:
        assume(abs(before - mass) > 1e-6)  # on the edge, rounding decides
        if before >= mass and params.top_p < 1:
            break
        before += float(shares[token])
        kept.append(token)
    least = params.min_p * float(shares[ranked[0]])
    assume(all(abs(float(shares[token]) - least) > 1e-6 * least for token in kept[1:]) or not params.min_p)
    return [token for token in kept if token == ranked[0] or float(shares[token]) >= least], shares


# Multiples of 1/64: two numbers are equal or so far apart that single precision, which draws, tells their shares apart.
values = st.lists(st.integers(-512, 512).map(lambda number: number / 64), min_size=1, max_size=40)


@settings(deadline=None)
@given(values, st.floats(0.3, 2), st.integers(0, 50) | st.just(300), st.floats(0.05, 1),
       st.sampled_from([0, 0.02, 0.3]))
@example([1.0, 1.0, 1.0], 1.0, 2, 1.0, 0)
def test_what_is_drawn_is_what_the_plain_definition_keeps(numbers: list[float], temperature: float, top_k: int,
                                                          top_p: float, min_p: float) -> None:
    logits = torch.tensor(numbers)
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    kept, shares = plainly_kept(logits, params)
    total = sum(float(shares[token]) for token in kept)
    needs_ranks = top_k or top_p < 1
    edge = 0.0
    for token in kept if needs_ranks else sorted(kept):
        share = float(shares[token]) / total
        if share > 1e-5:  # the middle of its part of [0, 1) must draw it
            assert chosen(logits, params, edge + share / 2) == token
        edge += share


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(-50, 50), min_size=1, max_size=30),
       st.floats(0.01, 2), st.integers(0, 5), st.floats(0.01, 1), st.floats(0, 1), st.floats(0.01, 1))
@example(1 - 2 ** -53, [0.0] * 7, 1.0, 0, 1.0, 0.0, 1.0)
def test_choose_always_returns_a_token_of_some_likelihood(noise: float, numbers: list[float], temperature: float,
                                                          top_k: int, top_p: float, min_p: float,
                                                          typical_p: float) -> None:
    logits = torch.tensor(numbers)
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p)
    assert (logits.double() / temperature).softmax(-1)[chosen(logits, params, noise)] > 0


KINDS = (SamplingParams(temperature=0), SamplingParams(), SamplingParams(temperature=0.7, min_p=0.01),
         SamplingParams(top_k=50), SamplingParams(top_p=0.9), SamplingParams(top_k=40, top_p=0.95, temperature=1.3),
         SamplingParams(typical_p=0.9), SamplingParams(top_k=2000))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """They share out the rows of every batch in another way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures('two_threads')
@pytest.mark.parametrize(('vocabulary', 'sizes'), [(97, range(2, 18)), (1000, range(2, 18)), (49_152, (2, 5, 16, 17))])
@pytest.mark.parametrize('is_rounded', [False, True])
def test_a_row_is_chosen_and_scored_alike_alone_and_in_any_batch(
        vocabulary: int, sizes: Iterable[int], is_rounded: bool) -> None:
    torch.manual_seed(vocabulary)
    logits = torch.randn(17, vocabulary) * 3
    if is_rounded:  # as a model in bf16 gives them: many are equal
        logits = logits.bfloat16().float()
    kinds = [KINDS[row % len(KINDS)] for row in range(17)]
    noises = [uniform((7, row, 0), row) for row in range(17)]
    alone = [chosen(logits[row], kinds[row], noises[row]) for row in range(17)]
    scored = [logprobs(logits[row:row + 1], alone[row:row + 1], 5)[0] for row in range(17)]
    assert [logprob for logprob, _ in scored] == [float(row.log_softmax(-1)[token])
                                                  for row, token in zip(logits, alone)]
    for size in sizes:
        for start in (0, 17 - size):
            rows = slice(start, start + size)
            assert choose(logits[rows], kinds[rows], noises[rows]) == alone[rows]
            assert choose_together(logits[rows], kinds[rows], noises[rows]).tolist() == alone[rows]
            assert logprobs(logits[rows], alone[rows], 5) == scored[rows]
    for kind in KINDS:
        alone = [chosen(logits[row], kind, noises[row]) for row in range(17)]
        assert choose(logits, [kind] * 17, noises) == alone
        assert choose_together(logits, [kind] * 17, noises).tolist() == alone


def test_choose_leaves_its_arguments_alone() -> None:
    logits = torch.randn(3, 300)
    before = logits.clone()
    for kind in KINDS:
        choose(logits, [kind, replace(kind, temperature=0.5), SamplingParams()], [0.1, 0.5, 0.9])
    assert torch.equal(logits, before)


def test_choose_survives_what_is_no_number() -> None:
    logits = torch.full((2, 300), torch.nan)
    for kind in KINDS[1:-1]:
        if kind.typical_p == 1:
            arguments = logits, [kind, kind], [0.0, 0.99]
            assert all(0 <= token < 300 for token in (*choose(*arguments), *choose_together(*arguments).tolist()))


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
    [(logprob, top)] = logprobs(LOGITS[None] + 3, [2], 3)
    assert math.exp(logprob) == pytest.approx(0.15)
    assert [token for token, _ in top] == [0, 1, 2] and top[2][1] == logprob
    assert [math.exp(value) for _, value in top] == pytest.approx([0.5, 0.2, 0.15])


def test_logprobs_has_as_many_alternatives_as_there_are() -> None:
    assert logprobs(LOGITS[None], [4], 0) == [(float(LOGITS.log_softmax(-1)[4]), [])]
    assert len(logprobs(LOGITS[None], [4], 20)[0][1]) == 5
    assert logprobs(LOGITS[None][:0], [], 3) == []


def test_logprobs_of_many_rows_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, tokens = torch.randn(9, 300), list(range(9))
    at_once = logprobs(logits, tokens, 2)
    monkeypatch.setattr(sampling, 'ROWS_AT_ONCE', 4)
    assert logprobs(logits, tokens, 2) == at_once
