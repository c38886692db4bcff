"""Every form of sandle-tiny gives the same numbers as transformers, and the same text."""

import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from llama_convert import Source
from llama_library import Model, load_library
from llama_model import LlamaLoader, LoadOptions
from llama_runner import LlamaRunner, RunnerOptions, calls
from llama_streams import moves

from sandle.engine.runner import LoadedModel, Work
from tests.llama_rig import SANDLE_TINY, greedy, score, write_meta

PROMPTS = [entry['prompt'] for entry in json.loads((SANDLE_TINY / 'prompts.json').read_text())]
TEXT = 'The capital of France is Paris. Two plus two is four, and 12345 is a number.'
Load = Callable[..., LoadedModel]


@pytest.fixture(scope='module')
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Returns a function that brings a source into memory."""
    loaded: list[LoadedModel] = []

    def load_one(source: Source, **options: Any) -> LoadedModel:
        defaults = LoadOptions(slots=3, cache_dir=tmp_path_factory.mktemp('cache'))
        given = dataclasses.replace(defaults, **options)
        loaded.append(LlamaLoader(source, given).load('m', lambda line: None))
        return loaded[-1]

    yield load_one
    for model in loaded:
        model.runner.release()


@pytest.fixture(scope='module')
def exact(load: Load, folder: Path) -> LoadedModel:
    """sandle-tiny in float32."""
    return load(Source(folder))


@pytest.fixture(scope='module')
def reference() -> transformers.PreTrainedModel:
    """sandle-tiny as transformers computes it."""
    return transformers.AutoModelForCausalLM.from_pretrained(SANDLE_TINY, dtype=torch.float32)


@torch.inference_mode()
def expected(reference: transformers.PreTrainedModel, ids: list[int]) -> torch.Tensor:
    logits: torch.Tensor = reference(torch.tensor([ids])).logits[0]
    return logits


def test_logits_are_those_of_transformers(exact: LoadedModel, reference: transformers.PreTrainedModel) -> None:
    ids = list(exact.tokenizer.encode(TEXT, True))
    assert (score(exact, ids) - expected(reference, ids)).abs().max() < 1e-3


def test_log_likelihoods_at_16_bits_are_close(load: Load, folder: Path,
                                              reference: transformers.PreTrainedModel) -> None:
    model = load(Source(folder), quantize='f16')
    ids = list(model.tokenizer.encode(TEXT, True))
    ours, theirs = (torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])
                    for logits in (score(model, ids), expected(reference, ids)))
    away = (ours - theirs).abs()
    # Tokens that nobody would choose, with a log-likelihood of -28, come less close: 16 bits hold no more.
    assert away[theirs > -10].max() < 1e-2 and away.max() < 2e-2 and abs(float((ours - theirs).sum())) < 1e-2


def test_text_is_that_of_transformers(exact: LoadedModel, reference: transformers.PreTrainedModel) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(SANDLE_TINY)
    different = []
    for prompt in PROMPTS[::4]:
        ids = tokenizer(prompt, return_tensors='pt').input_ids
        with torch.inference_mode():
            answer = reference.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1]:]
        theirs = tokenizer.decode(answer, skip_special_tokens=True)
        if greedy(exact, prompt, 8) != theirs:
            different.append((prompt, theirs))
    assert not different


@pytest.mark.parametrize('shards', [1, 2])
def test_checkpoint_of_metas_gives_the_same_text(load: Load, exact: LoadedModel, tmp_path: Path, shards: int) -> None:
    model = load(Source(write_meta(tmp_path / 'llama', shards), 'T'))
    assert model.context_length == 4096, 'what a family of its measures was trained with'
    for prompt in PROMPTS[::40]:
        assert greedy(model, prompt, 8) == greedy(exact, prompt, 8), prompt


def test_gguf_file_gives_the_same_text_and_is_used_as_it_is(load: Load, exact: LoadedModel, folder: Path) -> None:
    [file] = folder.glob('*-plain-*.gguf')
    before = sorted(folder.iterdir())
    model = load(Source(file))
    assert sorted(folder.iterdir()) == before
    for prompt in PROMPTS[::40]:
        assert greedy(model, prompt, 8) == greedy(exact, prompt, 8), prompt


@pytest.mark.usefixtures('exact')
@pytest.mark.parametrize('form', ['q8_0', 'q4_0'])
def test_quantized_weights_answer_alike_and_take_less(load: Load, folder: Path, form: str) -> None:
    model = load(Source(folder), quantize=form)
    [file] = folder.glob(f'*-{form}-*.gguf')
    [plain] = folder.glob('*-plain-*.gguf')
    assert file.stat().st_size < plain.stat().st_size / 2
    assert greedy(model, 'The capital of France is', 1) == ' Paris'


def test_what_else_is_computed_makes_no_difference(exact: LoadedModel) -> None:
    ids = tuple(exact.tokenizer.encode(TEXT, True))
    alone = score(exact, ids)
    one_by_one = torch.cat([score(exact, ids[place:place + 1], 1, place) for place in range(len(ids))])
    beside = exact.runner.step([Work(0, 0, ids[:9], 0), Work(2, 0, ids, len(ids)), Work(1, 4, ids[4:9], 1)])[:len(ids)]
    assert (alone - one_by_one).abs().max() < 1e-3 and (alone - beside).abs().max() < 1e-3


def test_copied_prefix_goes_on_by_itself(exact: LoadedModel) -> None:
    ids = list(exact.tokenizer.encode(TEXT, True))
    other = [*ids[:5], *reversed(ids[5:])]
    wanted, wanted_other = score(exact, ids), score(exact, other, 1)
    score(exact, ids)
    exact.runner.copy_prefix(0, 1, 5)
    assert (score(exact, other[5:], 1, 5) - wanted_other[5:]).abs().max() < 1e-3
    assert (score(exact, ids[5:], 0, 5) - wanted[5:]).abs().max() < 1e-3


def test_rewritten_slot_forgets_what_it_held(exact: LoadedModel) -> None:
    ids = list(exact.tokenizer.encode(TEXT, True))
    wanted = score(exact, ids[:8], 2)
    score(exact, list(reversed(ids)), 2)
    assert (score(exact, ids[:8], 2) - wanted).abs().max() < 1e-3


def test_step_that_finds_no_room_fails_and_the_next_one_works(folder: Path, exact: LoadedModel) -> None:
    [file] = folder.glob('*-plain-*.gguf')
    options = RunnerOptions(slots=2, slot_tokens=256, step_tokens=256, threads=1)
    runner = LlamaRunner(Model(load_library(), file), options)
    ids = tuple(exact.tokenizer.encode(TEXT, True))
    runner.step([Work(0, 0, (300,) * 200, 1)])
    with pytest.raises(RuntimeError, match='llama.cpp failed with 1'):
        runner.step([Work(0, 200, (300,) * 100, 1), Work(1, 0, (300,) * 100, 1)])
    assert (runner.step([Work(1, 0, ids, len(ids))]) - score(exact, ids)).abs().max() < 1e-3
    runner.release()


def test_slots_that_lie_apart_are_computed_together_and_keep_what_they_hold(exact: LoadedModel) -> None:
    ids = tuple(exact.tokenizer.encode(TEXT, True))
    half = len(ids) // 2
    texts = {slot: (*ids[slot:half + slot], *reversed(ids)) for slot in range(exact.runner.slots)}
    wanted = {slot: score(exact, text, slot) for slot, text in texts.items()}
    for slot, text in texts.items():
        exact.runner.step([Work(slot, 0, text[:half], 0)])
    source = random.Random(3)
    computed = dict.fromkeys(texts, half)
    while slots := [slot for slot, end in computed.items() if end < len(texts[slot])]:
        chosen = source.sample(slots, source.randint(1, len(slots)))
        logits = exact.runner.step([Work(slot, computed[slot], texts[slot][computed[slot]:][:1], 1) for slot in chosen])
        for slot, row in zip(chosen, logits):
            assert (row - wanted[slot][computed[slot]]).abs().max() < 1e-3
            computed[slot] += 1


@given(st.integers(1, 40).flatmap(
    lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), min_size=1))))
def test_moves_lay_streams_side_by_side(case: tuple[int, set[int]]) -> None:
    count, active = case
    after = set(active)
    for here, there in moves(active, count):
        assert here in after and there not in after
        after = after - {here} | {there}
    assert max(after) - min(after) + 1 == len(active) == len(after)
    runs = (set(range(start, start + len(active))) for start in range(count - len(active) + 1))
    assert len(active & after) == max(len(active & run) for run in runs), 'no more moves than needed'


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=6), st.permutations(range(6)))
def test_calls_compute_each_token_once_and_return_the_wanted_logits(sizes: list[tuple[int, int]],
                                                                    streams: list[int]) -> None:
    batch = [Work(slot, 7, tuple(range(size)), min(wanted, size)) for slot, (size, wanted) in enumerate(sizes)]
    made = calls(batch, streams[:len(batch)])
    assert all(len({len(piece.tokens) for piece in pieces}) == 1 for pieces in made), 'of one length'
    for work in batch:
        pieces = [piece for pieces in made for piece in pieces if piece.slot == work.slot]
        assert sum((tuple(piece.tokens) for piece in pieces), ()) == work.tokens
        ends = accumulate((len(piece.tokens) for piece in pieces), initial=7)
        assert all(piece.start == end for piece, end in zip(pieces, ends))
        wanted = [place >= len(piece.tokens) - piece.logits for piece in pieces for place in range(len(piece.tokens))]
        assert wanted == [place >= len(work.tokens) - work.logits for place in range(len(work.tokens))]
