"""Adapters through the whole engine: each model of its own, all of them at once, and peft's greedy tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hf_engine_rig import MODEL, deltas, ids, running, submit
from tests.hf_families import CONTEXT, PROMPTS, build
from tests.hf_lora_rig import make_adapter, peft_logits
from transformers import PreTrainedTokenizerFast

from sandle import errors
from sandle.engine.engine import ModelStatus
from sandle.engine.loop import EngineLoop

COUNT = 12
PROMPT = PROMPTS[3]  # long enough for its prefix to be kept


@pytest.fixture(scope='module')
def models() -> dict[str, Any]:
    """The base, and what is to be filled with peft's models of the adapters."""
    return {MODEL: build('llama', 0)}


@pytest.fixture(scope='module')
def engine(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory,
           tokenizer_kinds: dict[str, PreTrainedTokenizerFast]) -> Iterator[EngineLoop]:
    """An engine with a base and two adapters."""
    folder: Path = tmp_path_factory.mktemp('lora')
    models[MODEL].save_pretrained(folder)
    tokenizer_kinds['byte_level_tokenizer'].save_pretrained(folder)
    adapters = {name: folder / name for name in ('poet', 'pirate')}
    for seed, (name, place) in enumerate(adapters.items()):
        models[name] = make_adapter(models[MODEL], place, seed)
    with running(folder, context=CONTEXT, adapters=adapters) as engine:
        yield engine


def greedy(model: Any, prompt: list[int]) -> list[int]:
    """What peft's model answers, token by token."""
    tokens = list(prompt)
    for _ in range(COUNT):
        tokens.append(int(peft_logits(model, tokens)[-1].argmax()))
    return tokens[len(prompt):]


def test_all_at_once_and_each_alone_give_what_peft_gives(engine: EngineLoop, models: dict[str, Any]) -> None:
    wanted = {name: greedy(model, PROMPT) for name, model in models.items()}
    assert len({tuple(tokens) for tokens in wanted.values()}) == 3
    handles = {name: submit(engine, [tuple(PROMPT)], model=name, max_tokens=COUNT, ignore_eos=True)
               for name in (*models, *reversed(models))}
    assert {name: ids(deltas(handle), 1)[0] for name, handle in handles.items()} == wanted
    for name in models:
        alone = submit(engine, [tuple(PROMPT)], model=name, max_tokens=COUNT, ignore_eos=True)
        assert ids(deltas(alone), 1)[0] == wanted[name]


def test_prefixes_are_kept_for_the_same_adapter_only(engine: EngineLoop) -> None:
    prompt = tuple((7 * token + 1) % 250 for token in PROMPT)
    gains = []
    for name in (MODEL, 'poet', 'poet', MODEL):
        before = engine.statistics().prefix_hit_tokens
        deltas(submit(engine, [prompt], model=name, max_tokens=1))
        gains.append(engine.statistics().prefix_hit_tokens - before)
    assert gains == [0, 0, len(prompt) - 1, len(prompt) - 1]


def test_adapters_stand_as_their_base_stands(engine: EngineLoop) -> None:
    infos = {info.id: info for info in engine.models()}
    assert {name: info.parent for name, info in infos.items()} == {MODEL: None, 'poet': MODEL, 'pirate': MODEL}
    assert {(info.status, info.context_length) for info in infos.values()} == {(ModelStatus.READY, CONTEXT)}
    with pytest.raises(errors.ModelNotFoundError):
        engine.tokenizer('parrot')
    assert engine.tokenizer('poet') is engine.tokenizer(MODEL)


def test_adapter_of_another_model_leaves_the_base_unloaded_and_says_why(
        tmp_path: Path, models: dict[str, Any], tokenizer_kinds: dict[str, PreTrainedTokenizerFast]) -> None:
    models[MODEL].save_pretrained(tmp_path)
    tokenizer_kinds['byte_level_tokenizer'].save_pretrained(tmp_path)
    make_adapter(build('gpt2', 0), tmp_path / 'foreign', 0)
    with pytest.raises(AssertionError, match="The adapter 'foreign' cannot be used: the model has no module"):
        with running(tmp_path, adapters={'foreign': tmp_path / 'foreign'}, patience_s=3.0):
            pass
