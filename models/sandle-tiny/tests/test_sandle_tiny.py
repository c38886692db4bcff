"""Holds the committed weights to what the card claims: answers, perplexity, tokenizer, context, files."""

from __future__ import annotations

import itertools
import json
import pathlib
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

pytest.importorskip('torch')
pytest.importorskip('transformers')

from hypothesis import example, given, settings
from hypothesis import strategies as st
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

FOLDER = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER))

from sandle_tiny.corpus import Corpus
from sandle_tiny.doc import Doc, is_held_out
from sandle_tiny.evaluation import Answer, by_kind, greedy, perplexity
from sandle_tiny.prompts import make_prompts
from sandle_tiny.report import prompts_seed, read_held_out, read_prompts
from sandle_tiny.training import Plan
from sandle_tiny.vocabulary import BOS_ID, EOS_ID, SPECIALS

LEAST_RIGHT = 0.97
"""Share of the prompts that must be answered right."""
SLACK = 0.01
"""Share of the answers by which another machine's arithmetic may fall short of what is recorded."""
PERPLEXITY_BOUND = 1.02
"""Factor over the perplexity recorded in quality.json."""
TOKENIZER = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope='module')
def model() -> Iterator[LlamaForCausalLM]:
    """The committed weights in fp32 on the CPU."""
    yield AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, local_files_only=True).eval()


@pytest.fixture(scope='module')
def answers(model: LlamaForCausalLM) -> list[Answer]:
    """Greedy answers to all test prompts."""
    return greedy(model, TOKENIZER, read_prompts(FOLDER))


def wrong_ones(answers: list[Answer]) -> str:
    """The wrong answers, one a line."""
    return '\n'.join(f'{a.prompt.kind}: {a.prompt.prompt!r} -> {a.text!r}' for a in answers if not a.is_right)


def share_right(answers: list[Answer]) -> float:
    """The share of right answers."""
    return sum(answer.is_right for answer in answers) / len(answers)


def test_answers_are_right(answers: list[Answer]) -> None:
    assert len(answers) >= 240 and sum(not answer.prompt.seen for answer in answers) >= 100
    assert share_right(answers) >= LEAST_RIGHT, wrong_ones(answers)


def test_answers_are_as_right_as_recorded_overall_and_by_kind(answers: list[Answer]) -> None:
    recorded = json.loads((FOLDER / 'quality.json').read_text())
    counts = by_kind(answers)
    print('\n'.join(f'{kind}: {right}/{total}' for kind, (right, total) in counts.items()))
    assert len(counts) >= 14
    assert share_right(answers) >= recorded['right'] - SLACK, wrong_ones(answers)
    for kind, (right, total) in counts.items():
        assert right >= int(recorded['by_kind'][kind].split('/')[0]) - 1, (kind, right, total)


def test_unseen_prompts_are_answered_as_recorded(answers: list[Answer]) -> None:
    recorded = json.loads((FOLDER / 'quality.json').read_text())
    unseen = [answer for answer in answers if not answer.prompt.seen]
    assert share_right(unseen) >= recorded['unseen_right'] - 2 * SLACK, wrong_ones(unseen)


def test_say_this_is_a_test_and_the_capital_of_france(answers: list[Answer]) -> None:
    found = {answer.prompt.prompt: answer for answer in answers}
    assert found['Say this is a test'].text == ' This is a test.' and found['Say this is a test'].has_ended
    france = found['Q: What is the capital of France?\nA:']
    assert france.text == ' Paris' and france.has_ended


def test_answers_end(answers: list[Answer]) -> None:
    running_on = [answer.prompt.prompt for answer in answers if not answer.has_ended and answer.prompt.kind != 'story']
    assert len(running_on) <= 0.01 * len(answers), running_on


def test_prompts_are_those_the_generator_makes() -> None:
    assert read_prompts(FOLDER) == make_prompts(Corpus(), prompts_seed(Plan(0)))


def training_docs(count: int) -> Iterator[Doc]:
    """The first documents of the training, as the training draws them."""
    yield from itertools.islice(Corpus().docs(Plan(0).seed), count)


def test_unseen_prompts_are_not_in_the_training_text() -> None:
    unseen = {prompt.prompt.strip() for prompt in read_prompts(FOLDER) if not prompt.seen}
    for doc in training_docs(30_000):
        assert doc.parts[0].text.strip() not in unseen
        assert doc.text.strip() not in unseen


def test_held_out_sums_are_in_no_wording_of_the_training_text() -> None:
    held = [(a, b) for a in range(11, 40) for b in range(40) if is_held_out(f'{a}+{b}')]
    questions = [f'What is {a} + {b}?' for a, b in held]
    starts = {f'{a} + {b} =' for a, b in held} | {f'{a}+{b}=' for a, b in held} | {f'{a} plus {b} is' for a, b in held}
    assert len(held) > 30
    for doc in training_docs(30_000):
        assert not any(part.text.strip() in starts for part in doc.parts if not part.is_answer)
        if doc.kind in ('few-shot', 'chat', 'sum'):
            assert not any(question in doc.text for question in questions)


def test_greedy_alone_is_greedy_in_a_padded_batch(model: LlamaForCausalLM, answers: list[Answer]) -> None:
    for answer in answers[::25]:
        assert greedy(model, TOKENIZER, [answer.prompt])[0].text == answer.text


def test_perplexity_is_as_recorded(model: LlamaForCausalLM) -> None:
    recorded = json.loads((FOLDER / 'quality.json').read_text())['perplexity']
    assert perplexity(model, TOKENIZER, read_held_out(FOLDER)) <= recorded * PERPLEXITY_BOUND


def test_sampled_stories_end_and_keep_their_hero(model: LlamaForCausalLM) -> None:
    torch.manual_seed(5)
    inputs = TOKENIZER(
        ['Once upon a time, there was a little girl named Lily.'] * 12, return_tensors='pt', return_token_type_ids=False
    )
    out = model.generate(**inputs, do_sample=True, temperature=0.8, top_k=0, max_new_tokens=320)
    ended = [row.tolist() for row in out if EOS_ID in row.tolist()]
    assert len(ended) >= 11
    texts = [TOKENIZER.decode(row, skip_special_tokens=True) for row in ended]
    assert sum(text.count('Lily') >= 3 for text in texts) >= 11
    assert len(set(texts)) == len(texts)


@settings(max_examples=300, deadline=None)
@given(st.text())
@example('Straße, 北京, \u202e, \x00\r\n\t, 👩\u200d👧, e\u0301 é, nbsp\u00a0, ' + '   x  ')
def test_tokenizer_gives_any_text_back(text: str) -> None:
    if any(special in text for special in SPECIALS):
        return
    ids = TOKENIZER(text)['input_ids']
    assert ids[0] == BOS_ID
    assert TOKENIZER.decode(ids[1:], skip_special_tokens=False, clean_up_tokenization_spaces=False) == text


def test_tokenizer_has_a_symbol_for_every_byte() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(ByteLevel.alphabet()) <= set(TOKENIZER.get_vocab())
    assert len(ByteLevel.alphabet()) == 256


@pytest.mark.parametrize('special', SPECIALS)
def test_special_token_text_is_one_id(special: str) -> None:
    ids = TOKENIZER(f'a{special}b', add_special_tokens=False)['input_ids']
    assert Counter(ids)[TOKENIZER.convert_tokens_to_ids(special)] == 1 and len(ids) == 3


def test_digits_are_single_tokens() -> None:
    assert TOKENIZER.tokenize('1234 + 56') == ['1', '2', '3', '4', 'Ġ+', 'Ġ', '5', '6']


def test_chat_template_renders_roles_and_the_opening_of_an_answer() -> None:
    messages = [
        {'role': 'system', 'content': 'Be brief.'},
        {'role': 'user', 'content': 'Hi'},
        {'role': 'assistant', 'content': 'Hello!'},
        {'role': 'user', 'content': 'Bye'},
    ]
    text = TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == ('<s><|system|>\nBe brief.\n<|user|>\nHi\n<|assistant|>\nHello!</s><|user|>\nBye\n<|assistant|>\n')
    assert TOKENIZER(text, add_special_tokens=False)['input_ids'].count(BOS_ID) == 1


def test_context_and_shape(model: LlamaForCausalLM) -> None:
    assert type(model).__name__ == 'LlamaForCausalLM'
    assert model.config.max_position_embeddings >= 512
    assert 2e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 8e6
    assert (model.config.bos_token_id, model.config.eos_token_id) == (BOS_ID, EOS_ID)


def test_a_question_after_a_long_block_is_answered(model: LlamaForCausalLM) -> None:
    block = ''.join(f'Q: What is {a} + {b}?\nA: {a + b}\n\n' for a in range(1, 6) for b in range(1, 7))
    prompt = block + 'Q: What is the capital of France?\nA:'
    inputs = TOKENIZER(prompt, return_tensors='pt', return_token_type_ids=False)
    assert inputs['input_ids'].shape[1] > 512
    out = model.generate(**inputs, do_sample=False, max_new_tokens=8)
    assert TOKENIZER.decode(out[0, inputs['input_ids'].shape[1]:], skip_special_tokens=True).startswith(' Paris')


def test_weights_are_small() -> None:
    assert (FOLDER / 'model.safetensors').stat().st_size <= 16_000_000
