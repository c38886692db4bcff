"""models.json: the models that a backend offers, and where their files are.

Knows the file's format; knows neither how a model is loaded nor whether its files are there. The format is a list of
objects with `id` and, all optional, `description`, `owned_by`, `kind` (what the model makes), and either `path` (a
folder, relative to the file) or `repo` (a repository of the Hub, the id by default) with `revision`. Files of the
original Sandle are accepted as they are.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError


Kind = Literal['completion', 'embedding']


class CatalogError(Exception):
    """A catalog cannot be used. The message is one line that names the file and the entry."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model on offer: its files are in the folder `path`, or else in `repo` on the Hub at `revision`."""

    id: str
    description: str
    owned_by: str
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None
    kind: Kind = 'completion'


class FileEntry(BaseModel):
    """An entry as it stands in the file. `object` and `permission` are the original's and say nothing."""

    model_config = ConfigDict(strict=True, extra='forbid')

    id: str = Field(min_length=1, max_length=256, pattern=r'^[^\s\x00-\x1f\x7f]+$')
    description: str = ''
    owned_by: str = ''
    path: str | None = Field(default=None, min_length=1)
    repo: str | None = Field(default=None, min_length=1)
    revision: str | None = Field(default=None, min_length=1)
    kind: Kind = 'completion'
    object: Literal['model'] = 'model'
    permission: list[JsonValue] = []


ENTRIES = TypeAdapter(list[FileEntry])


def read_catalog(file: Path) -> tuple[CatalogEntry, ...]:
    """Returns the models that a models.json lists, in its order. Raises CatalogError."""
    try:
        data = json.loads(file.read_text(encoding='utf-8'))
    except OSError as error:
        raise CatalogError(f'{file} cannot be read: {error.strerror}.') from error
    except (ValueError, RecursionError) as error:
        raise CatalogError(f'{file} is not valid JSON: {error}.') from error
    try:
        entries = ENTRIES.validate_python(data)
    except ValidationError as error:
        raise CatalogError(f'{file}: {_first_fault(error, data)}') from None
    if not entries:
        raise CatalogError(f'{file} lists no model.')
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise CatalogError(f'{file} lists {entry.id!r} twice.')
        seen.add(entry.id)
    return tuple(_resolve(entry, file) for entry in entries)


def _resolve(entry: FileEntry, file: Path) -> CatalogEntry:
    if entry.path is not None and (entry.repo is not None or entry.revision is not None):
        raise CatalogError(f'{file}: {entry.id!r} has a path, so it can have neither a repo nor a revision.')
    owned_by = entry.owned_by or (entry.id.split('/')[0] if '/' in entry.id else 'sandle')
    path = None if entry.path is None else (file.parent / entry.path).resolve()
    repo = None if entry.path is not None else entry.repo or entry.id
    return CatalogEntry(id=entry.id, description=entry.description or entry.id, owned_by=owned_by, path=path, repo=repo,
                        revision=entry.revision, kind=entry.kind)


def _first_fault(error: ValidationError, data: object) -> str:
    fault = error.errors(include_url=False)[0]
    if not fault['loc']:
        return 'it must hold a list of models.'
    place = fault['loc'][0]
    assert isinstance(place, int) and isinstance(data, list)
    entry = data[place]
    name = f'entry {place + 1}'
    if isinstance(entry, dict) and isinstance(entry.get('id'), str):
        name += f' ({entry["id"]!r})'
    if len(fault['loc']) == 1:
        return f'{name} must be an object.'
    key = fault['loc'][1]
    if fault['type'] == 'extra_forbidden':
        return f'{name} has the unknown key {key!r}.'
    if fault['type'] == 'missing':
        return f'{name} has no {key!r}.'
    words = fault['msg'].replace('Input should', 'must').replace('String should', 'must')
    return f'{name}: {key!r} {words}.'
