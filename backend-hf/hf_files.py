"""The files of a model of the catalog: where they are, after downloading what is missing, and whether they may be used.

Knows the catalog's entries and what belongs to a model; knows neither how it is loaded nor how a download is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import hf_adapters
from hf_download import Check, accept, fetch, fetch_files

from sandle import checkpoint
from sandle.catalog import CatalogEntry, Source
from sandle.checkpoint import Allowed, Checkpoint
from sandle.engine.runner import Report

TOKENIZER_FILES = (*checkpoint.TOKENIZER_FILES, 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json',
                   'merges.txt', 'vocab.txt', 'chat_template.jinja')
ADAPTER_FILES = (hf_adapters.CONFIG, hf_adapters.WEIGHTS)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's folder, its tokenizer's, which is the same as a rule, and those of its adapters by their ids."""

    checkpoint: Checkpoint
    tokenizer: Path
    adapters: Mapping[str, Path]


def find_files(entry: CatalogEntry, report: Report, check: Check = accept) -> ModelFiles:
    """Returns the files of a model, downloaded if need be. Raises LoadError; `check` as for `fetch`."""
    allowed = Allowed(code=entry.trust_remote_code, quantized=True, no_tokenizer=entry.tokenizer is not None)
    folder = entry.path
    if folder is None:
        assert entry.repo is not None, 'files are at a path or in a repo'
        folder = fetch(entry.repo, entry.revision, report, allowed, check)
    tokenizer = folder
    if entry.tokenizer is not None:
        tokenizer = _part(entry.tokenizer, TOKENIZER_FILES, report)
        checkpoint.check_tokenizer(tokenizer, allowed)
    return ModelFiles(checkpoint.inspect(folder, allowed), tokenizer,
                      {adapter.id: _part(adapter, ADAPTER_FILES, report) for adapter in entry.adapters})


def _part(source: Source, names: tuple[str, ...], report: Report) -> Path:
    """Returns the folder that holds some files of a source; those that it has."""
    if source.path is not None:
        return source.path
    assert source.repo is not None, 'files are at a path or in a repo'
    return fetch_files(source.repo, source.revision, names, report)
