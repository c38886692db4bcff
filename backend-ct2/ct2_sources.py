"""Which models a folder holds: it is one itself, or its subfolders may be. Knows click; reads no weights."""

from pathlib import Path

import click
from ct2_checkpoint import MODEL_FILE, Checkpoint, is_model, read

from sandle.engine.runner import LoadError

EMBEDDED = Path(__file__).resolve().parent.parent / 'models/sandle-tiny-ct2'


def find(folder: Path | None, model_id: str | None) -> dict[str, Checkpoint]:
    """Returns models by their ids, which are the names of their folders. Raises click.ClickException.

    Without a folder it is the model that is part of this repository. `model_id` is another id for the only one, or
    chooses which one of several is the first.
    """
    folder = (folder or EMBEDDED).resolve()
    if is_model(folder):
        return {model_id or folder.name: _read(folder)}
    found = {inner.name: inner for inner in sorted(folder.iterdir()) if is_model(inner)}
    if not found:
        raise click.ClickException(f"{folder} holds no model in CTranslate2's format: no {MODEL_FILE} is there.")
    if model_id is not None and model_id not in found:
        raise click.ClickException(f'{folder} holds no {model_id}: {", ".join(found)}.')
    return {name: _read(found[name]) for name in sorted(found, key=lambda name: (name != model_id, name))}


def _read(folder: Path) -> Checkpoint:
    try:
        return read(folder)
    except LoadError as error:
        raise click.ClickException(str(error)) from None
