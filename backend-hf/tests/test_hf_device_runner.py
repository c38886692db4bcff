"""The runner of accelerators beyond its equality with generate() (test_hf_equality.py): recordings, lengths, places.

Where there is no GPU, `Tape` does what a CUDA graph does; the one test that needs a GPU says so when it is skipped.
"""

import copy
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hf_readers import describe
from hf_device_attention import cache_bytes, rounded_length
from hf_device_runner import DeviceRunner
from hf_replay import CudaGraphs, Recorder, Recording, Replayed
from tests.hf_families import CONTEXT, PROMPTS, VOCABULARY, build
from torch.utils._python_dispatch import TorchDispatchMode

from sandle.engine import sampling
from sandle.engine.engine import SamplingParams
from sandle.engine.runner import ModelRunner, Work

CPU = torch.device('cpu')
RECORDED = ['llama', 'gpt2', 'bloom', 'gemma2', 'gemma3', 'gptj']  # together they take every way through a decode step
WAITING = {'aten._local_scalar_dense.default', 'aten.nonzero.default', 'aten.lift_fresh.default'}


def make(family: str = 'llama', slots: int = 4, recorder: Recorder | None = None, is_alone: bool = False,
         model: Any = None) -> DeviceRunner:
    model = build(family, 0) if model is None else copy.deepcopy(model)
    return DeviceRunner(describe(model, CONTEXT), torch.float32, slots, CPU, recorder, is_alone)


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """A recorder that keeps operations with their tensors, as a CUDA graph does: nothing of Python runs in a replay.

    What would make a graph wait for the host, or read from it, is refused as a GPU refuses it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.recordings = 0
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) in WAITING:
            raise RuntimeError(f'{func} is not permitted while a stream is captured')
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    def record(self, compute: Callable[[], torch.Tensor]) -> Recording:
        self.recordings += 1
        self.operations = []
        with self:
            output = compute()
        recorded = self.operations

        def replay() -> None:
            for func, args, kwargs, kept in recorded:
                result = func(*args, **kwargs)
                for place, value in zip(*((each if isinstance(each, tuple) else (each,)) for each in (kept, result))):
                    if isinstance(place, torch.Tensor) and place.data_ptr() != value.data_ptr():
                        place.copy_(value)

        output.fill_(float('nan'))  # of no use before the first replay
        return Recording(replay, output)


class Broken:
    """A recorder on which nothing can be recorded."""

    def __init__(self) -> None:
        self.tried = 0

    def record(self, compute: Callable[[], torch.Tensor]) -> Recording:
        self.tried += 1
        raise RuntimeError('operation not permitted when stream is capturing\nand more lines')


def play(runner: ModelRunner, draw: random.Random, steps: int = 60) -> list[torch.Tensor]:
    """Returns the logits of random steps: prompts and single tokens in random slots, some of them silent or copied."""
    lengths = [0] * runner.slots
    found = []
    for _ in range(steps):
        batch = []
        for slot in draw.sample(range(runner.slots), draw.randint(1, runner.slots)):
            start = lengths[slot] if draw.random() < 0.9 else draw.randint(0, lengths[slot])
            count = min(CONTEXT - start, 1 if start and draw.random() < 0.85 else draw.randint(1, 12))
            if count == 0:
                start, count = 0, 3
            tokens = [draw.randrange(VOCABULARY) for _ in range(count)]
            batch.append(Work(slot, start, tokens, draw.choice([0, 1, 1, count])))
            lengths[slot] = start + count
        found.append(runner.step(batch))
        if draw.random() < 0.1:
            source, target = draw.sample(range(runner.slots), 2)
            lengths[target] = draw.randint(0, lengths[source])
            runner.copy_prefix(source, target, lengths[target])
    return found


@pytest.mark.parametrize('family', RECORDED)
def test_replayed_steps_give_what_computed_ones_give(family: str) -> None:
    tape, model = Tape(), build(family, 0)
    expected = play(make(model=model), random.Random(1))
    found = play(make(model=model, recorder=tape), random.Random(1))
    assert 0 < tape.recordings <= len({rounded_length(length, CONTEXT) for length in range(1, CONTEXT + 1)})
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_logits_stay_what_they_are_in_later_steps() -> None:
    runner = make(recorder=Tape())
    first = runner.step([Work(0, 0, [5], 1)])
    before = first.clone()
    runner.step([Work(0, 1, [77], 1)])
    assert torch.equal(first, before)


def test_recording_is_made_once_for_each_length() -> None:
    tape = Tape()
    computed: list[int] = []

    def compute(number: int) -> torch.Tensor:
        computed.append(number)
        return torch.full((2,), float(number))

    replayed = Replayed(compute, tape)
    assert [replayed(number).tolist() for number in (32, 64, 32, 64, 32)] == [[x, x] for x in (32, 64, 32, 64, 32)]
    assert computed == [32, 64] and tape.recordings == 2


def test_recording_that_fails_is_told_once_and_done_without(caplog: pytest.LogCaptureFixture) -> None:
    broken, model = Broken(), build('llama', 0)
    expected = play(make(model=model), random.Random(2), 12)
    found = play(make(model=model, recorder=broken), random.Random(2), 12)
    assert all(map(torch.equal, found, expected))
    assert broken.tried == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        'runner: steps are not recorded as CUDA graphs, which costs speed: operation not permitted when stream is '
        'capturing']


@pytest.mark.parametrize(('length', 'most', 'rounded'), [
    (1, 2048, 32), (32, 2048, 32), (33, 2048, 64), (256, 2048, 256), (257, 2048, 320), (1025, 2048, 1280),
    (2048, 2048, 2048), (2000, 2010, 2010), (5, 20, 20), (20, 20, 20)])
def test_lengths_are_rounded_to_few(length: int, most: int, rounded: int) -> None:
    assert rounded_length(length, most) == rounded


def test_rounded_length_is_enough_and_little_more() -> None:
    every = {length: rounded_length(length, 10 ** 6) for length in range(1, 40_000)}
    assert all(length <= rounded <= max(32, 1.25 * length + 1, length + 31) for length, rounded in every.items())
    assert len(set(every.values())) <= 50


@pytest.mark.parametrize('length', [31, 32, 33, CONTEXT])
def test_texts_at_the_edges_of_the_lengths_are_seen_whole(length: int) -> None:
    """The last token comes by itself, beside a shorter text, when all places of a length are full or one is."""
    model = build('llama', 0)
    tokens = [(7919 * index + 5) % VOCABULARY for index in range(length)]
    runner = make(model=model)
    runner.step([Work(3, 0, tokens[:-1], 0), Work(1, 0, [9], 0)])
    found = runner.step([Work(1, 1, [8], 0), Work(3, length - 1, tokens[-1:], 1)])
    with torch.inference_mode():
        expected = model(torch.tensor([tokens])).logits[0, -1:]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_slots_without_work_keep_what_they_hold() -> None:
    """Their rows of a step write to the spare place, and never to one that is looked at."""
    runner, undisturbed = make(), make()
    full = [(31 * index + 7) % VOCABULARY for index in range(CONTEXT - 1)]
    for each in (runner, undisturbed):
        each.step([Work(0, 0, full, 0), Work(2, 0, PROMPTS[1], 0)])
    for start in range(20):
        runner.step([Work(1, start, [start], 1)])
    last = [Work(0, CONTEXT - 1, [3], 1), Work(2, len(PROMPTS[1]), [3], 1)]
    assert torch.equal(runner.step(last), undisturbed.step(last))


@pytest.mark.parametrize('is_alone', [False, True])
def test_numbers_that_are_none_stay_in_their_sequence(is_alone: bool) -> None:
    """Neither the neighbours nor the slot's next text see what a broken one left behind."""
    model = build('llama', 0)
    poison = 250
    with torch.no_grad():
        model.model.embed_tokens.weight[poison] = float('nan')
    runner, clean = make(model=model, is_alone=is_alone), make(model=model, is_alone=is_alone)
    text = [5, 9, 11, 3]
    broken = runner.step([Work(1, 0, [4, poison, 6, 7, 8, 9], 1), Work(0, 0, text, 4)])
    assert broken[0].isnan().all() and torch.equal(broken[1:], clean.step([Work(3, 0, [4, 5, 6, 7, 8, 9], 1),
                                                                          Work(0, 0, text, 4)])[1:])
    for start in range(6, 10):
        assert runner.step([Work(1, start, [poison], 1)]).isnan().all()
    for each in (runner, clean):
        each.step([Work(1, 0, text[:2], 0)])
    assert torch.equal(runner.step([Work(1, 2, [11], 1)]), clean.step([Work(1, 2, [11], 1)]))


def test_step_that_wants_no_logits_returns_no_rows() -> None:
    runner = make()
    assert runner.step([Work(1, 0, [5, 6], 0)]).shape == (0, VOCABULARY)
    assert runner.step([Work(1, 2, [5], 0)]).shape == (0, VOCABULARY)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32_logits_near_the_models(dtype: torch.dtype) -> None:
    model = build('qwen3', 0)
    exact = make(model=model).step([Work(0, 0, PROMPTS[2], 17)])
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    runner = DeviceRunner(describe(model, CONTEXT), dtype, 2, CPU)
    found = runner.step([Work(0, 0, PROMPTS[2], 17)])
    assert found.dtype is torch.float32
    assert float((found - exact).square().mean().sqrt() / exact.std()) < 0.1


def test_weights_are_not_held_twice() -> None:
    model = build('llama', 0)
    runner = DeviceRunner(describe(model, CONTEXT), torch.float32, 1, CPU)
    assert all(parameter.numel() == 0 for parameter in model.model.layers.parameters())
    runner.release()
    assert runner.slots == 0


def test_cache_takes_the_bytes_that_are_said() -> None:
    decoder = describe(build('gemma3', 0), CONTEXT)
    size = cache_bytes(decoder, torch.bfloat16)
    cache = DeviceRunner(decoder, torch.bfloat16, 3, CPU)._cache
    assert cache is not None and cache.keys.nbytes + cache.values.nbytes == 3 * size


@pytest.mark.parametrize('family', [*RECORDED, 'opt', 'phi3'])
def test_everything_stays_on_the_device_and_nothing_waits_for_it(family: str) -> None:
    """Up to the chosen tokens; on "meta", which refuses what mixes devices and has no numbers to wait for."""
    model, device = build(family, 0), torch.device('meta')
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(parameter.to(device)))
    runner = DeviceRunner(describe(model, CONTEXT), torch.float32, 4, device)
    for batch in ([Work(0, 0, [1, 2, 3], 3), Work(2, 0, [5], 1)], [Work(0, 3, [1], 1), Work(2, 1, [5], 1)],
                  [Work(0, 4, [1], 0), Work(2, 2, [5, 6, 7], 2)], [Work(0, 1, [3], 1)]):
        logits = runner.step(batch)
        assert logits.device == device and logits.shape == (sum(work.logits for work in batch), VOCABULARY)
        runner.copy_prefix(0, 1, 2)
    ways = [SamplingParams(temperature=0), SamplingParams(), SamplingParams(top_k=5), SamplingParams(top_p=0.5)]
    tokens = sampling.choose_together(logits.expand(len(ways), -1), ways, [0.3] * len(ways))
    assert tokens.device == device and tokens.shape == (len(ways),)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='NO GPU HERE: CUDA graphs and the GPU kernels are NOT tested')
@pytest.mark.parametrize('family', RECORDED)
def test_cuda_graphs_give_what_the_cpu_gives(family: str) -> None:
    model, device = build(family, 0), torch.device('cuda:0')
    expected = play(make(model=model), random.Random(1))
    runner = DeviceRunner(describe(model.to(device), CONTEXT), torch.float32, 4, device, CudaGraphs(device))
    found = play(runner, random.Random(1))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-3, atol=1e-3)
    runner.release()
