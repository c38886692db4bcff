"""models.json: the models that a backend offers, where their files are, and how they are loaded.

Knows what the file says (its format is in `catalog_file`); knows neither how a model is loaded nor whether its files
are there. Files of the original Sandle are accepted as they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sandle.catalog_file import ENTRIES, FileEntry, FileOffer, FileSource, Kind, Quantization


class CatalogError(Exception):
    """A catalog cannot be used. The message is one line that names the file and the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Files are in the folder `path`, or else in `repo` on the Hub at `revision`."""

    path: Path | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Offer(Source):
    """What clients may name as `model`. By itself it is a LoRA adapter."""

    id: str
    description: str
    owned_by: str


@dataclass(frozen=True, slots=True)
class CatalogEntry(Offer):
    """A model on offer, and how it is loaded; None where the backend's options decide.

    `config` has what stands in place of the settings in config.json. `adapters` are loaded and served with the model.
    """

    kind: Kind = 'completion'
    tokenizer: Source | None = None
    dtype: str | None = None
    device_map: str | Mapping[str, str | int] | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    trust_remote_code: bool = False
    quantization: Quantization | None = None
    adapters: tuple[Offer, ...] = ()
    idle_unload_s: float | None = None


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
    for offer in (offer for entry in entries for offer in (entry, *entry.adapters)):
        if offer.id in seen:
            raise CatalogError(f'{file} lists {offer.id!r} twice.')
        seen.add(offer.id)
    return tuple(_resolve(entry, file) for entry in entries)


def _resolve(entry: FileEntry, file: Path) -> CatalogEntry:
    tokenizer = None if entry.tokenizer is None else Source(
        **_place(entry.tokenizer, f'the tokenizer of {entry.id!r}', file))
    return CatalogEntry(
        **_offer(entry, file), kind=entry.kind, tokenizer=tokenizer, dtype=entry.dtype, device_map=entry.device_map,
        config=entry.config, trust_remote_code=entry.trust_remote_code, quantization=entry.quantization,
        adapters=tuple(Offer(**_offer(adapter, file)) for adapter in entry.adapters), idle_unload_s=entry.idle_unload_s)


def _offer(offer: FileOffer, file: Path) -> dict[str, Any]:  # Any: keyword arguments of several types
    owned_by = offer.owned_by or (offer.id.split('/')[0] if '/' in offer.id else 'sandle')
    return {'id': offer.id, 'description': offer.description or offer.id, 'owned_by': owned_by,
            **_place(offer, repr(offer.id), file)}


def _place(source: FileSource, name: str, file: Path) -> dict[str, Any]:  # Any: as above
    if source.path is None:
        repo = source.repo or (source.id if isinstance(source, FileOffer) else None)
        if repo is None:
            raise CatalogError(f'{file}: {name} has neither a path nor a repo.')
        return {'repo': repo, 'revision': source.revision}
    if source.repo is not None or source.revision is not None:
        raise CatalogError(f'{file}: {name} has a path, so it can have neither a repo nor a revision.')
    return {'path': (file.parent / source.path).resolve()}


def _first_fault(error: ValidationError, data: object) -> str:
    faults = error.errors(include_url=False)
    same = [fault for fault in faults if fault['loc'][:2] == faults[0]['loc'][:2]]
    fault = max(same, key=lambda fault: len(fault['loc']))  # of the types that a value may have, the one that fits best
    if not fault['loc']:
        return 'it must hold a list of models.'
    place = fault['loc'][0]
    assert isinstance(place, int) and isinstance(data, list)
    entry = data[place]
    name = f'entry {place + 1}'
    if isinstance(entry, dict) and isinstance(entry.get('id'), str):
        name += f' ({entry["id"]!r})'
    if not isinstance(entry, (dict, str)):
        return f"{name} must be an object, or a model's id."
    *parents, key = _keys(fault['loc'][1:], entry, fault['type'] == 'missing')
    where = ''.join(f'{parent!r}: ' if isinstance(parent, str) else f'{parent + 1}: ' for parent in parents)
    if fault['type'] == 'extra_forbidden':
        return f'{name} has the unknown key {where}{key!r}.'
    if fault['type'] == 'missing':
        return f'{name} has no {where}{key!r}.'
    words = fault['msg'].replace('Input should', 'must').replace('String should', 'must')
    return f'{name}: {where}{key!r} {words}.'


def _keys(place: tuple[int | str, ...], data: object, is_missing: bool) -> list[int | str]:
    """Returns the keys and numbers that lead to a place in an entry; pydantic also names the types that it tried."""
    keys: list[int | str] = []
    for step in place:
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int):
            data = data[step]
        else:
            continue
        keys.append(step)
    return [*keys, place[-1]] if is_missing or not keys else keys
