"""Brings a model into memory: from the catalog's entry to a runner and a tokenizer that work.

Safe loading: safetensors alone, no code from the model's folder, and no network once the files are there. Knows
transformers; knows nothing of requests. Runs on the engine thread.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from hf_adapters import CONFIG as ADAPTER_CONFIG
from hf_adapters import WEIGHTS as ADAPTER_WEIGHTS
from hf_adapters import read_adapter
from hf_device import Hardware, available_memory, choose_dtype, roomiest_gpu
from hf_download import fetch, fetch_files
from hf_progress import Report
from hf_runners import RunnerOptions, make_runner
from hf_tokenizer import HfTokenizer, SpecialIds

from sandle.catalog import CatalogEntry, Source
from sandle.checkpoint import Checkpoint, gib, inspect
from sandle.engine.runner import LoadedModel, LoadError
from sandle.memory import main_memory

logger = logging.getLogger(__name__)

FROM_FOLDER = {'local_files_only': True, 'trust_remote_code': False}
CONTEXT_KEYS = ('max_position_embeddings', 'n_positions', 'max_sequence_length', 'max_seq_len', 'seq_length', 'n_ctx')
DEFAULT_CONTEXT_TOKENS = 2048  # for models whose positions have no end, and whose configuration names none
HEADROOM = 1.1  # caches and activations beside the weights
MAX_CAUSE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded; as the options of serve-backend-hf.py. `device` is as `choose_device` returns it."""

    device: str = 'cpu'
    dtype: str = 'auto'
    offload_dir: Path | None = None
    bits: int | None = None  # of quantized weights, 8 or 4
    slots: int = 16
    max_context_tokens: int | None = None
    is_batch_invariant: bool = False


class HfLoader:
    """Implements `sandle.engine.runner.ModelLoader` for the models of a catalog."""

    def __init__(self, catalog: Iterable[CatalogEntry], options: LoadOptions, hardware: Hardware) -> None:
        self._catalog = {entry.id: entry for entry in catalog}
        self._options = options
        self._hardware = hardware
        library: Any = transformers  # Any: typed only in part
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()

    def load(self, model_id: str, report: Report) -> LoadedModel:
        """See ModelLoader.load. Raises LoadError."""
        entry = self._catalog[model_id]
        folder = entry.path
        if folder is None:
            assert entry.repo is not None, 'an entry has a path or a repo'
            folder = fetch(entry.repo, entry.revision, report)
        checkpoint = inspect(folder)
        adapters = {adapter.id: adapter_folder(adapter, report) for adapter in entry.adapters}
        try:
            return self._load(checkpoint, adapters, report)
        except LoadError:
            raise
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise LoadError(f'The model needs more memory than there is ({gib(checkpoint.stored_bytes)} of weights): '
                            'choose a smaller model, or give --offload-dir.') from error
        except Exception as error:  # an edge: what a library does with files it does not expect has no list
            logger.debug('loading %s failed', folder, exc_info=True)
            raise LoadError(f'{folder} cannot be loaded: {_cause(error)}') from error

    def _load(self, checkpoint: Checkpoint, adapter_folders: Mapping[str, Path], report: Report) -> LoadedModel:
        options = self._options
        config = transformers.AutoConfig.from_pretrained(checkpoint.folder, **FROM_FOLDER)
        # Never what the file says: it may name code on the Hub. The fast kernels leave out the capping of scores.
        caps_scores = getattr(config.get_text_config(decoder=True), 'attn_logit_softcapping', None)
        config._attn_implementation = 'eager' if caps_scores else None
        dtype = choose_dtype(options.dtype, options.device, self._hardware, checkpoint.parameters,
                             int(available_memory(options.device, self._hardware) / HEADROOM))
        is_quantized_by_library = options.bits is not None and options.device != 'cpu'  # on a CPU the runner does it
        bits = options.bits if options.bits is not None and is_quantized_by_library else 8 * dtype.itemsize
        size = checkpoint.parameters * bits // 8
        self._check_memory(size, dtype)
        placement = self._placement(size)
        report(f'loading {gib(size)} of weights')

        def read() -> Any:  # Any: transformers' models share no typed base
            auto_model: Any = transformers.AutoModelForCausalLM  # Any: its result depends on its arguments
            model, report_of_keys = auto_model.from_pretrained(
                checkpoint.folder, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True,
                **placement, **FROM_FOLDER)
            _check_keys(checkpoint.folder, report_of_keys)
            return model.eval()

        model = read()
        tokenizer = self._tokenizer(checkpoint.folder, model)
        context_length = context_tokens(config, options.max_context_tokens)
        logger.info('loaded %s: %.0f M parameters as %s on %s, context %d tokens', checkpoint.folder,
                    checkpoint.parameters / 1e6,
                    str(dtype).removeprefix('torch.') if options.bits is None else f'int{options.bits}',
                    options.device, context_length)
        adapters = tuple(read_adapter(name, folder, model) for name, folder in adapter_folders.items())
        report('preparing the weights')
        memory = int(available_memory(str(model.device), self._hardware))
        runner = make_runner(model, RunnerOptions(options.slots, context_length, memory, options.bits,
                                                  options.is_batch_invariant, adapters), read)
        return LoadedModel(runner, tokenizer, context_length)

    def _tokenizer(self, folder: Path, model: Any) -> HfTokenizer:  # Any: transformers' models share no typed base
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **FROM_FOLDER)
        except Exception as error:  # an edge: a library's own errors over a tokenizer's files have no list either
            raise LoadError(f"{folder}: the tokenizer cannot be loaded: {_cause(error)}") from error
        return HfTokenizer(tokenizer, special_ids(model, tokenizer))

    def _check_memory(self, size: int, dtype: torch.dtype) -> None:
        options = self._options
        if options.offload_dir is not None:
            return
        free = available_memory(options.device, self._hardware)
        if options.device == 'cuda':  # what the GPUs cannot hold goes to main memory
            free += main_memory()
        if size * HEADROOM > free:
            raise LoadError(f'The model needs {gib(int(size * HEADROOM))} of memory as '
                            f'{str(dtype).removeprefix("torch.")} and {gib(free)} are free: choose a smaller model, '
                            'or give --offload-dir.')

    def _placement(self, size: int) -> dict[str, Any]:  # Any: keyword arguments of a library without types
        """Returns the arguments that say where weights of so many bytes go."""
        options = self._options
        placement: dict[str, Any] = {}
        if options.bits is not None and options.device != 'cpu':
            library: Any = transformers
            placement['quantization_config'] = library.BitsAndBytesConfig(**{f'load_in_{options.bits}bit': True})
        if options.offload_dir is not None:
            placement['offload_folder'] = str(options.offload_dir)
        if options.device == 'cuda':
            gpu, free = roomiest_gpu(self._hardware)  # one is faster than several, where it is enough
            placement['device_map'] = {'': gpu} if options.bits is None and size * HEADROOM <= free else 'auto'
        elif options.offload_dir is not None and options.device == 'cpu':
            placement |= {'device_map': 'auto', 'max_memory': {'cpu': int(main_memory() / HEADROOM)}}
        else:
            placement['device_map'] = {'': options.device}
        return placement


def adapter_folder(adapter: Source, report: Report) -> Path:
    """Returns the folder with an adapter's files, after downloading what is missing. Raises LoadError."""
    if adapter.path is not None:
        return adapter.path
    assert adapter.repo is not None, 'files are at a path or in a repo'
    return fetch_files(adapter.repo, adapter.revision, (ADAPTER_CONFIG, ADAPTER_WEIGHTS), report)


def special_ids(model: Any, tokenizer: Any) -> SpecialIds:  # Any: transformers' classes share no typed base
    """Returns what begins and ends a text: by generation_config.json, else config.json, else the tokenizer."""
    config = model.config.get_text_config(decoder=True)
    vocab_size = int(model.get_input_embeddings().weight.shape[0])

    def find(name: str) -> list[int]:
        for source in (model.generation_config, config, tokenizer):
            value = getattr(source, name, None)
            ids = [token for token in (value if isinstance(value, list) else [value])
                   if isinstance(token, int) and 0 <= token < vocab_size]
            if ids:
                return ids
        return []

    bos = find('bos_token_id')
    return SpecialIds(vocab_size, eos=frozenset(find('eos_token_id')), bos=bos[0] if bos else None)


def context_tokens(config: Any, cap: int | None) -> int:  # Any: as above
    """Returns the most tokens that the model takes, and no more than the operator's cap."""
    text_config = config.get_text_config(decoder=True)
    known = [value for key in CONTEXT_KEYS if isinstance(value := getattr(text_config, key, None), int) and value > 0]
    length = known[0] if known else DEFAULT_CONTEXT_TOKENS
    return length if cap is None else min(length, cap)


def _check_keys(folder: Path, report: dict[str, Any]) -> None:
    """Refuses weights that do not fill the model: the library would fill the gaps with random numbers."""
    missing = sorted(map(str, report['missing_keys']))
    if missing:
        raise LoadError(f'{folder} lacks {len(missing)} weights ({missing[0]} …): the files are not whole, or not of '
                        'this architecture.')
    if report['unexpected_keys']:
        logger.warning('%s: %d weights of the files are not used', folder, len(report['unexpected_keys']))


def _cause(error: Exception) -> str:
    """Returns the first line of what an exception says."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= MAX_CAUSE_CHARACTERS else f'{line[:MAX_CAUSE_CHARACTERS]}…'
