"""What 8-bit and 4-bit weights cost and gain on this machine's CPU: perplexity, memory of the weights, time of a step.

Quality is measured on the embedded model with its held-out text; speed on a model of random weights (bench/models.py).
Prints two tables in Markdown. Run it on a machine that does nothing else:

    .venv/bin/python bench/quantization.py --shape A
"""

import json
import math
import pathlib
import sys
import time
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'backend-hf')]

import click
import torch
from hf_batched import BatchedRunner
from hf_device import detect
from hf_load_options import LoadOptions
from hf_model import HfLoader

from bench import models
from sandle.catalog import CatalogEntry
from sandle.engine.runner import LoadedModel, Work

EMBEDDED = ROOT / 'models/sandle-tiny'
BITS = (None, 8, 4)
CONTEXT_TOKENS = 192  # that each sequence holds while a step is timed
STEPS = 15


def load(folder: pathlib.Path, bits: int | None, slots: int) -> LoadedModel:
    """Loads a model as the server would."""
    options = LoadOptions('cpu', bits=bits, slots=slots)
    loader = HfLoader([CatalogEntry('model', '', '', path=folder)], options, detect())
    loaded: LoadedModel = loader.load('model', lambda line: None)
    assert isinstance(loaded.runner, BatchedRunner), 'the kernels do not serve this model here'
    return loaded


def perplexity(loaded: LoadedModel, texts: Sequence[str]) -> float:
    """Returns the perplexity by token over whole texts, their end included."""
    total, count = 0.0, 0
    for text in texts:
        tokens = [*loaded.tokenizer.encode(text, True), min(loaded.tokenizer.eos_ids)]
        rows = loaded.runner.step([Work(0, 0, tokens, len(tokens))])[:-1].log_softmax(-1)
        total -= float(rows.gather(1, torch.tensor(tokens[1:])[:, None]).sum())
        count += len(tokens) - 1
    return math.exp(total / count)


def step_ms(loaded: LoadedModel, sequences: int) -> float:
    """Returns the milliseconds of the fastest of some steps of one token a sequence."""
    prompt = [index % 251 + 5 for index in range(CONTEXT_TOKENS)]
    for slot in range(sequences):
        loaded.runner.step([Work(slot, 0, prompt, 0)])
    work = [Work(slot, CONTEXT_TOKENS, [7], 1) for slot in range(sequences)]
    best = math.inf
    for _ in range(STEPS):
        started_s = time.perf_counter()
        loaded.runner.step(work)
        best = min(best, time.perf_counter() - started_s)
    return 1000 * best


@click.command(help=__doc__)
@click.option('--shape', 'shapes', type=click.Choice(sorted(models.SHAPES)), multiple=True, default=('A', 'B'))
def main(shapes: tuple[str, ...]) -> None:
    """Prints the tables."""
    texts = [json.loads(line)['text'] for line in (EMBEDDED / 'heldout.jsonl').read_text(encoding='utf-8').splitlines()]
    print('| weights | perplexity of sandle-tiny | to full precision |\n|---|---|---|')
    full = math.nan
    for bits in BITS:
        found = perplexity(load(EMBEDDED, bits, 1), texts)
        full = found if bits is None else full
        print(f'| {"float32" if bits is None else f"{bits} bits"} | {found:.4f} | × {found / full:.4f} |', flush=True)
    for shape in shapes:
        folder = models.ensure(shape, models.default_folder())
        print(f'\n| shape {shape} | 1 sequence | 4 | 16 |\n|---|---|---|---|')
        baseline: list[float] = []
        for bits in BITS:
            loaded = load(folder, bits, 16)
            times = [step_ms(loaded, sequences) for sequences in (1, 4, 16)]
            baseline = baseline or times
            ratios = ' | '.join(f'{ms:.1f} ms (× {reference / ms:.2f})' for ms, reference in zip(times, baseline))
            print(f'| {"bfloat16" if bits is None else f"{bits} bits"} | {ratios} |', flush=True)
            loaded.runner.release()


if __name__ == '__main__':
    main()
