"""What a folder in CTranslate2's format holds, told by its small files and the beginning of its large one.

The layout of model.bin is what `ctranslate2.specs.model_spec.ModelSpec` writes: names, shapes and sizes stand before
each variable's numbers, which are skipped here. Knows neither the library that runs the model nor tokenizers.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sandle.engine.runner import LoadError

MODEL_FILE = 'model.bin'
FORMAT_VERSION = 6
KINDS = {'TransformerSpec': True, 'TransformerDecoderSpec': False}  # whether it has an encoder
POSITIONS = '/position_encodings/encodings'  # one row for each position, of a model that learned them


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that can be loaded.

    `positions` is the most tokens of one text, None for a model that counts them without an end. `source` and `target`
    are the tokens of prompts and of answers by their ids. `adds_start` and `adds_end`: the library puts the beginning
    and the end of a text around a prompt by itself.
    """

    folder: Path
    is_encoder_decoder: bool
    positions: int | None
    source: tuple[str, ...]
    target: tuple[str, ...]
    bos: str | None
    eos: str | None
    unk: str | None
    adds_start: bool
    adds_end: bool


def is_model(folder: Path) -> bool:
    """Returns whether a folder looks like a model of CTranslate2's."""
    return (folder / MODEL_FILE).is_file()


def read(folder: Path) -> Checkpoint:
    """Looks at a model. Raises LoadError."""
    try:
        with (folder / MODEL_FILE).open('rb') as stream:
            kind, positions = _read_model(stream)
        config = json.loads((folder / 'config.json').read_text('utf-8'))
        if kind not in KINDS:
            raise LoadError(f'{folder} is a {kind} model, which does not make text of text.')
        names = {role: config.get(f'{role}_token') or None for role in ('bos', 'eos', 'unk')}
        source, target = (_vocabulary(folder, name) for name in ('source', 'target'))
        return Checkpoint(folder, KINDS[kind], positions, source, target, **names,
                          adds_start=bool(config.get('add_source_bos')), adds_end=bool(config.get('add_source_eos')))
    except OSError as error:
        raise LoadError(f'{folder}: {error.strerror}: {error.filename}') from error
    except (struct.error, ValueError, AttributeError) as error:
        raise LoadError(f'{folder} is damaged ({error}): convert the model again.') from error


def _read_model(stream: BinaryIO) -> tuple[str, int | None]:
    """Returns the kind of a model, and its number of positions."""
    (version,) = struct.unpack('<I', stream.read(4))
    if version > FORMAT_VERSION:
        raise LoadError(f'{stream.name} is of format {version}, and {FORMAT_VERSION} is the newest one known here.')
    kind = _read_string(stream)
    _revision, count = struct.unpack('<2I', stream.read(8))
    lengths = [shape[0] for name, shape in _read_shapes(stream, count) if name.endswith(POSITIONS) and shape]
    return kind, min(lengths, default=None)


def _read_shapes(stream: BinaryIO, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for _ in range(count):
        name = _read_string(stream)
        (rank,) = struct.unpack('<B', stream.read(1))
        shape = struct.unpack(f'<{rank}I', stream.read(4 * rank))
        _number_format, size = struct.unpack('<BI', stream.read(5))
        stream.seek(size, 1)
        yield name, shape


def _read_string(stream: BinaryIO) -> str:
    (length,) = struct.unpack('<H', stream.read(2))
    return stream.read(length)[:-1].decode('utf-8')


def _vocabulary(folder: Path, role: str) -> tuple[str, ...]:
    """Returns the tokens of prompts (`source`) or answers (`target`), which may be the same ones."""
    for name in (f'{role}_vocabulary', 'shared_vocabulary', 'vocabulary'):
        if (file := folder / f'{name}.json').is_file():
            return tuple(map(str, json.loads(file.read_text('utf-8'))))
        if (file := folder / f'{name}.txt').is_file():  # of older converters: a token a line
            return tuple(file.read_text('utf-8').removesuffix('\n').split('\n'))
    raise LoadError(f'{folder} has no vocabulary: convert the model again.')
