"""Filling in: each family's tokens are found, and prompts put together in its manner."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from hf_infill import SPELLINGS, find_infill
from hf_tokenizer import HfTokenizer, SpecialIds
from tests.hf_engine_rig import MODEL, deltas, running, submit, texts

from sandle.engine.engine import GenerationRequest, SamplingParams

FAMILIES = {'StarCoder': SPELLINGS[0], 'SantaCoder': SPELLINGS[1], 'Qwen': SPELLINGS[2], 'DeepSeek': SPELLINGS[3],
            'CodeLLaMA': SPELLINGS[4]}
VOCABULARY = 400


def with_tokens(tokenizer: Any, *names: str) -> HfTokenizer:
    tokenizer.add_special_tokens({'additional_special_tokens': list(names)})
    return HfTokenizer(tokenizer, SpecialIds(VOCABULARY, frozenset({1}), 0))


@pytest.mark.parametrize('family', FAMILIES)
def test_prompt_is_prefix_suffix_middle(byte_level: Any, family: str) -> None:
    ours = with_tokens(byte_level, *FAMILIES[family])
    prefix, suffix, middle = byte_level.convert_tokens_to_ids(list(FAMILIES[family]))
    assert ours.can_infill and {prefix, suffix, middle} <= ours.infill_ends and not ours.infill_ends & ours.eos_ids
    before, after = ours.encode('the cat', False), ours.encode(' and the dog\n', False)
    inner = [prefix, *before, suffix, *after, middle]
    assert ours.infill('the cat', ' and the dog\n', add_special_tokens=False) == inner
    assert ours.infill('the cat', ' and the dog\n', add_special_tokens=True) == [0, *inner]
    assert ours.infill(before, ' and the dog\n', add_special_tokens=False) == inner
    assert ours.infill('', '', add_special_tokens=False) == [prefix, suffix, middle]


def test_no_space_is_put_before_what_stands_behind_the_gap(metaspace: Any) -> None:
    """Llama 2's manner puts one before each text: right in front of the whole, wrong in the middle."""
    ours = with_tokens(metaspace, *FAMILIES['CodeLLaMA'], '\u2581<EOT>')
    names = list(FAMILIES['CodeLLaMA'])
    prefix, suffix, middle = metaspace.convert_tokens_to_ids(names)
    ids = ours.infill('hello', 'world', add_special_tokens=False)
    place = ids.index(suffix)
    assert b''.join(map(ours.token_bytes, ids[1:place])) == b' hello'
    assert b''.join(map(ours.token_bytes, ids[place + 1:-1])) == b'world'
    assert (ids[0], ids[-1]) == (prefix, middle)
    assert metaspace.convert_tokens_to_ids('\u2581<EOT>') in ours.infill_ends


def test_others_cannot(byte_level: Any) -> None:
    ours = with_tokens(byte_level, '<fim_prefix>', '<fim_suffix>')  # the third one is missing
    assert not ours.can_infill and ours.infill_ends == frozenset()


def test_tokens_beyond_the_models_vocabulary_do_not_count(byte_level: Any) -> None:
    with_tokens(byte_level, *FAMILIES['Qwen'])
    assert find_infill(byte_level, VOCABULARY) is not None
    assert find_infill(byte_level, len(byte_level) - 1) is None


def test_a_model_with_the_tokens_fills_in(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with_tokens(tokenizer, *FAMILIES['Qwen'])
    tokenizer.save_pretrained(folder)
    with running(folder) as engine:
        assert 'suffix' in engine.models()[0].capabilities
        request = GenerationRequest('id', MODEL, ('the cat', 'the dog'), SamplingParams(max_tokens=5, temperature=0.0),
                                    suffix=' and the bird')
        handle = engine.submit(request)
        ours = engine.tokenizer(MODEL)
        marks = tokenizer.convert_tokens_to_ids(list(FAMILIES['Qwen']))
        assert handle.prompt_ids[1] == (0, marks[0], *ours.encode('the dog', False), marks[1],
                                        *ours.encode(' and the bird', False), marks[2])
        assert texts(deltas(handle), 2) == texts(deltas(submit(engine, handle.prompt_ids, max_tokens=5)), 2)
