"""Serves the API of a backend over HuggingFace models: one in memory, the others loaded when they are asked for.

With no option at all it serves the models of models.json and begins with the first of them, a small one that is part
of this repository and needs neither a GPU nor a network.
"""

import pathlib
import sys

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import hf_device
import hf_download
from hf_embedding_loop import EmbeddingLoop, EmbeddingOptions
from hf_load_options import LoadOptions
from hf_loaders import make_loaders
from hf_offers import OfferOptions, download, model_infos, read_offered
from sandle import embedder as embedding
from sandle import endpoints, error_reports, log, management, options, server, tracing
from sandle.app import Lifecycle, create_app
from sandle.sampling_request import CompletionLimits
from sandle.engine.engine import Engine
from sandle.engine.loop import CAPABILITIES, EngineLoop, EngineOptions
from sandle.engine_with_embedder import EngineWithEmbedder

MODELS_FILE = pathlib.Path(__file__).resolve().parent / 'models.json'
SPARE_THREADS = 32  # for /health, model listing and refusals, beside one thread a request


@click.command(context_settings=options.CONTEXT_SETTINGS, help=__doc__)
@options.server_options
@click.option('-m', '--single-model', '--preload-model', 'single_model', default=None,
              envvar=['SANDLE_SINGLE_MODEL', 'SANDLE_PRELOAD_MODEL'],
              show_default='the first of --models-file',
              help='Offer and load only this model: an id of --models-file, a folder, or a name on the Hub.')
@click.option('--embedding-model', default=None, show_default='the "embedding" entries of --models-file',
              help='Offer and load this model for embeddings as well: an id of --models-file, a folder, or a name on '
                   'the Hub.')
@click.option('--embeddings-only', is_flag=True, help='Offer embedding models and no others.')
@click.option('--models-file', type=click.Path(path_type=pathlib.Path), default=MODELS_FILE,
              show_default='models.json', help='JSON file with the models on offer; the first one is loaded at start.')
@click.option('-d', '--offload-dir', type=click.Path(path_type=pathlib.Path), default=None,
              help='Folder for the weights that do not fit into memory; made if it is not there.')
@click.option('-8', '--load-in-8bit', is_flag=True, help='Load weights as 8-bit integers.')
@click.option('-4', '--load-in-4bit', is_flag=True, help='Load weights as 4-bit integers: the least memory.')
@click.option('--dtype', type=click.Choice(['auto', *hf_device.DTYPES]), default='auto',
              help='Number format of the weights; auto chooses by device, hardware and size of the model.')
@click.option('--device', default='auto', metavar='auto|cpu|cuda|cuda:N|mps',
              help='Where the model runs; auto prefers GPUs, cuda uses as many as it needs.')
@click.option('--offline', is_flag=True, help='Never ask the Hub: only models whose files are here can be loaded.')
@click.option('--download-only', is_flag=True,
              help='Fetch and check the files of the models on offer (of --single-model, if given), and end.')
@click.option('--max-batch-size', type=click.IntRange(1, 1024), default=16, help='Sequences worked on at once.')
@click.option('--max-batch-tokens', type=click.IntRange(1), default=256, help='Tokens of prompts a step.')
@click.option('--max-queue', type=click.IntRange(0, 4096), default=512,
              help='Sequences that may wait for their turn; beyond them a request gets a 503.')
@click.option('--max-embedding-tokens', type=click.IntRange(1), default=4096,
              help='Tokens of texts computed together for embeddings, padding included; one text may have more.')
@click.option('--max-embedding-queue', type=click.IntRange(0), default=8192,
              help='Texts that may wait for their embeddings; beyond them a request gets a 503.')
@click.option('--max-context-tokens', type=click.IntRange(2), default=None, show_default="the model's own",
              help='Tokens that a prompt and its completion may have together, if fewer than the model takes.')
@click.option('--batch-invariant', is_flag=True,
              help="Let a sequence's numbers depend on no other to the last bit: free on a CPU as a rule, else slow.")
@click.option('--max-sequences-per-request', type=click.IntRange(1), default=128,
              help='Prompts times n (or best_of) of one request at most.')
@click.option('--max-logprobs', type=click.IntRange(0), default=20, help='Largest value of logprobs in a request.')
def main(log_level: str, log_format: str, serving: server.ServerOptions, single_model: str | None,
         embedding_model: str | None, embeddings_only: bool, models_file: pathlib.Path,
         offload_dir: pathlib.Path | None, load_in_8bit: bool, load_in_4bit: bool, dtype: str, device: str,
         offline: bool, download_only: bool, max_batch_size: int, max_batch_tokens: int, max_queue: int,
         max_embedding_tokens: int, max_embedding_queue: int, max_context_tokens: int | None, batch_invariant: bool,
         max_sequences_per_request: int, max_logprobs: int) -> None:
    """Reads options, builds, serves. (The help text is the module's.)"""
    log.configure(log_level, log_format)
    error_reports.start('backend-hf')
    tracing.start('backend-hf')
    if offline:
        hf_download.go_offline()
    offered = read_offered(OfferOptions(models_file, single_model, embedding_model, embeddings_only))
    if download_only:
        download((*offered.completions, *offered.embeddings))
        return
    if load_in_8bit and load_in_4bit:
        raise click.UsageError('--load-in-8bit and --load-in-4bit exclude each other.')
    bits = 8 if load_in_8bit else 4 if load_in_4bit else None
    if bits is not None and offload_dir is not None:
        raise click.UsageError(f'--load-in-{bits}bit and --offload-dir exclude each other.')
    loader, embedding_loader = make_loaders(offered, LoadOptions(
        device, dtype, offload_dir, bits, max_batch_size, max_context_tokens, batch_invariant))
    managers: list[management.ModelManager] = []
    engine: Engine | None = None
    if infos := model_infos(offered.completions, CAPABILITIES):
        engine = loop = EngineLoop(infos, loader, infos[0].id, EngineOptions(max_batch_tokens, max_queue))
        managers.append(loop)
    embedder: EmbeddingLoop | None = None
    if infos := model_infos(offered.embeddings, embedding.CAPABILITIES):
        embedder = EmbeddingLoop(infos, embedding_loader, infos[0].id,
                                 EmbeddingOptions(max_embedding_tokens, max_embedding_queue))
        engine = EngineWithEmbedder(engine, embedder)
        managers.append(embedder)
    assert engine is not None, 'one model at least is offered'
    lifecycle = Lifecycle()
    app = create_app('backend-hf', lifecycle)
    endpoints.add_routes(app, engine, lifecycle, CompletionLimits(max_sequences_per_request, max_logprobs), embedder)
    management.add_routes(app, *managers)
    server.serve(app, serving, max_batch_size + max_queue + SPARE_THREADS, lifecycle, engine.shutdown)


if __name__ == '__main__':
    main()
