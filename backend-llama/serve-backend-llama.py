"""Serves the API of a backend over one LLaMA-family model, by llama.cpp's kernels: quantized if wanted, on any machine.

LLAMA_DIR with MODEL_SIZE is a checkpoint as Meta distributes it: tokenizer.model, and a folder for each size (7B, 13B
...). LLAMA_DIR alone, or --model, is a folder in the Hugging Face format or a GGUF file. What is not GGUF is converted
once, and kept. With nothing at all it is the small model that is part of this repository.
"""

import pathlib
import sys
import time

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from llama_convert import FORMATS
from llama_library import Adapter
from llama_model import LlamaLoader, LoadOptions
from llama_sources import LORA, find
from sandle import endpoints, error_reports, log, management, options, server, tracing
from sandle.app import Lifecycle, create_app
from sandle.sampling_request import CompletionLimits
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.engine.loop import CAPABILITIES, EngineLoop, EngineOptions

SPARE_THREADS = 32  # for /health, model listing and refusals, beside one thread a request
PATH = click.Path(exists=True, path_type=pathlib.Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=pathlib.Path)


@click.command(context_settings=options.CONTEXT_SETTINGS, help=__doc__)
@click.argument('llama_dir', envvar='SANDLE_LLAMA_DIR', required=False, type=PATH)
@click.argument('model_size', envvar='SANDLE_LLAMA_MODEL_SIZE', required=False)
@options.server_options
@click.option('-m', '--model', 'model_path', type=PATH, envvar='SANDLE_LLAMA_MODEL',
              help='A GGUF file, or a folder in the Hugging Face format.')
@click.option('--model-id', default=None, show_default='by the name of its files',
              help='The id by which clients ask for the model.')
@click.option('-q', '--quantize', type=click.Choice(FORMATS), default=None, show_default='as it is stored',
              help='Number format of the weights: f16, q8_0 (half of that), q4_k_m (a third) …')
@click.option('--max-seq-len', type=click.IntRange(2), default=2048,
              help='Tokens that a prompt and its completion may have together, if the model takes as many.')
@click.option('--slots', type=click.IntRange(1, 256), default=16,
              help='Sequences worked on at once; fewer where memory does not hold as many.')
@click.option('--gpu-layers', type=click.IntRange(-1), default=0,
              help='Layers that a GPU computes, -1 for all; the library must be built for it.')
@click.option('--threads', type=click.IntRange(1), default=None, show_default='one a core',
              help='Processor threads that compute.')
@click.option('--lora', type=LORA, multiple=True, metavar='PATH[:SCALE]',
              help='A LoRA adapter in a GGUF file, and how strongly it is added (1); may be repeated.')
@click.option('--cache-dir', type=NEW_FOLDER, default=None, show_default='beside the model',
              help='Folder for converted files where the model\'s own cannot be written.')
@click.option('--max-batch-tokens', type=click.IntRange(1), default=512, help='Tokens of prompts a step.')
@click.option('--max-queue', type=click.IntRange(0, 4096), default=128,
              help='Sequences that may wait for their turn; beyond them a request gets a 503.')
@click.option('--max-sequences-per-request', type=click.IntRange(1), default=128,
              help='Prompts times n (or best_of) of one request at most.')
@click.option('--max-logprobs', type=click.IntRange(0), default=20, help='Largest value of logprobs in a request.')
def main(llama_dir: pathlib.Path | None, model_size: str | None, log_level: str, log_format: str,
         serving: server.ServerOptions, model_path: pathlib.Path | None, model_id: str | None, quantize: str | None,
         max_seq_len: int, slots: int, gpu_layers: int, threads: int | None, lora: tuple[Adapter, ...],
         cache_dir: pathlib.Path | None, max_batch_tokens: int, max_queue: int, max_sequences_per_request: int,
         max_logprobs: int) -> None:
    """Reads options, builds, serves. (The help text is the module's.)"""
    log.configure(log_level, log_format)
    error_reports.start('backend-llama')
    tracing.start('backend-llama')
    source, entry = find(llama_dir, model_size or None, model_path)
    info = ModelInfo(model_id or entry.id, entry.description, entry.owned_by, int(time.time()), ModelStatus.AVAILABLE,
                     CAPABILITIES)
    loader = LlamaLoader(source, LoadOptions(quantize, max_seq_len, slots, max_batch_tokens, gpu_layers, threads, lora,
                                             cache_dir))
    engine = EngineLoop([info], loader, info.id, EngineOptions(max_batch_tokens, max_queue))
    lifecycle = Lifecycle()
    app = create_app('backend-llama', lifecycle)
    endpoints.add_routes(app, engine, lifecycle, CompletionLimits(max_sequences_per_request, max_logprobs))
    management.add_routes(app, engine)
    server.serve(app, serving, slots + max_queue + SPARE_THREADS, lifecycle, engine.shutdown)


if __name__ == '__main__':
    main()
