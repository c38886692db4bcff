"""The models on offer, as the operator's options and the catalog say. Knows options; knows nothing of loading."""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import click
from hf_files import find_files

from sandle.catalog import CatalogEntry, CatalogError, read_catalog
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.engine.runner import LoadError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OfferOptions:
    """As the options of serve-backend-hf.py. None: what the file lists."""

    models_file: pathlib.Path
    single_model: str | None = None
    embedding_model: str | None = None
    embeddings_only: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """The models on offer, by what they make; the first of each kind is loaded at the start."""

    completions: tuple[CatalogEntry, ...]
    embeddings: tuple[CatalogEntry, ...]


def read_offered(options: OfferOptions) -> Offered:
    """Returns the models on offer, one at least. Raises click.UsageError."""
    models = read_models(options.models_file, options.single_model)
    completions = tuple(model for model in models if model.kind == 'completion')
    embeddings = tuple(model for model in models if model.kind == 'embedding')
    if options.embedding_model is not None:
        [chosen] = read_models(options.models_file, options.embedding_model, '--embedding-model')
        embeddings = (dataclasses.replace(chosen, kind='embedding', adapters=()),)
        completions = tuple(model for model in completions if model.id != chosen.id)
    if options.embeddings_only:
        if not embeddings:
            raise click.UsageError('--embeddings-only needs --embedding-model, or an entry of kind "embedding" in '
                                   '--models-file.')
        completions = ()
    return Offered(completions, embeddings)


def read_models(file: pathlib.Path, single: str | None, option: str = '--single-model') -> tuple[CatalogEntry, ...]:
    """Returns the models of a file, or only one: of the file, of a folder, or of the Hub; `option` names it."""
    try:
        listed = read_catalog(file)
    except CatalogError as error:
        raise click.BadParameter(str(error), param_hint='--models-file') from None
    if single is None:
        return listed
    if chosen := tuple(entry for entry in listed if single in {offer.id for offer in (entry, *entry.adapters)}):
        return chosen
    if not single.strip():
        raise click.BadParameter('it must not be empty.', param_hint=option)
    is_folder = pathlib.Path(single).is_dir() or single.startswith(('/', '.', '~')) or single.count('/') > 1
    if is_folder:
        return (CatalogEntry(single, single, 'local', path=pathlib.Path(single).expanduser().resolve()),)
    return (CatalogEntry(single, single, single.split('/')[0], repo=single),)


def download(models: Iterable[CatalogEntry]) -> None:
    """Fetches and checks the files of models. Raises click.ClickException for one that cannot be had."""
    for model in models:
        logger.info('getting %s', model.id)
        try:
            files = find_files(model, logger.debug)
        except LoadError as error:
            raise click.ClickException(str(error)) from None
        logger.info('%s is in %s', model.id, files.checkpoint.folder)


def model_infos(models: Iterable[CatalogEntry], capabilities: frozenset[str]) -> list[ModelInfo]:
    """Returns what clients may ask for: the models, each followed by its adapters."""
    started = int(time.time())
    return [ModelInfo(offer.id, offer.description, offer.owned_by, started, ModelStatus.AVAILABLE, capabilities,
                      parent=None if offer is model else model.id, idle_unload_s=model.idle_unload_s)
            for model in models for offer in (model, *model.adapters)]
