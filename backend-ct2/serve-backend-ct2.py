"""Serves the API of a backend over models in CTranslate2's format, with an encoder or without, on CPUs.

CT2_DIR is a folder that ct2-transformers-converter or another of its converters has written, with the model's
tokenizer.json or SentencePiece file beside; or a folder of such folders, of which one at a time is in memory. Without
it the small model that is part of this repository is served.
"""

import os
import pathlib
import sys
import time

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from ct2_model import Ct2Loader, LoadOptions, capabilities_of
from ct2_sources import find
from ct2_steps import BatchOptions
from sandle import endpoints, error_reports, log, management, options, server, tracing
from sandle.app import Lifecycle, create_app
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.engine.loop import EngineLoop, EngineOptions
from sandle.sampling_request import CompletionLimits

SPARE_THREADS = 32  # for /health, model listing and refusals, beside one thread a request


@click.command(context_settings=options.CONTEXT_SETTINGS, help=__doc__)
@click.argument('ct2_dir', envvar='SANDLE_CT2_DIR', required=False,
                type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path))
@options.server_options
@click.option('--model-id', default=None, show_default="by its folder's name",
              help='The id by which clients ask for the model; of several models, the one to begin with.')
@click.option('--compute-type', type=click.Choice(['int8', 'int16', 'float32', 'default']), default='int8',
              help='Number format in which weights are kept and multiplied; default: that of the files.')
@click.option('--max-seq-len', type=click.IntRange(2), default=2048,
              help='Tokens of a prompt and its completion together, or of each where the model has an encoder, if the '
                   'model takes as many.')
@click.option('--batches', type=click.IntRange(1, 64), default=2,
              help='Batches that run side by side. What comes while all run waits until one has ended.')
@click.option('--max-batch-size', type=click.IntRange(1, 1024), default=16, help='Sequences of one batch at most.')
@click.option('--threads', type=click.IntRange(1), default=None, show_default='one a core, shared among the batches',
              help='Processor threads that compute for one batch.')
@click.option('--max-queue', type=click.IntRange(0, 4096), default=128,
              help='Sequences that may wait for their turn; beyond them a request gets a 503.')
@click.option('--max-sequences-per-request', type=click.IntRange(1), default=128,
              help='Prompts times n (or best_of) of one request at most.')
@click.option('--max-logprobs', type=click.IntRange(0), default=20, help='Largest value of logprobs in a request.')
def main(ct2_dir: pathlib.Path | None, log_level: str, log_format: str, serving: server.ServerOptions,
         model_id: str | None, compute_type: str, max_seq_len: int, batches: int, max_batch_size: int,
         threads: int | None, max_queue: int, max_sequences_per_request: int, max_logprobs: int) -> None:
    """Reads options, builds, serves. (The help text is the module's.)"""
    log.configure(log_level, log_format)
    error_reports.start('backend-ct2')
    tracing.start('backend-ct2')
    checkpoints = find(ct2_dir, model_id)
    started = int(time.time())
    infos = [ModelInfo(name, name, 'local', started, ModelStatus.AVAILABLE, capabilities_of(checkpoint))
             for name, checkpoint in checkpoints.items()]
    threads = threads or max(1, (os.cpu_count() or 1) // batches)
    batching = BatchOptions(batches, max_batch_size)
    loader = Ct2Loader(checkpoints, LoadOptions(compute_type, max_seq_len, threads, batching))
    engine = EngineLoop(infos, loader, infos[0].id, EngineOptions(max_queue=max_queue))
    lifecycle = Lifecycle()
    app = create_app('backend-ct2', lifecycle)
    endpoints.add_routes(app, engine, lifecycle, CompletionLimits(max_sequences_per_request, max_logprobs))
    management.add_routes(app, engine)
    server.serve(app, serving, batches * max_batch_size + max_queue + SPARE_THREADS, lifecycle, engine.shutdown)


if __name__ == '__main__':
    main()
