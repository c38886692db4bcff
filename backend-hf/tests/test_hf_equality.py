"""The law of batching, over every runner and every family: a sequence's answer is generate()'s, whatever is beside it.

Compared are the tokens and the logits by which they were chosen, in fp32: for a sequence alone, among others of other
lengths, joined in mid-flight with its prompt in chunks, and continued from a prefix that the slot or another one held.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import hf_kernels
import pytest
import torch
from hf_batched import BatchedRunner
from hf_readers import describe
from hf_device_runner import DeviceRunner
from hf_runner import HfRunner
from tests.hf_families import CONTEXT, COUNTS, FAMILIES, PROMPTS, VOCABULARY, tiny
from tests.kernels_here import NEEDS_KERNELS

from sandle.engine.runner import ModelRunner, Work

BEYOND_BATCHED = ('opt-350m', 'llama-dynamic', 'phi3-longrope', 'mixtral', 'qwen2_moe', 'qwen3_moe', 'falcon',
                  'falcon-alibi', 'starcoder2', 'gpt_bigcode', 'gpt_neo', 'stablelm', 'olmo2')


def batched(model: Any, slots: int) -> ModelRunner:
    """Returns a batched runner with a copy of a model, which it would empty."""
    return BatchedRunner(describe(copy.deepcopy(model), CONTEXT), torch.float32, slots, hf_kernels.load())


def device(model: Any, slots: int) -> ModelRunner:
    """Returns the runner of accelerators, on the CPU, with a copy of a model, which it would empty."""
    return DeviceRunner(describe(copy.deepcopy(model), CONTEXT), torch.float32, slots, torch.device('cpu'))


# Every runner, by the function that makes it from a model and a number of slots, and the families that it takes.
RUNNERS: dict[str, tuple[Callable[[Any, int], ModelRunner], Sequence[str]]] = {
    'general': (HfRunner, list(FAMILIES)),
    'batched': (batched, [family for family in FAMILIES if family not in BEYOND_BATCHED]),
    'device': (device, [family for family in FAMILIES if family not in BEYOND_BATCHED]),
}
SLOTS = 4
TOLERANCE = 2e-4  # of logits of magnitude 10, between two orders of summation


@dataclass
class Run:
    """One sequence on its way: a prompt, in chunks, into a slot that may already hold the first `shared` tokens."""

    prompt: int  # which of PROMPTS
    slot: int
    joins: int = 0  # the step that it joins at
    chunk: int = 100
    shared: int = 0
    copied_from: int | None = None  # the slot that the shared tokens are copied from
    count: int = 0  # of tokens to generate; 0 for all that there is a reference of
    tokens: list[int] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    computed: int = 0

    def __post_init__(self) -> None:
        self.tokens = list(PROMPTS[self.prompt])
        self.computed = self.shared
        self.count = self.count or COUNTS[self.prompt]

    def work(self) -> Work:
        """Returns its share of the next step: a chunk of the prompt, or the newest token."""
        end = min(self.computed + self.chunk, len(self.tokens))
        return Work(self.slot, self.computed, self.tokens[self.computed:end], int(end == len(self.tokens)))

    def advance(self, work: Work, rows: Sequence[torch.Tensor]) -> None:
        """Takes in its share's rows of logits: none or one."""
        self.computed += len(work.tokens)
        for row in rows:
            self.logits.append(row.clone())
            self.tokens.append(int(row.argmax()))

    def has_ended(self) -> bool:
        """Returns whether everything asked for is generated."""
        return len(self.logits) == self.count


def play(runner: ModelRunner, *runs: Run) -> None:
    """Runs sequences together as the scheduler would; the order within a step changes from one to the next."""
    step = 0
    while active := [run for run in runs if run.joins <= step and not run.has_ended()]:
        for run in active:
            if run.joins == step and run.copied_from is not None:
                runner.copy_prefix(run.copied_from, run.slot, run.shared)
        active = active[::-1] if step % 2 else active
        batch = [run.work() for run in active]
        logits = runner.step(batch)
        assert logits.dtype == torch.float32
        assert logits.shape == (sum(work.logits for work in batch), VOCABULARY)
        rows = iter(logits)
        for run, work in zip(active, batch):
            run.advance(work, [next(rows) for _ in range(work.logits)])
        step += 1
    assert all(run.has_ended() for run in runs)


def check(family: str, *runs: Run) -> None:
    """Compares what was generated with what generate() says."""
    for run in runs:
        reference = tiny(family).references[run.prompt]
        torch.testing.assert_close(torch.stack(run.logits), reference.logits[:run.count], atol=TOLERANCE,
                                   rtol=TOLERANCE)
        assert run.tokens == PROMPTS[run.prompt] + reference.tokens[:run.count]


@pytest.fixture(scope='module', autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads on tensors this small only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[
    pytest.param((name, family), id=f'{name}-{family}', marks=[NEEDS_KERNELS] if name == 'batched' else [])
    for name, (_, families) in RUNNERS.items() for family in families])
def case(request: pytest.FixtureRequest) -> tuple[str, ModelRunner]:
    """A family and a fresh runner with a model of it, for every runner and every family that it takes."""
    name, family = request.param
    return family, RUNNERS[name][0](tiny(family).model, SLOTS)


Case = tuple[str, ModelRunner]


def test_alone_to_the_last_position(case: Case) -> None:
    """Also past the window of attention, where there is one."""
    family, runner = case
    for prompt in (3, 0):
        run = Run(prompt, slot=2)
        play(runner, run)
        check(family, run)


def test_batched_with_others_of_other_lengths(case: Case) -> None:
    family, runner = case
    runs = [Run(0, slot=3), Run(3, slot=1), Run(1, slot=0), Run(2, slot=2)]
    play(runner, *runs)
    check(family, *runs)


def test_joined_in_mid_flight_in_chunks(case: Case) -> None:
    family, runner = case
    runs = [Run(3, slot=1, count=30, chunk=7), Run(2, slot=3, joins=6, chunk=5), Run(0, slot=0, joins=7, chunk=1),
            Run(1, slot=2, joins=8, chunk=4)]
    play(runner, *runs)
    check(family, *runs)


def test_continued_from_a_reused_prefix(case: Case) -> None:
    """The slot itself is cut back, after its sequence has ended; others receive copies while theirs goes on."""
    family, runner = case
    first = Run(1, slot=0)
    play(runner, first)
    again = Run(2, slot=0, shared=9, chunk=5)  # of the first prompt's 12 and answer's 11 tokens
    whole = Run(1, slot=2, joins=2, shared=8, copied_from=0)  # while slot 0 is decoding
    play(runner, again, whole)
    longer = Run(3, slot=1, shared=12, copied_from=2, chunk=3)
    shorter = Run(1, slot=2, joins=1, shared=11)
    play(runner, longer, shorter)
    check(family, first, again, whole, longer, shorter)


def test_every_position_of_a_prompt_is_scored(case: Case) -> None:
    """All logits of a prompt, in chunks and beside a decoding sequence, are those of one forward over it.

    But for LongRoPE the first chunk must reach past the point where the frequencies change: a runner cannot know that a
    text will grow past it.
    """
    family, runner = case
    prompt = PROMPTS[3]
    first = 20 if family == 'phi3-longrope' else 10
    with torch.inference_mode():
        wanted = tiny(family).model(torch.tensor([prompt])).logits[0].float()
    runner.step([Work(0, 0, PROMPTS[1], 0)])
    found = [runner.step([Work(0, 12, [50], 1), Work(3, 0, prompt[:first], first), Work(1, 0, [5], 0)])[1:],
             runner.step([Work(3, first, prompt[first:], len(prompt) - first), Work(0, 13, [51], 1)])[:-1]]
    torch.testing.assert_close(torch.cat(found), wanted, atol=TOLERANCE, rtol=TOLERANCE)
