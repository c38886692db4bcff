"""A sentence-transformers folder as it describes itself: the modules that a text goes through, and its prompts.

Only data is read. A module is known by its class's name; one that is not of sentence-transformers itself would be code
of the folder's own, and is refused. Knows files; knows nothing of tensors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandle.checkpoint import SINGLE, read_json, read_json_list
from sandle.engine.runner import LoadError

MODULES_FILE = 'modules.json'
PACKAGE = 'sentence_transformers.'
NEEDED = {'Pooling': ('config.json',), 'Dense': ('config.json', SINGLE), 'LayerNorm': ('config.json', SINGLE)}
LENGTH_FILES = tuple(f'sentence_{name}_config.json' for name in (
    'bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet'))  # in the library's order


@dataclass(frozen=True, slots=True)
class Module:
    """One step of the way from a text to its vector: its class's name, its folder, and what its config.json says."""

    kind: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)  # Any: as JSON has it


@dataclass(frozen=True, slots=True)
class EmbeddingFolder:
    """What a folder says. `transformer` is the folder of the model itself; `modules` are those after it.

    `max_tokens` is the longest text, None for what the tokenizer says. `lowers_case`: texts are put in lower case.
    """

    transformer: Path
    modules: tuple[Module, ...]
    max_tokens: int | None = None
    lowers_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ''


def read_embedding_folder(folder: Path) -> EmbeddingFolder:
    """Reads a folder. A model without modules gets the mean of its tokens, as the library does it. Raises LoadError."""
    if not (folder / MODULES_FILE).is_file():
        return EmbeddingFolder(folder, (Module('Pooling', folder, {'pooling_mode': 'mean'}),))
    modules = tuple(_module(folder, entry) for entry in read_json_list(folder / MODULES_FILE))
    if not modules or modules[0].kind != 'Transformer':
        raise LoadError(f'{folder / MODULES_FILE} does not begin with a Transformer: choose a text model that does.')
    transformer = modules[0].folder
    lengths = next((read_json(transformer / name) for name in LENGTH_FILES if (transformer / name).is_file()), {})
    settings_file = folder / 'config_sentence_transformers.json'
    settings = read_json(settings_file) if settings_file.is_file() else {}
    prompts = {str(name): text for name, text in (settings.get('prompts') or {}).items() if isinstance(text, str)}
    default = settings.get('default_prompt_name')
    if default is not None and default not in prompts:
        raise LoadError(f'{settings_file} names the default prompt {default!r}, which is not among its prompts.')
    max_tokens = lengths.get('max_seq_length')
    return EmbeddingFolder(transformer, modules[1:], max_tokens if isinstance(max_tokens, int) else None,
                           lengths.get('do_lower_case') is True, prompts, '' if default is None else prompts[default])


def module_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Returns those of a repository's files that belong to the modules of a folder. Raises LoadError."""
    if not (folder / MODULES_FILE).is_file():
        return []
    paths = {entry.get('path') for entry in read_json_list(folder / MODULES_FILE)}
    return [name for name in names if (parts := name.rpartition('/'))[0] in paths and parts[0]
            and parts[2] in ('config.json', SINGLE)]


def has_its_modules(folder: Path) -> bool:
    """Returns whether the files of all its modules are there, as far as they need any. Raises LoadError."""
    if not (folder / MODULES_FILE).is_file():
        return True
    needed = [(module.folder, NEEDED.get(module.kind, ())) for module in read_embedding_folder(folder).modules]
    return all((place / name).is_file() for place, names in needed for name in names)


def _module(folder: Path, entry: dict[str, Any]) -> Module:  # Any: as above
    kind, path = entry.get('type'), entry.get('path')
    if not isinstance(kind, str) or not isinstance(path, str):
        raise LoadError(f'{folder / MODULES_FILE} is damaged: get the model again.')
    if not kind.startswith(PACKAGE):
        raise LoadError(f'{folder / MODULES_FILE} asks to run code of its own ({kind}), which is not allowed: use a '
                        'model of the modules that sentence-transformers has.')
    place = (folder / path).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise LoadError(f'{folder / MODULES_FILE} names {path!r}, which is not within the folder.')
    config = place / 'config.json'
    kind = kind.rpartition('.')[2]
    return Module(kind, place, read_json(config) if kind != 'Transformer' and config.is_file() else {})
