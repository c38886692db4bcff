"""Serves the API of a backend over the LLaMA model in LLAMA_DIR/MODEL_SIZE. MODEL_SIZE is 7B, 13B, 30B or 65B.

This release cannot load LLaMA weights yet: the model is listed in error, and requests are answered with a 503 that says
so. backend-hf serves models of the same family in the Hugging Face format.
"""

import logging
import pathlib
import sys

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from llama_engine import UnableEngine, find_fault
from sandle import endpoints, error_reports, log, options, server, tracing
from sandle.app import Lifecycle, create_app
from sandle.catalog import read_catalog
from sandle.completions import CompletionLimits

logger = logging.getLogger('backend-llama')

MODELS_FILE = pathlib.Path(__file__).resolve().parent / 'models.json'
THREADS = 64
MODELS = {model.id.rpartition('-')[2]: model for model in read_catalog(MODELS_FILE)}


@click.command(context_settings=options.CONTEXT_SETTINGS, help=__doc__)
@click.argument('llama_dir', envvar='SANDLE_LLAMA_DIR',
                type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path))
@click.argument('model_size', envvar='SANDLE_LLAMA_MODEL_SIZE', metavar='MODEL_SIZE',
                type=click.Choice(tuple(MODELS)))
@options.server_options
@click.option('--max-seq-len', type=click.IntRange(2), default=512,
              help='Tokens that a prompt and its completion may have together.')
def main(llama_dir: pathlib.Path, model_size: str, log_level: str, log_format: str, serving: server.ServerOptions,
         max_seq_len: int) -> None:
    """Reads options, builds, serves. (The help text is the module's.)"""
    log.configure(log_level, log_format)
    error_reports.start('backend-llama')
    tracing.start('backend-llama')
    model = MODELS[model_size]
    engine = UnableEngine(model, max_seq_len, find_fault(llama_dir, model_size))
    logger.error('%s cannot be loaded: %s', model.id, engine.cause)
    lifecycle = Lifecycle()
    app = create_app('backend-llama', lifecycle)
    endpoints.add_routes(app, engine, lifecycle, CompletionLimits())
    server.serve(app, serving, THREADS, lifecycle, engine.shutdown)


if __name__ == '__main__':
    main()
