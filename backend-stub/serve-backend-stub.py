"""Serves the API of a backend without a language model: the same answer to every prompt. For tests."""

import pathlib
import sys

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from sandle import endpoints, error_reports, log, options, server, tracing
from sandle.app import Lifecycle, create_app
from sandle.catalog import CatalogEntry, CatalogError, read_catalog
from sandle.embedder import Embedder
from sandle.engine.engine import Engine
from sandle.engine_with_embedder import EngineWithEmbedder
from sandle.sampling_request import CompletionLimits
from stub_embedder import StubEmbedder
from stub_engine import StubEngine, StubOptions

MODELS_FILE = pathlib.Path(__file__).resolve().parent / 'models.json'


def read_models(path: pathlib.Path) -> tuple[CatalogEntry, ...]:
    """Returns the models that a file lists. Raises click.BadParameter."""
    try:
        return read_catalog(path)
    except CatalogError as error:
        raise click.BadParameter(str(error), param_hint='--models-file') from None


@click.command(context_settings=options.CONTEXT_SETTINGS, help=__doc__)
@options.server_options
@click.option('--text', default=' world!', help='The answer to every prompt.')
@click.option('--num-tokens', type=click.IntRange(0), default=None, show_default="the answer's own",
              help='Tokens of the answer, which is repeated or cut to that length.')
@click.option('--first-token-delay-s', type=options.Seconds(), default=0.0, help='Seconds before the first token.')
@click.option('--token-delay-s', type=options.Seconds(), default=0.0, help='Seconds between tokens.')
@click.option('--models-file', type=click.Path(path_type=pathlib.Path), default=MODELS_FILE, show_default='models.json',
              help='JSON file with the models on offer: an array of {id, owned_by, description}.')
@click.option('-m', '--model', multiple=True,
              help='Offer this model id in place of those of the file; may be given several times.')
@click.option('--embedding-model', default=None, help='Offer this model id for embeddings as well.')
@click.option('--context-length', type=click.IntRange(1), default=4096,
              help='Tokens that a prompt and its completion may have together.')
@click.option('--threads', type=click.IntRange(1), default=576,
              help='Threads for requests: one each, a stream holding its own to the end.')
@click.option('--max-running', type=click.IntRange(1), default=512,
              help='Requests served at once; the next one gets a 503. Keep it below --threads.')
@click.option('--max-sequences-per-request', type=click.IntRange(1), default=128,
              help='Prompts times n (or best_of) of one request at most.')
@click.option('--max-logprobs', type=click.IntRange(0, 100), default=20, help='Largest value of logprobs in a request.')
@click.option('--faults', is_flag=True, help='Let prompts that begin with "!fault", and POST /faults, make things go '
                                             'wrong on command (see stub_faults.py). For tests only.')
def main(log_level: str, log_format: str, serving: server.ServerOptions, text: str,
         num_tokens: int | None, first_token_delay_s: float, token_delay_s: float, models_file: pathlib.Path,
         model: tuple[str, ...], embedding_model: str | None, context_length: int, threads: int, max_running: int,
         max_sequences_per_request: int, max_logprobs: int, faults: bool) -> None:
    """Reads options, builds, serves. (The help text is the module's.)"""
    log.configure(log_level, log_format)
    error_reports.start('backend-stub')
    tracing.start('backend-stub')
    if max_running >= threads:
        raise click.BadParameter('must be less than --threads', param_hint='--max-running')
    stub_options = StubOptions(text, num_tokens, first_token_delay_s, token_delay_s, context_length, max_running)
    models = tuple(CatalogEntry(name, name, 'sandle') for name in model) or read_models(models_file)
    stub = StubEngine(models, stub_options)
    engine: Engine = stub
    lifecycle = Lifecycle()
    app = create_app('backend-stub', lifecycle)
    if faults:
        from stub_fault_routes import add_faults, exchange
        from stub_faults import FaultyEngine
        add_faults(app, stub, lifecycle)
        engine = FaultyEngine(stub, stub_options, exchange)
    embedder: Embedder | None = None
    if embedding_model is not None:
        embedder = StubEmbedder(embedding_model, context_length)
        engine = EngineWithEmbedder(engine, embedder)
    endpoints.add_routes(app, engine, lifecycle, CompletionLimits(max_sequences_per_request, max_logprobs), embedder)
    server.serve(app, serving, threads, lifecycle, engine.shutdown)


if __name__ == '__main__':
    main()
