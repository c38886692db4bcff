"""From whatever a model comes in to a GGUF file that llama.cpp loads, made once and kept. Knows files; no requests."""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llama_gguf
import llama_hf_folder
import llama_meta_folder
import torch
from llama_library import Library
from llama_weights import Weights

from sandle.engine.runner import LoadError
from sandle.units import gib

logger = logging.getLogger(__name__)

Report = Callable[[str], None]
SMALL_PARAMETERS = 50_000_000  # as in backend-hf
CONVERTER = 'sandle 2'  # another number makes every file anew
PLAIN = {'f32': torch.float32, 'f16': torch.float16, 'bf16': torch.bfloat16}
# llama_ftype's numbers, and bits a weight with their scales.
QUANTIZED = {'q8_0': (7, 8.5), 'q6_k': (18, 6.6), 'q5_k_m': (17, 5.7), 'q5_0': (8, 5.5), 'q4_k_m': (15, 4.9),
             'q4_0': (2, 4.6), 'q3_k_m': (12, 3.9), 'q2_k': (10, 3.2)}
PLAIN_NUMBERS = {'f32': (0, 32.0), 'f16': (1, 16.0), 'bf16': (32, 16.0)}
FORMATS = (*PLAIN, *QUANTIZED)


@dataclass(frozen=True, slots=True)
class Source:
    """A model's files. `model_size` is a subfolder of Meta's; `path` is a file or a folder."""

    path: Path
    model_size: str | None = None

    def files(self) -> list[Path]:
        """Returns what is read of it."""
        if self.path.is_file():
            return [self.path]
        folder = self.path if self.model_size is None else self.path / self.model_size
        return [*sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != '.gguf'),
                *self.path.glob('tokenizer.model')]

    def read(self) -> Weights:
        """Returns the model. Raises LoadError."""
        if self.model_size is not None:
            return llama_meta_folder.read(self.path, self.model_size)
        return llama_hf_folder.read(self.path)


def to_gguf(library: Library, source: Source, wanted: str | None, cache_dir: Path | None, report: Report) -> Path:
    """Returns a GGUF file of a model, in the number format wanted or else in that of its files. Raises LoadError."""
    is_gguf = source.path.is_file()
    if is_gguf and wanted is None:
        return source.path
    try:
        kept = _kept(source, wanted or 'plain', cache_dir)
        if kept.exists():
            return kept
        if is_gguf:
            parameters = source.path.stat().st_size // 2  # it has 16 bits as a rule, and is only to be guessed
            return _quantize(library, source.path, kept, _known(wanted), parameters, report)
        weights = source.read()
        plain = _kept(source, 'plain', cache_dir) if wanted in QUANTIZED else kept
        was_kept = plain.exists()
        if not was_kept:
            dtype = PLAIN[wanted] if wanted in PLAIN else _natural_dtype(weights)
            _check_disk(kept.parent, weights.parameters * dtype.itemsize)
            llama_gguf.write(weights, plain, dtype, report)
        if plain == kept:
            return kept
        made = _quantize(library, plain, kept, _known(wanted), weights.parameters, report)
        if not was_kept:
            plain.unlink()
        return made
    except OSError as error:
        raise LoadError(f'{source.path} cannot be converted: {error.strerror} ({error.filename}).') from error


def _known(wanted: str | None) -> str:
    assert wanted is not None, 'a GGUF file is used as it is unless another format is wanted'
    return wanted


def _natural_dtype(weights: Weights) -> torch.dtype:
    """Returns float32 for a small model, where it costs nothing, and for others the format that the files have."""
    if weights.parameters < SMALL_PARAMETERS:
        return torch.float32
    dtype = next(tensor.dtype for _, tensor in weights.tensors() if tensor.dim() > 1)
    return dtype if dtype in PLAIN.values() else torch.float32


def _kept(source: Source, form: str, cache_dir: Path | None) -> Path:
    """Returns where the file is kept: beside the model, or in the cache's folder where that cannot be written.

    Its name tells what it was made from, so that files that have changed are converted anew.
    """
    state = '\n'.join(f'{file.name} {(stat := file.stat()).st_size} {stat.st_mtime_ns}' for file in source.files())
    digest = hashlib.sha256(f'{CONVERTER}\n{state}'.encode()).hexdigest()[:16]
    beside = source.path.parent if source.path.is_file() else source.path / (source.model_size or '')
    name = f'{beside.name if source.path.is_dir() else source.path.stem}-{form}-{digest}.gguf'
    folder = beside
    if cache_dir is not None and (not os.access(beside, os.W_OK) or (cache_dir / name).exists()):
        folder = cache_dir
        folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _check_disk(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise LoadError(f'The conversion needs {gib(size)} on the disk of {folder}, where {gib(free)} are free: make '
                        'room, or give another --cache-dir.')


def _quantize(library: Library, plain: Path, kept: Path, wanted: str, parameters: int, report: Report) -> Path:
    functions = library.functions
    number, bits = (QUANTIZED | PLAIN_NUMBERS)[wanted]
    _check_disk(kept.parent, int(parameters * bits / 8))
    report(f'quantizing to {wanted}')
    params = functions.llama_model_quantize_default_params()
    params.ftype = number
    params.nthread = os.cpu_count() or 1
    descriptor, name = tempfile.mkstemp(dir=kept.parent, prefix=f'.{kept.name}.')
    os.close(descriptor)
    try:
        if functions.llama_model_quantize(str(plain).encode(), name.encode(), params) != 0:
            raise LoadError(f'{plain} cannot be quantized to {wanted}: {library.last_error()}.')
        os.chmod(name, llama_gguf.MODE)
        os.replace(name, kept)
    finally:
        Path(name).unlink(missing_ok=True)
    return kept
