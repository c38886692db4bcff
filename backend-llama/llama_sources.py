"""Which model the command line means. Knows click, and how folders of models look from outside; reads no weights."""

import math
from pathlib import Path
from typing import Any

import click
from llama_convert import Source
from llama_library import Adapter
from llama_meta_folder import find_fault

from sandle.catalog import CatalogEntry, read_catalog

HERE = Path(__file__).resolve().parent
MODELS_FILE = HERE / 'models.json'
EMBEDDED = HERE.parent / 'models/sandle-tiny'
MAGIC = b'GGUF'


class Lora(click.ParamType[Adapter]):
    """`PATH` or `PATH:SCALE`."""

    name = 'path[:scale]'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Adapter:
        """See click."""
        if isinstance(value, Adapter):
            return value
        path, colon, scale = value.rpartition(':')
        try:
            adapter = Adapter(Path(path), float(scale)) if colon and not Path(value).exists() else Adapter(Path(value))
        except ValueError:
            self.fail(f'{scale!r} is not a number.', param, ctx)
        if not adapter.path.is_file() or not math.isfinite(adapter.scale):
            self.fail(f'{adapter.path} is not a file, or {scale!r} no finite number.', param, ctx)
        return adapter


LORA = Lora()


def find(llama_dir: Path | None, model_size: str | None, model: Path | None) -> tuple[Source, CatalogEntry]:
    """Returns where the model's files are, and its name. Raises click.ClickException."""
    if model is not None and llama_dir is not None:
        raise click.UsageError('LLAMA_DIR and --model exclude each other.')
    if llama_dir is not None and model_size is not None:
        return _meta(llama_dir, model_size)
    path = model or llama_dir or EMBEDDED
    return _single(path.resolve())


def _meta(llama_dir: Path, model_size: str) -> tuple[Source, CatalogEntry]:
    fault = find_fault(llama_dir, model_size)
    if fault is not None:
        raise click.ClickException(fault)
    known = {entry.id.rpartition('-')[2]: entry for entry in read_catalog(MODELS_FILE)}
    entry = CatalogEntry(f'llama-{model_size}', f'LLaMA {model_size}', 'facebook')
    return Source(llama_dir, model_size), known.get(model_size, entry)


def _single(path: Path) -> tuple[Source, CatalogEntry]:
    if path.is_dir() and not (path / 'config.json').is_file():
        files = sorted(path.glob('*.gguf'))
        if len(files) != 1:
            raise click.ClickException(
                f'{path} is no model: it has no config.json and {len(files)} GGUF files. Give a GGUF file, a folder in '
                'the Hugging Face format, or a folder of Meta\'s with a MODEL_SIZE.')
        path = files[0]
    if path.is_file():
        with path.open('rb') as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise click.ClickException(f'{path} is not a GGUF file.')
    name = path.stem if path.is_file() else path.name
    return Source(path), CatalogEntry(name, name, 'local')
