"""--batch-invariant: the same bits in any company, by the runners that compute one token at a time."""

import itertools
import random

import pytest
import torch
from hf_device_runner import DeviceRunner
from hf_one_by_one import OneByOne
from hf_readers import describe
from hf_runner import HfRunner
from tests.hf_families import CONTEXT, PROMPTS, VOCABULARY, build

from sandle.engine.runner import ModelRunner, Work


def on_device(family: str, is_alone: bool) -> DeviceRunner:
    return DeviceRunner(describe(build(family, 0), CONTEXT), torch.float32, 4, torch.device('cpu'), is_alone=is_alone)


def one_by_one(name: str, family: str) -> ModelRunner:
    return OneByOne(HfRunner(build(family, 0), 4) if name == 'general' else on_device(family, True))


@pytest.mark.parametrize('name', ['general', 'device'])
@pytest.mark.parametrize('family', ['llama', 'gemma2', 'bloom'])
def test_one_by_one_gives_the_same_bits_in_any_company(name: str, family: str) -> None:
    """A text in random chunks, in any slot and beside random others, and continued from a copy of its beginning."""
    text = PROMPTS[3]
    expected = one_by_one(name, family).step([Work(0, 0, text, len(text))])
    draw = random.Random(3)
    for slot in range(4):
        runner = one_by_one(name, family)
        other = (slot + 1) % 4
        cuts = sorted(draw.sample(range(1, len(text)), draw.randint(1, 4)))
        found = []
        for start, end in itertools.pairwise([0, *cuts, len(text)]):
            beside = Work(other, 0, [draw.randrange(VOCABULARY) for _ in range(draw.randint(1, 9))], 0)
            own = Work(slot, start, text[start:end], end - start)
            found.append(runner.step([beside, own] if draw.random() < 0.5 else [own, beside]))
        assert torch.equal(torch.cat(found), expected)
        runner.copy_prefix(slot, other, 10)
        assert torch.equal(runner.step([Work(other, 10, text[10:], 3)]), expected[-3:])


def test_one_by_one_keeps_the_order_of_the_rows() -> None:
    runner, expected = one_by_one('device', 'llama'), on_device('llama', False)
    batch = [Work(2, 0, [5, 6, 7], 2), Work(0, 0, [9, 9], 0), Work(1, 0, [8], 1)]
    torch.testing.assert_close(runner.step(batch), expected.step(batch), rtol=1e-4, atol=1e-4)
    assert runner.step([Work(0, 2, [9, 9], 0)]).shape == (0, VOCABULARY)
    assert runner.slots == 4
    runner.release()
    assert runner.slots == 0
