"""Brings a model into memory: a GGUF file, converted before if need be, to a runner and a tokenizer that work.

Knows llama.cpp's objects; knows nothing of requests. Runs on the engine thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from llama_convert import Source, to_gguf
from llama_library import Adapter, Model, load_library
from llama_runner import LlamaRunner, RunnerOptions
from llama_tokenizer import LlamaTokenizer

from sandle.engine.runner import LoadedModel, LoadError
from sandle.engine.scheduler import largest_step
from sandle.memory import main_memory
from sandle.units import gib

Report = Callable[[str], None]
LEAST_CONTEXT_TOKENS = 64
SPARE_SHARE = 0.1  # of the memory that is free, for what is neither weights nor cache


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How the model is loaded; as the options of serve-backend-llama.py."""

    quantize: str | None = None
    max_seq_len: int | None = None
    slots: int = 16
    max_batch_tokens: int = 512
    gpu_layers: int = 0
    threads: int | None = None
    adapters: Sequence[Adapter] = ()
    cache_dir: Path | None = None


class LlamaLoader:
    """Implements `sandle.engine.runner.ModelLoader` for one model."""

    def __init__(self, source: Source, options: LoadOptions) -> None:
        self._source = source
        self._options = options

    def load(self, model_id: str, report: Report) -> LoadedModel:
        """See ModelLoader.load. Raises LoadError."""
        options = self._options
        library = load_library()
        path = to_gguf(library, self._source, options.quantize, options.cache_dir, report)
        report(f'loading {gib(path.stat().st_size)} of weights')
        _check_memory(path)
        model = Model(library, path, options.gpu_layers)
        try:
            context_length = min(options.max_seq_len or model.context_length, model.context_length)
            slots = options.slots if options.gpu_layers else _affordable_slots(model, options.slots, context_length)
            runner = LlamaRunner(model, RunnerOptions(
                slots, context_length, largest_step(options.max_batch_tokens, slots),
                options.threads or torch.get_num_threads(), options.adapters))  # torch counts the cores
            tokenizer = LlamaTokenizer(Model(library, path, vocabulary_only=True))
        except BaseException:  # whatever it is: the weights are not to stay
            model.free()
            raise
        return LoadedModel(runner, tokenizer, context_length)


def _check_memory(path: Path) -> None:
    free, size = main_memory(), path.stat().st_size
    if size > free:
        raise LoadError(f'The weights need {gib(size)} of memory and {gib(free)} are free: give a smaller --quantize.')


def _affordable_slots(model: Model, wanted: int, context_length: int) -> int:
    """Returns how many slots of the whole context fit into memory, as many as wanted at most. Raises LoadError."""
    free = main_memory() * (1 - SPARE_SHARE)
    slots = min(wanted, int(free / (model.kv_bytes_per_token * context_length)))
    if slots < 1:
        raise LoadError(f'A context of {context_length} tokens needs {gib(model.kv_bytes_per_token * context_length)} '
                        f'of memory and {gib(int(free))} are free: give a smaller --max-seq-len.')
    return slots
