"""What is measured when the model is made, and the files that the tests hold it to: prompts, held-out text, quality."""

from __future__ import annotations

import itertools
import json
import pathlib
from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sandle_tiny.corpus import Corpus
from sandle_tiny.evaluation import Answer, by_kind, greedy, perplexity
from sandle_tiny.prompts import TestPrompt, make_prompts
from sandle_tiny.training import Plan

HELD_OUT_DOCS = 150
HELD_OUT_KINDS = ('story', 'letter', 'everyday')


def prompts_seed(plan: Plan) -> int:
    """The seed of the test prompts."""
    return plan.seed + 10


def read_prompts(folder: pathlib.Path) -> list[TestPrompt]:
    """The prompts of prompts.json."""
    return [TestPrompt(**entry) for entry in json.loads((folder / 'prompts.json').read_text(encoding='utf-8'))]


def read_held_out(folder: pathlib.Path) -> list[str]:
    """The texts of heldout.jsonl."""
    return [json.loads(line)['text'] for line in (folder / 'heldout.jsonl').read_text(encoding='utf-8').splitlines()]


def write_tests(corpus: Corpus, plan: Plan, folder: pathlib.Path) -> None:
    """Writes prompts.json, and heldout.jsonl: running text drawn with a seed that training does not use."""
    prompts = [prompt.as_json() for prompt in make_prompts(corpus, prompts_seed(plan))]
    lines = ',\n'.join(json.dumps(prompt, ensure_ascii=False) for prompt in prompts)
    (folder / 'prompts.json').write_text(f'[\n{lines}\n]\n', encoding='utf-8')
    docs = (doc for doc in corpus.docs(plan.seed + 11) if doc.kind in HELD_OUT_KINDS and len(doc.parts) == 1)
    texts = [
        json.dumps({'kind': doc.kind, 'text': doc.text}, ensure_ascii=False)
        for doc in itertools.islice(docs, HELD_OUT_DOCS)
    ]
    (folder / 'heldout.jsonl').write_text('\n'.join(texts) + '\n', encoding='utf-8')


def measure(folder: pathlib.Path, steps: int, minutes: float) -> dict[str, object]:
    """Measures the saved model in fp32 on the CPU and writes quality.json."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    answers = greedy(model, tokenizer, read_prompts(folder))
    unseen = [answer for answer in answers if not answer.prompt.seen]
    quality: dict[str, object] = {
        'parameters': sum(parameter.numel() for parameter in model.parameters()),
        'steps': steps,
        'training_minutes': round(minutes),
        'prompts': len(answers),
        'right': round(share(answers), 4),
        'unseen_prompts': len(unseen),
        'unseen_right': round(share(unseen), 4),
        'perplexity': round(perplexity(model, tokenizer, read_held_out(folder)), 3),
        'by_kind': {kind: f'{right}/{total}' for kind, (right, total) in by_kind(answers).items()},
    }
    (folder / 'quality.json').write_text(json.dumps(quality, indent=2) + '\n', encoding='utf-8')
    return quality


def share(answers: Sequence[Answer]) -> float:
    """The share of right answers."""
    return sum(answer.is_right for answer in answers) / len(answers)
