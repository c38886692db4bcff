"""The law of batching through the whole engine, from a model's folder on: greedy tokens are generate()'s."""

import io
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hf_engine_rig import deltas, ids, running, submit
from tests.hf_families import CONTEXT, COUNTS, PROMPTS, tiny
from tests.kernels_here import WHY_NOT
from transformers import PreTrainedTokenizerFast

from sandle.engine.engine import Delta, Handle
from sandle.engine.loop import EngineLoop

# One of each kind of attention and of positions, and one that only the general runner takes. Without kernels it takes
# them all.
FAMILIES = {'opt': 'batched', 'bloom': 'batched', 'gptj': 'batched', 'gpt_neox': 'batched', 'llama-llama3': 'batched',
            'mistral': 'batched', 'gemma2': 'batched', 'qwen3_moe': 'general'}

Served = tuple[str, EngineLoop]


@pytest.fixture(scope='module', params=FAMILIES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
           tokenizer_kinds: dict[str, PreTrainedTokenizerFast]) -> Iterator[Served]:
    """A family, and an engine that has loaded a model of it."""
    folder: Path = tmp_path_factory.mktemp('family')
    tiny(request.param).model.save_pretrained(folder)
    tokenizer_kinds['byte_level_tokenizer'].save_pretrained(folder)
    log = io.StringIO()
    handler, logger = logging.StreamHandler(log), logging.getLogger('hf_runners')
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with running(folder, context=CONTEXT) as engine:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        assert f'runner: {"general" if WHY_NOT else FAMILIES[request.param]}' in log.getvalue()
        yield request.param, engine


def ask(engine: EngineLoop, *prompts: int) -> Handle:
    """Asks for the answers to some of PROMPTS: together, where there are several, as many tokens as to the shortest."""
    return submit(engine, [tuple(PROMPTS[prompt]) for prompt in prompts],
                  max_tokens=min(COUNTS[prompt] for prompt in prompts), ignore_eos=True)


def wanted(family: str, prompt: int, count: int | None = None) -> list[int]:
    """What generate() answers."""
    return tiny(family).references[prompt].tokens[:count]


def test_alone_and_again_from_what_the_slots_hold(served: Served) -> None:
    family, engine = served
    for prompt in (3, 1, 2, 0, 3, 2, 1, 0):
        assert ids(deltas(ask(engine, prompt)), 1) == [wanted(family, prompt)]


def test_together_more_than_there_are_slots(served: Served) -> None:
    family, engine = served
    order = (2, 0, 3, 1, 1, 3)
    assert ids(deltas(ask(engine, *order)), len(order)) == [wanted(family, prompt, 12) for prompt in order]


def test_joined_in_mid_flight(served: Served) -> None:
    family, engine = served
    order = random.Random(0).choices(range(4), k=10)
    begun: list[tuple[Handle, Delta]] = []
    for prompt in order:  # each joins when the one before has begun to answer, its slot having held something else
        handle = ask(engine, prompt)
        first = handle.get(60.0)
        assert isinstance(first, Delta)
        begun.append((handle, first))
    assert [ids([first, *deltas(handle)], 1)[0] for handle, first in begun] == [
        wanted(family, prompt) for prompt in order]
