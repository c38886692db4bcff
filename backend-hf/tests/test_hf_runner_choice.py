"""Which runner a model gets on an accelerator, and what --batch-invariant makes of it. The CPU stands for the GPU."""

import dataclasses
import logging
import random
from collections.abc import Callable
from typing import Any

import hf_device_attention
import hf_runners
import pytest
import torch
from hf_batched import BatchedRunner
from hf_readers import describe
from hf_device_runner import DeviceRunner
from hf_one_by_one import OneByOne
from hf_runner import HfRunner
from hf_runners import RunnerOptions, make_runner
from tests.hf_families import CONTEXT, PROMPTS, VOCABULARY, build
from tests.kernels_here import NEEDS_KERNELS

from sandle.engine.runner import Work

OPTIONS = RunnerOptions(slots=3, context_length=CONTEXT, memory_bytes=2 ** 30)
INVARIANT = dataclasses.replace(OPTIONS, is_batch_invariant=True)
TOKENS = PROMPTS[1]


def never() -> Any:
    raise AssertionError('the model was loaded again')


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The CPU counts as a device without kernels of our own."""
    monkeypatch.setattr(hf_runners, 'KERNEL_DEVICES', frozenset())
    caplog.set_level(logging.INFO)


@pytest.mark.usefixtures('accelerator')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_known_family_is_batched_on_its_device(dtype: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    runner = make_runner(build('llama', 0).to(dtype), OPTIONS, never)
    assert isinstance(runner, DeviceRunner) and runner.slots == 3
    assert 'runner: batched on cpu, 3 slots of 64 tokens' in caplog.text


@pytest.mark.usefixtures('accelerator')
def test_unknown_family_is_general_on_a_device_too(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(make_runner(build('falcon', 0), OPTIONS, never), HfRunner)
    assert "general, one sequence after the other (the family 'falcon' is not known)" in caplog.text


def quantized(model: Any) -> None:
    model.is_quantized = True


def hooked(model: Any) -> None:
    model.model.layers[1]._hf_hook = object()


def offloaded(model: Any) -> None:
    model.model.layers[1].to('meta')


@pytest.mark.usefixtures('accelerator')
@pytest.mark.parametrize(('change', 'reason'), [
    (quantized, 'quantized by a library'), (hooked, 'spread over several devices, or offloaded'),
    (offloaded, 'spread over several devices, or offloaded')])
def test_what_a_library_moves_or_quantizes_stays_with_it(change: Callable[[Any], None], reason: str,
                                                         caplog: pytest.LogCaptureFixture) -> None:
    model = build('llama', 0)
    change(model)
    assert isinstance(make_runner(model, OPTIONS, never), HfRunner)
    assert reason in caplog.text


@pytest.mark.usefixtures('accelerator')
def test_device_runner_that_is_off_the_model_is_not_taken(monkeypatch: pytest.MonkeyPatch,
                                                          caplog: pytest.LogCaptureFixture) -> None:
    def wrong(model: Any, positions: int) -> Any:
        return dataclasses.replace(describe(model, positions), embedding_scale=1.5)

    monkeypatch.setattr(hf_runners, 'describe', wrong)
    runner = make_runner(build('opt', 0), OPTIONS, lambda: build('opt', 0))
    assert isinstance(runner, HfRunner)
    assert 'the batched on cpu one is off the model' in caplog.text and 'should be reported' in caplog.text


@pytest.mark.usefixtures('accelerator')
def test_device_that_lacks_an_operation_gets_the_general_runner(monkeypatch: pytest.MonkeyPatch,
                                                                caplog: pytest.LogCaptureFixture) -> None:
    def lack(self: DeviceRunner, batch: object) -> None:
        raise NotImplementedError("The operator 'aten::rms_norm' is not implemented for this device.\nSee the issue.")

    monkeypatch.setattr(DeviceRunner, 'step', lack)
    assert isinstance(make_runner(build('llama', 0), OPTIONS, lambda: build('llama', 0)), HfRunner)
    assert "runner: The operator 'aten::rms_norm' is not implemented for this device.\n" in caplog.text


@pytest.mark.usefixtures('accelerator')
def test_slots_follow_the_devices_memory_and_none_means_general(caplog: pytest.LogCaptureFixture) -> None:
    slot_bytes = hf_device_attention.cache_bytes(describe(build('llama', 0), CONTEXT), torch.float32)
    two = dataclasses.replace(OPTIONS, memory_bytes=int(2.5 * slot_bytes))
    assert make_runner(build('llama', 0), two, never).slots == 2
    none = dataclasses.replace(OPTIONS, memory_bytes=slot_bytes // 2)
    assert isinstance(make_runner(build('llama', 0), none, never), HfRunner)
    assert 'a text of 64 tokens needs' in caplog.text


@NEEDS_KERNELS
def test_kernels_are_batch_invariant_as_they_are() -> None:
    """Their logits have the same bits in random chunks, slots and company, so nothing is put before them."""
    runner = make_runner(build('llama', 0), INVARIANT, never)
    assert isinstance(runner, BatchedRunner)
    expected = runner.step([Work(0, 0, TOKENS, len(TOKENS))])
    draw = random.Random(4)
    for _ in range(20):
        slot, *others = draw.sample(range(3), 3)
        found, start = [], 0
        while start < len(TOKENS):
            count = draw.randint(1, len(TOKENS) - start)
            beside = [Work(other, 0, [draw.randrange(VOCABULARY) for _ in range(draw.randint(1, 20))], 0)
                      for other in others[:draw.randint(0, 2)]]
            found.append(runner.step([*beside, Work(slot, start, TOKENS[start:start + count], count)]))
            start += count
        assert torch.equal(torch.cat(found), expected)


@pytest.mark.usefixtures('accelerator')
@pytest.mark.parametrize('family', ['llama', 'falcon'])
def test_other_runners_become_so_at_a_price_that_is_told(family: str, caplog: pytest.LogCaptureFixture) -> None:
    runner = make_runner(build(family, 0), INVARIANT, never)
    assert isinstance(runner, OneByOne)
    assert 'every token is computed by itself, which is slow' in caplog.text
    expected = runner.step([Work(0, 0, TOKENS, len(TOKENS))])
    found = runner.step([Work(2, 0, [1, 2, 3], 0), Work(1, 0, TOKENS[:5], 5)])
    assert torch.equal(torch.cat([found, runner.step([Work(1, 5, TOKENS[5:], len(TOKENS) - 5)])]), expected)
