"""Makes the model sandle-tiny anew: corpus, tokenizer, training, test prompts, held-out text. See README.md."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import click  # noqa: E402

from sandle_tiny.corpus import Corpus  # noqa: E402
from sandle_tiny.report import measure, write_tests  # noqa: E402
from sandle_tiny.training import Plan, train  # noqa: E402
from sandle_tiny.vocabulary import save_tokenizer, train_tokenizer  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


@click.command()
@click.option(
    '--steps',
    'steps_by_stage',
    nargs=5,
    type=int,
    default=(1800, 800, 2600, 2400, 900),
    show_default=True,
    help='Training steps of 4,096 tokens in each of the five stages.',
)
@click.option(
    '--out',
    'folder',
    default=str(HERE),
    show_default='this folder',
    type=click.Path(path_type=pathlib.Path),
    help='Folder that the model is written to.',
)
@click.option('--workers', default=2, show_default=True, help='Processes that train together, one a core.')
@click.option('--snapshot-every', default=0, show_default=True, help='Steps between weights saved on the way; 0: none.')
def main(steps_by_stage: tuple[int, ...], folder: pathlib.Path, workers: int, snapshot_every: int) -> None:
    """Make the model sandle-tiny from a fixed seed, on the CPU."""
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    folder.mkdir(parents=True, exist_ok=True)
    corpus, first = Corpus(), Plan(steps_by_stage[0], workers=workers, snapshot_every=snapshot_every)
    sample = itertools.chain(
        itertools.islice(corpus.docs(first.seed + 2), 60_000), itertools.islice(corpus.long_docs(first.seed + 3), 500)
    )
    save_tokenizer(train_tokenizer(doc.text for doc in sample), folder)
    write_tests(corpus, first, folder)
    started = time.monotonic()
    for index, steps in enumerate(steps_by_stage):
        train(dataclasses.replace(first, steps=steps, seed=first.seed + 100 * index, stage=index + 1), folder)
    quality = measure(folder, sum(steps_by_stage), (time.monotonic() - started) / 60)
    click.echo(json.dumps(quality, indent=2))


if __name__ == '__main__':
    main()
