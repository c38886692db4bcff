"""Brings a model into memory: from the catalog's entry to a runner and a tokenizer that work.

Safe loading: safetensors alone, no network once the files are there, and no code from the model's folder unless its
entry trusts it. Knows transformers; knows nothing of requests. Runs on the engine thread.
"""

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from hf_adapters import read_adapter
from hf_device import HEADROOM, Hardware, available_memory, choose_dtype, roomiest_gpu
from hf_files import ModelFiles, find_files
from hf_forecast import forecast, loaded_bytes
from hf_load_options import LoadOptions, for_entry, override
from hf_runners import RunnerOptions, make_runner
from hf_stored import Stored, check_stored, count_parameters, peak_bytes, read_stored
from hf_tokenizer import HfTokenizer, SpecialIds

from sandle.catalog import CatalogEntry
from sandle.checkpoint import Checkpoint
from sandle.engine.runner import LoadedModel, LoadError, Report
from sandle.memory import main_memory
from sandle.units import gib

logger = logging.getLogger(__name__)

ONE_AT_A_TIME = threading.Lock()  # transformers changes its own classes while it reads weights, for every thread

FROM_FOLDER = {'local_files_only': True, 'trust_remote_code': False}
TRUSTED = {'local_files_only': True, 'trust_remote_code': True}
CONTEXT_KEYS = ('max_position_embeddings', 'n_positions', 'max_sequence_length', 'max_seq_len', 'seq_length', 'n_ctx')
DEFAULT_CONTEXT_TOKENS = 2048  # for models whose positions have no end, and whose configuration names none
MAX_CAUSE_CHARACTERS = 300


class HfLoader:
    """Implements `sandle.engine.runner.ModelLoader` for the models of a catalog."""

    def __init__(self, catalog: Iterable[CatalogEntry], options: LoadOptions, hardware: Hardware) -> None:
        self._catalog = {entry.id: entry for entry in catalog}
        self._options = options
        self._hardware = hardware
        quiet_library()

    def load(self, model_id: str, report: Report) -> LoadedModel:
        """See ModelLoader.load. Raises LoadError."""
        entry = self._catalog[model_id]
        options = for_entry(self._options, entry, self._hardware)
        files = find_files(entry, report, lambda weights: self._check_memory(
            options, *forecast(weights, options, self._hardware)))
        found = files.checkpoint
        with told_in_a_line(found.folder, found.stored_bytes, 'choose a smaller model, or give --offload-dir'):
            return self._load(entry, files, options, report)

    def _load(self, entry: CatalogEntry, files: ModelFiles, options: LoadOptions, report: Report) -> LoadedModel:
        checkpoint, from_folder = files.checkpoint, TRUSTED if entry.trust_remote_code else FROM_FOLDER
        check_stored(checkpoint.quantization, entry.quantization, options.device)
        if checkpoint.quantization is not None and options.device != 'cpu':
            options = dataclasses.replace(options, bits=None)  # it cannot be done twice
        config = transformers.AutoConfig.from_pretrained(checkpoint.folder, **from_folder)
        stored = read_stored(checkpoint, config, entry.quantization, options.device)
        override(config, entry.config)
        # Never what the file says: it may name code on the Hub. The fast kernels leave out the capping of scores.
        caps_scores = getattr(config.get_text_config(decoder=True), 'attn_logit_softcapping', None)
        config._attn_implementation = 'eager' if caps_scores else None
        has_encoder = bool(config.is_encoder_decoder)
        library: Any = transformers  # Any: what it returns depends on its arguments
        auto_model = library.AutoModelForSeq2SeqLM if has_encoder else library.AutoModelForCausalLM
        parameters = (checkpoint.parameters if checkpoint.quantization is None else
                      count_parameters(auto_model, config, entry.trust_remote_code))
        dtype = choose_dtype(options.dtype, options.device, self._hardware, parameters,
                             int(available_memory(options.device, self._hardware) / HEADROOM))
        size = _size(checkpoint, stored, parameters, options, dtype)
        self._check_memory(options, size, dtype)
        placement = self._placement(options, size) | stored.arguments
        report(f'loading {gib(size)} of weights')

        def read() -> Any:  # Any: transformers' models share no typed base
            with ONE_AT_A_TIME:
                model, report_of_keys = auto_model.from_pretrained(
                    checkpoint.folder, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True,
                    **placement, **from_folder)
                if stored.is_made_dense and model.is_quantized:
                    model = model.dequantize(dtype)
            _check_keys(checkpoint, report_of_keys)
            return model.eval()

        model = read()
        tokenizer = _tokenizer(files.tokenizer, model, from_folder)
        context_length = context_tokens(config, options.max_context_tokens)
        bits = options.bits or stored.bits
        logger.info('loaded %s: %.0f M parameters as %s on %s, context %d tokens', checkpoint.folder, parameters / 1e6,
                    str(dtype).removeprefix('torch.') if bits is None else f'int{bits}', options.device, context_length)
        adapters = tuple(read_adapter(name, folder, model) for name, folder in files.adapters.items())
        report('preparing the weights')
        memory = int(available_memory(str(model.device), self._hardware))
        runner = make_runner(model, RunnerOptions(options.slots, context_length, memory, options.bits,
                                                  options.is_batch_invariant, adapters, stored.bits), read)
        return LoadedModel(runner, tokenizer, context_length, has_encoder,
                           strips_first_space=has_encoder and tokenizer.strips_first_space)

    def _check_memory(self, options: LoadOptions, size: int, dtype: torch.dtype) -> None:
        if options.offload_dir is not None:
            return
        free = available_memory(options.device, self._hardware)
        if options.device == 'cuda':  # what the GPUs cannot hold goes to main memory
            free += main_memory()
        if size * HEADROOM > free:
            raise LoadError(f'The model needs {gib(int(size * HEADROOM))} of memory as '
                            f'{str(dtype).removeprefix("torch.")} and {gib(free)} are free: choose a smaller model, '
                            'or give --offload-dir.')

    def _placement(self, options: LoadOptions, size: int) -> dict[str, Any]:  # Any: arguments of an untyped library
        """Returns the arguments that say where weights of so many bytes go."""
        placement: dict[str, Any] = {}
        if options.bits is not None and options.device != 'cpu':
            library: Any = transformers
            placement['quantization_config'] = library.BitsAndBytesConfig(**{f'load_in_{options.bits}bit': True})
        if options.offload_dir is not None:
            placement['offload_folder'] = str(options.offload_dir)
        if options.device_map is not None:
            placement['device_map'] = options.device_map
        elif options.device == 'cuda':
            gpu, free = roomiest_gpu(self._hardware)  # one is faster than several, where it is enough
            placement['device_map'] = {'': gpu} if options.bits is None and size * HEADROOM <= free else 'auto'
        elif options.offload_dir is not None and options.device == 'cpu':
            placement |= {'device_map': 'auto', 'max_memory': {'cpu': int(main_memory() / HEADROOM)}}
        else:
            placement['device_map'] = {'': options.device}
        return placement


def _size(checkpoint: Checkpoint, stored: Stored, parameters: int, options: LoadOptions, dtype: torch.dtype) -> int:
    """Returns the most bytes that a model's weights take while they are loaded."""
    if checkpoint.quantization is not None:
        return (peak_bytes(stored, checkpoint.stored_bytes, parameters, dtype, options.bits or stored.bits)
                if options.device == 'cpu' else checkpoint.stored_bytes)
    return loaded_bytes(parameters, options, dtype)


def _tokenizer(folder: Path, model: Any, from_folder: dict[str, bool]) -> HfTokenizer:  # Any: as below
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **from_folder)
    except Exception as error:  # an edge: what a library raises over a tokenizer's files has no list
        raise LoadError(f"{folder}: the tokenizer cannot be loaded: {cause_of(error)}") from error
    return HfTokenizer(tokenizer, special_ids(model, tokenizer))


def quiet_library() -> None:
    """Keeps transformers' own messages and progress bars out of the log."""
    library: Any = transformers  # Any: typed only in part
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()


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


def _check_keys(checkpoint: Checkpoint, report: dict[str, Any]) -> None:
    """Refuses weights that do not fill the model: the library would fill the gaps with random numbers.

    And quantized ones of which some are not used: scales that a library put elsewhere in the model, for example.
    """
    folder, unused = checkpoint.folder, sorted(map(str, report['unexpected_keys']))
    missing = sorted(map(str, report['missing_keys']))
    if missing:
        raise LoadError(f'{folder} lacks {len(missing)} weights ({missing[0]} …): the files are not whole, or not of '
                        'this architecture.')
    if unused and checkpoint.quantization is not None:
        raise LoadError(f'{folder} is quantized and has {len(unused)} weights that are not known here ({unused[0]} …): '
                        'use the unquantized model.')
    if unused:
        logger.warning('%s: %d weights of the files are not used', folder, len(unused))


@contextlib.contextmanager
def told_in_a_line(folder: Path, stored_bytes: int, advice: str) -> Iterator[None]:
    """Makes whatever goes wrong while the model of a folder is loaded a LoadError. `advice`: if memory is short."""
    try:
        yield
    except LoadError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise LoadError(f'The model needs more memory than there is ({gib(stored_bytes)} of weights): '
                        f'{advice}.') from error
    except Exception as error:  # an edge: what a library does with files it does not expect has no list
        logger.debug('loading %s failed', folder, exc_info=True)
        raise LoadError(f'{folder} cannot be loaded: {cause_of(error)}') from error


def cause_of(error: Exception) -> str:
    """Returns the first line of what an exception says."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= MAX_CAUSE_CHARACTERS else f'{line[:MAX_CAUSE_CHARACTERS]}…'
