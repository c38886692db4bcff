"""The engine over a real model, the embedded one: what it answers is what the model itself says."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from tests.hf_engine_rig import PATIENCE_S, deltas, running, submit, texts

from sandle.engine.engine import Delta, Finished, Handle
from sandle.engine.loop import EngineLoop

FOLDER = pathlib.Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
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
    with running(FOLDER) as engine:
        yield engine


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
        assert [other.logprob for other in token.top] == pytest.approx(row.topk(3).values.tolist(), abs=1e-4)


def test_seeded_samples_are_the_same_alone_and_in_company(engine: EngineLoop) -> None:
    alone = texts(deltas(submit(engine, [PROMPTS[1]], candidates=2, temperature=1.0, seed=11)), 2)
    company = [submit(engine, [prompt], temperature=1.0, seed=5) for prompt in PROMPTS]
    again = texts(deltas(submit(engine, [PROMPTS[1]], candidates=2, temperature=1.0, seed=11)), 2)
    for handle in company:
        deltas(handle)
    assert alone == again and alone[0] != alone[1]
