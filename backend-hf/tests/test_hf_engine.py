"""The engine over a real model, the embedded one: what it answers is what the model itself says."""

import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import hf_device
import pytest
import torch
import transformers
from hf_model import HfLoader, LoadOptions

from sandle.catalog import CatalogEntry
from sandle.engine.engine import Delta, Finished, GenerationRequest, Handle, ModelInfo, ModelStatus, SamplingParams
from sandle.engine.loop import EngineLoop, EngineOptions

FOLDER = pathlib.Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
PATIENCE_S = 120.0
PROMPTS = [
    'Q: What is the capital of France?\nA:', 'Once upon a time', 'Say this is a test', '1, 2, 3, 4,', 'The 漢字 of',
    'Once upon a time, there was a', 'Q: What is the capital of France?\nA: Paris\n\nQ: What is 2 + 2?\nA:']


@pytest.fixture(scope='module')
def model() -> Any:
    """The model as transformers has it."""
    return transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()


@pytest.fixture(scope='module')
def tokenizer() -> Any:
    """Its tokenizer as transformers has it."""
    return transformers.AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope='module')
def engine() -> Iterator[EngineLoop]:
    """An engine with fewer slots than sequences, and chunks shorter than some prompts."""
    entry = CatalogEntry('tiny', 'tiny', 'test', path=FOLDER)
    loader = HfLoader([entry], LoadOptions(slots=3), hf_device.Hardware())
    info = ModelInfo('tiny', '', '', 0, ModelStatus.AVAILABLE, frozenset())
    engine = EngineLoop([info], loader, 'tiny', EngineOptions(max_batch_tokens=16))
    deadline_s = time.monotonic() + PATIENCE_S
    while not engine.is_ready():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    yield engine
    engine.shutdown()


def submit(engine: EngineLoop, prompts: Sequence[str], candidates: int = 1, echo: bool = False,
           **sampling: Any) -> Handle:
    """Asks for greedy tokens unless told otherwise."""
    params = SamplingParams(**{'temperature': 0.0, 'max_tokens': 24, **sampling})
    return engine.submit(GenerationRequest('id', 'tiny', tuple(prompts), params, candidates, echo))


def deltas(handle: Handle) -> list[Delta]:
    """Reads a request to its end."""
    found = []
    while not isinstance(event := handle.get(PATIENCE_S), Finished):
        found.append(event)
    return found


def texts(found: Sequence[Delta], count: int) -> list[str]:
    """The text of each choice."""
    return [''.join(delta.text for delta in found if delta.choice == choice) for choice in range(count)]


def generated(model: Any, tokenizer: Any, prompt: str) -> str:
    """What generate() answers greedily."""
    inputs = tokenizer(prompt, return_tensors='pt', return_token_type_ids=False)
    output = model.generate(**inputs, do_sample=False, max_new_tokens=24)
    return str(tokenizer.decode(output[0, inputs['input_ids'].shape[1]:], skip_special_tokens=True,
                                clean_up_tokenization_spaces=False))


def test_greedy_answers_are_those_of_generate_alone_together_and_joined_in_mid_flight(
        engine: EngineLoop, model: Any, tokenizer: Any) -> None:
    wanted = [generated(model, tokenizer, prompt) for prompt in PROMPTS]
    assert [texts(deltas(submit(engine, [prompt])), 1)[0] for prompt in PROMPTS] == wanted
    assert texts(deltas(submit(engine, PROMPTS)), len(PROMPTS)) == wanted
    handles: list[tuple[Handle, list[Delta | Finished]]] = []
    for prompt in PROMPTS:  # each joins when the one before has begun to answer
        handles.append((submit(engine, [prompt]), []))
        handles[-1][1].append(handles[-1][0].get(PATIENCE_S))
    joined = [[*(event for event in begun if isinstance(event, Delta)), *deltas(handle)] for handle, begun in handles]
    assert [texts(found, 1)[0] for found in joined] == wanted


def test_scores_of_a_prompt_are_those_of_one_forward(engine: EngineLoop, model: Any, tokenizer: Any) -> None:
    prompt = 'Q: What is the capital of France?\nA: Paris'
    ids = tokenizer(prompt)['input_ids']
    with torch.inference_mode():
        rows = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    wanted = [float(rows[place, token]) for place, token in enumerate(ids[1:])]
    found = deltas(submit(engine, [prompt], echo=True, max_tokens=1, logprobs=3))
    prompt_tokens = found[0].tokens
    assert found[0].text == prompt and prompt_tokens[0].logprob is None
    assert [token.logprob for token in prompt_tokens[1:]] == pytest.approx(wanted, abs=1e-4)
    assert len(prompt_tokens) == len(ids) and sum(len(delta.tokens) for delta in found) == len(ids) + 1
    for token, row in zip(prompt_tokens[1:], rows):
        assert token.top is not None
        assert [value for _, value in token.top] == pytest.approx(row.topk(3).values.tolist(), abs=1e-4)


def test_seeded_samples_are_the_same_alone_and_in_company(engine: EngineLoop) -> None:
    alone = texts(deltas(submit(engine, [PROMPTS[1]], candidates=2, temperature=1.0, seed=11)), 2)
    company = [submit(engine, [prompt], temperature=1.0, seed=5) for prompt in PROMPTS]
    again = texts(deltas(submit(engine, [PROMPTS[1]], candidates=2, temperature=1.0, seed=11)), 2)
    for handle in company:
        deltas(handle)
    assert alone == again and alone[0] != alone[1]
