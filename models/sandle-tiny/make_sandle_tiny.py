"""Makes the model sandle-tiny anew: corpus, tokenizer, training, test prompts, held-out text. See README.md."""

from __future__ import annotations

import itertools
import json
import logging
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import click

from sandle_tiny.corpus import Corpus
from sandle_tiny.report import measure, write_tests
from sandle_tiny.training import Plan, train
from sandle_tiny.vocabulary import save_tokenizer, train_tokenizer

HERE = pathlib.Path(__file__).resolve().parent


@click.command()
@click.option('--steps', default=14_000, show_default=True, help='Training steps of 4,096 tokens.')
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
def main(steps: int, folder: pathlib.Path, workers: int, snapshot_every: int) -> None:
    """Make the model sandle-tiny from a fixed seed, on the CPU."""
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    folder.mkdir(parents=True, exist_ok=True)
    corpus, plan = Corpus(), Plan(steps, workers=workers, snapshot_every=snapshot_every)
    sample = itertools.chain(
        itertools.islice(corpus.docs(plan.seed + 2), 60_000), itertools.islice(corpus.long_docs(plan.seed + 3), 500)
    )
    save_tokenizer(train_tokenizer(doc.text for doc in sample), folder)
    write_tests(corpus, plan, folder)
    started = time.monotonic()
    train(plan, folder)
    quality = measure(folder, steps, (time.monotonic() - started) / 60)
    click.echo(json.dumps(quality, indent=2))


if __name__ == '__main__':
    main()
