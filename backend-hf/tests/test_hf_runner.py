"""What a runner is besides equal to generate(), which test_hf_equality.py tests."""

import torch
from hf_runner import HfRunner
from tests.hf_families import PROMPTS, VOCABULARY, tiny

from sandle.engine.runner import Work


def test_step_returns_the_logits_asked_for() -> None:
    runner = HfRunner(tiny('llama').model, slots=2)
    prompt = PROMPTS[1]
    everything = runner.step([Work(0, 0, prompt, len(prompt)), Work(1, 0, prompt, 0)])
    last = runner.step([Work(1, 0, prompt, 1)])
    assert everything.shape == (len(prompt), VOCABULARY)
    assert everything.dtype == torch.float32
    torch.testing.assert_close(everything[-1:], last)


def test_step_that_wants_no_logits_returns_no_rows() -> None:
    runner = HfRunner(tiny('llama').model, slots=2)
    assert len(runner.step([Work(1, 0, [5, 6], 0)])) == 0


def test_release_lets_go_of_the_model() -> None:
    runner = HfRunner(tiny('llama').model, slots=1)
    runner.release()
    assert runner.slots == 0
