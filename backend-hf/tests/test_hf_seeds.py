"""A seeded sample is a function of the model, the prompt and the request alone: nothing beside it changes it.

Over the embedded model in fp32, through the whole engine: alone, in batches of 2, 8 and 16 with neighbours drawn at
random, on other slots and with other chunks. (test_serve_backend_hf.py compares streamed answers with unstreamed ones.)
"""

import pathlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.hf_engine_rig import deltas, ids, running, submit

from sandle.engine.engine import Handle
from sandle.engine.loop import EngineLoop

FOLDER = pathlib.Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
COUNT = 24
SAMPLES: list[tuple[str, int, dict[str, Any]]] = [
    ('Once upon a time', 7, {}), ('Once upon a time', 8, {}), ('1, 2, 3,', 2 ** 62, {'top_p': 0.8}),
    ('Q: What is the capital of France?\nA:', 0, {'temperature': 1.5, 'top_k': 40}),
    ('Say this is a test', 3, {'min_p': 0.02, 'frequency_penalty': 0.5, 'repetition_penalty': 1.1})]
WORDS = 'the a cat dog was once upon 1 2 3 capital house \n . , of in Q: A: é 漢'.split(' ')

Answers = list[list[list[int]]]


def sample(engine: EngineLoop, index: int) -> Handle:
    """Asks for one of SAMPLES, two candidates of it."""
    prompt, seed, settings = SAMPLES[index]
    return submit(engine, [prompt], candidates=2, seed=seed, max_tokens=COUNT, ignore_eos=True,
                  **{'temperature': 1.0, **settings})


def neighbour(engine: EngineLoop, source: random.Random) -> Handle:
    """Asks for something else: of any length, greedy or sampled, sometimes beginning as one of SAMPLES does."""
    start = source.choice(['', '', source.choice(SAMPLES)[0]])
    prompt = start + ' '.join(source.choices(WORDS, k=source.randint(1, 60)))
    return submit(engine, [prompt], max_tokens=source.randint(1, COUNT), temperature=source.choice([0.0, 1.0]))


@pytest.fixture(scope='module')
def alone() -> Iterator[Answers]:
    """Every sample, by an engine that never has anything else to do, with prompts in one piece."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with running(FOLDER, slots=2, max_batch_tokens=512) as engine:
        yield [ids(deltas(sample(engine, index)), 2) for index in range(len(SAMPLES))]
    torch.set_num_threads(threads)


def test_seeds_tell_samples_apart(alone: Answers) -> None:
    every = [tuple(tokens) for candidates in alone for tokens in candidates]
    assert len(set(every)) == 2 * len(SAMPLES)
    assert all(len(tokens) == COUNT for tokens in every)


@pytest.mark.parametrize(('slots', 'max_batch_tokens'), [(2, 5), (8, 512), (16, 40)])
def test_sample_is_the_same_beside_any_neighbours(alone: Answers, slots: int, max_batch_tokens: int) -> None:
    source = random.Random(slots)
    with running(FOLDER, slots=slots, max_batch_tokens=max_batch_tokens) as engine:
        for index in source.sample(range(len(SAMPLES)), len(SAMPLES)):
            before = [neighbour(engine, source) for _ in range(source.randint(1, slots))]
            deltas(before.pop())  # the others are somewhere in the middle
            handle = sample(engine, index)
            after = [neighbour(engine, source) for _ in range(slots // 2)]
            assert ids(deltas(handle), 2) == alone[index]
            for other in source.sample([*before, *after], len(before) // 2):
                other.cancel()


def test_samples_together_are_the_same_as_alone(alone: Answers) -> None:
    with running(FOLDER, slots=7, max_batch_tokens=33) as engine:
        handles = [sample(engine, index) for index in range(len(SAMPLES))]
        assert [ids(deltas(handle), 2) for handle in handles] == alone


def test_prompts_of_one_request_sample_apart_and_the_same_again(alone: Answers) -> None:
    prompt, seed, _ = SAMPLES[0]
    with running(FOLDER) as engine:
        first, second = (ids(deltas(submit(engine, [prompt, prompt], candidates=2, seed=seed, max_tokens=COUNT,
                                           temperature=1.0, ignore_eos=True)), 4) for _ in range(2))
    assert first == second and first[:2] == alone[0]
    assert len({tuple(tokens) for tokens in first}) == 4
