"""Greedy answers in batches, the share of right ones by kind, and perplexity."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from sandle_tiny.prompts import TestPrompt

MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class Answer:
    """What the model made of a prompt."""

    prompt: TestPrompt
    text: str
    has_ended: bool
    """Whether the end-of-text token came within the tokens allowed."""

    @property
    def is_right(self) -> bool:
        """Whether the answer begins as expected."""
        return self.text.startswith(self.prompt.expected)


@torch.inference_mode()
def greedy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[TestPrompt], batch: int = 64
) -> list[Answer]:
    """Greedy answers in the order of the prompts. Prompts of like length share a batch, padded on the left."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].prompt))
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), batch):
        chosen = order[start:start + batch]
        inputs = tokenizer(
            [prompts[index].prompt for index in chosen],
            return_tensors='pt',
            padding=True,
            padding_side='left',
            return_token_type_ids=False,
        )
        out = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
        for index, row in zip(chosen, out[:, inputs['input_ids'].shape[1]:].tolist()):
            ended = tokenizer.eos_token_id in row
            ids = row[:row.index(tokenizer.eos_token_id)] if ended else row
            answers[index] = Answer(prompts[index], tokenizer.decode(ids), ended)
    return [answers[index] for index in range(len(prompts))]


def by_kind(answers: Iterable[Answer]) -> dict[str, tuple[int, int]]:
    """For each kind how many answers are right, and of how many."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for answer in answers:
        counts[answer.prompt.kind][0] += answer.is_right
        counts[answer.prompt.kind][1] += 1
    return {kind: (right, total) for kind, (right, total) in counts.items()}


@torch.inference_mode()
def perplexity(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> float:
    """Perplexity by token over whole texts, each with its beginning token as context and its end token as a target."""
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor([tokenizer(text)['input_ids'] + [tokenizer.eos_token_id]])
        logits = model(input_ids=ids).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction='sum').item()
        count += ids.shape[1] - 1
    return math.exp(total / count)
