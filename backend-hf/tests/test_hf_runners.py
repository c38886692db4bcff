"""Which runner a model gets, and what the batched one must prove before it is taken."""

import dataclasses
import logging
import shutil
from typing import Any

import hf_batched
import hf_kernels
import hf_runners
import pytest
import torch
from hf_readers import describe
from hf_runner import HfRunner
from hf_runners import RunnerOptions, make_runner
from tests.hf_families import build
from tests.kernels_here import NEEDS_KERNELS

from sandle.engine.runner import LoadError, Work

OPTIONS = RunnerOptions(slots=3, context_length=64, memory_bytes=2 ** 30)
TOKENS = [5, 9, 11, 3, 42, 17]


def never() -> Any:
    raise AssertionError('the model was loaded again')


@NEEDS_KERNELS
def test_known_family_gets_the_batched_runner_and_is_emptied(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = build('llama', 0)
    runner = make_runner(model, OPTIONS, never)
    assert isinstance(runner, hf_batched.BatchedRunner) and runner.slots == 3
    assert 'runner: batched, 3 slots of 64 tokens' in caplog.text
    assert all(parameter.numel() == 0 for parameter in model.model.layers.parameters())


@NEEDS_KERNELS
@pytest.mark.parametrize(('family', 'reason'), [
    ('falcon', "the family 'falcon' is not known"), ('opt-350m', 'OPT with norms after its blocks')])
def test_unknown_family_gets_the_general_runner_and_the_log_says_why(family: str, reason: str,
                                                                     caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert isinstance(make_runner(build(family, 0), OPTIONS, never), HfRunner)
    assert f'runner: general, one sequence after the other ({reason}' in caplog.text


def test_without_a_compiler_the_general_runner_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Any,
                                                      caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(hf_kernels, 'BUILT_FOLDER', tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    assert isinstance(make_runner(build('llama', 0), OPTIONS, never), HfRunner)
    assert 'there is no compiler (g++)' in caplog.text


@NEEDS_KERNELS
def test_runner_that_is_off_the_model_is_not_taken(monkeypatch: pytest.MonkeyPatch,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    def wrong(model: Any, positions: int) -> Any:
        decoder = describe(model, positions)
        return dataclasses.replace(decoder, attention_scale=3 * decoder.attention_scale)

    monkeypatch.setattr(hf_runners, 'describe', wrong)
    fresh = build('llama', 0)
    runner = make_runner(build('llama', 0), OPTIONS, lambda: fresh)
    assert isinstance(runner, HfRunner) and 'should be reported' in caplog.text
    with torch.inference_mode():
        expected = fresh(torch.tensor([TOKENS])).logits[0]
    torch.testing.assert_close(runner.step([Work(0, 0, TOKENS, len(TOKENS))]), expected)


@NEEDS_KERNELS
def test_slots_are_as_many_as_fit_into_memory(caplog: pytest.LogCaptureFixture) -> None:
    model = build('llama', 0)
    slot_bytes = hf_batched.cache_bytes(describe(model, 64), torch.float32)
    room = RunnerOptions(slots=8, context_length=64, memory_bytes=int(2.5 * slot_bytes))
    assert make_runner(model, room, never).slots == 2 and 'enough for 2 of 8 sequences' in caplog.text
    with pytest.raises(LoadError, match='--max-context-tokens'):
        make_runner(build('llama', 0), RunnerOptions(8, 64, slot_bytes // 2), never)


@NEEDS_KERNELS
def test_bfloat16_weights_give_the_model_within_their_precision() -> None:
    model = build('llama', 0).bfloat16()
    assert isinstance(make_runner(model, OPTIONS, never), hf_batched.BatchedRunner)
