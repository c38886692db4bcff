"""A model's folder, looked at before anything of it is loaded: is it whole, and is it safe?

Only data is read: JSON and the headers of safetensors files. Weights are taken from safetensors alone, for a pickle
can run code when it is read; a configuration that names code of its own (`auto_map`), or that reaches for the
library's inner settings, is refused. Knows files; knows neither torch nor the Hub.
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandle.engine.runner import LoadError

# Keys that make the library import code, fetch code, or read other files than the ones looked at here.
FORBIDDEN_KEYS = frozenset({'auto_map', '_attn_implementation_internal', '_experts_implementation_internal',
                            'custom_pipelines', 'transformers_weights', 'fusion_config', 'kernel_config'})
CONFIG_FILES = ('config.json', 'generation_config.json', 'tokenizer_config.json')
TOKENIZER_FILES = ('tokenizer.json', 'tokenizer.model', 'vocab.json', 'tekken.json', 'spiece.model',
                   'sentencepiece.bpe.model')
PICKLES = ('*.bin', '*.pt', '*.pth', '*.ckpt', '*.pkl', '*.pickle')
SINGLE = 'model.safetensors'
INDEX = 'model.safetensors.index.json'
MAX_HEADER_BYTES = 100 * 2 ** 20  # the format's own limit


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that may be loaded. `stored_bytes` is the size of its weights as they are stored.

    `quantization` names the method by which they were quantized, if they were; then `parameters` means little.
    """

    folder: Path
    parameters: int
    stored_bytes: int
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a model may have that is refused else: `code` that the operator trusts, weights that come `quantized`.

    `no_tokenizer`: its tokenizer is elsewhere.
    """

    code: bool = False
    quantized: bool = False
    no_tokenizer: bool = False


def inspect(folder: Path, allowed: Allowed = Allowed()) -> Checkpoint:
    """Checks that a folder holds a whole model and nothing unsafe is asked for. Raises LoadError."""
    if not folder.is_dir():
        raise LoadError(f'There is no folder {folder}: check the path of the model.')
    check_configs(folder, allowed)
    files = weight_files(folder)
    parameters = stored_bytes = 0
    for file in files:
        shapes, size = _measure(file)
        parameters += sum(map(math.prod, shapes.values()))
        stored_bytes += size
    if not allowed.no_tokenizer:
        check_tokenizer(folder, allowed)
    return Checkpoint(folder, parameters, stored_bytes, _quantization(folder))


def check_tokenizer(folder: Path, allowed: Allowed = Allowed()) -> None:
    """Checks that a folder holds a tokenizer, and what it asks for. Raises LoadError."""
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise LoadError(f'{folder} has no tokenizer (tokenizer.json): copy it from the original model.')
    config = folder / 'tokenizer_config.json'
    if config.is_file():
        _refuse_forbidden(config, read_json(config), allowed)


def check_configs(folder: Path, allowed: Allowed = Allowed()) -> None:
    """Checks what a folder's configurations ask for; needs no weights to be there. Raises LoadError."""
    configs = {name: read_json(folder / name) for name in CONFIG_FILES if (folder / name).is_file()}
    if (folder / 'adapter_config.json').is_file():
        raise LoadError(f'{folder} holds an adapter (adapter_config.json): merge it into its base model first.')
    if 'config.json' not in configs:
        raise LoadError(f'{folder} has no config.json: give the folder of a model in the Hugging Face format.')
    for name, config in configs.items():
        _refuse_forbidden(folder / name, config, allowed)
    if configs['config.json'].get('quantization_config') and not allowed.quantized:
        raise LoadError(f'{folder} holds quantized weights, which cannot be read: use the unquantized model.')


def weight_files(folder: Path) -> list[Path]:
    """Returns the safetensors files that hold the weights. Raises LoadError when there are none or one is missing."""
    if not (folder / SINGLE).is_file() and not (folder / INDEX).is_file():
        pickle = next((file.name for pattern in PICKLES for file in sorted(folder.glob(pattern))), None)
        if pickle is not None:
            raise LoadError(f'{folder} has its weights only as a pickle ({pickle}), which could run code when read: '
                            'convert them to safetensors.')
        raise LoadError(f'{folder} has no weights: {SINGLE} or {INDEX} is missing.')
    files = [folder / SINGLE] if (folder / SINGLE).is_file() else [folder / name for name in shards(folder)]
    for file in files:
        if not file.is_file():
            raise LoadError(f'{file} is missing: get the model again.')
    return files


def shards(folder: Path) -> list[str]:
    """Returns the names of the files that a folder's index speaks of, there or not. Raises LoadError."""
    weight_map = read_json(folder / INDEX).get('weight_map')
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(x, str) for x in weight_map.values()):
        raise LoadError(f'{folder / INDEX} has no weight_map: the file is damaged; get it again.')
    names = sorted(set(weight_map.values()))
    for name in names:
        if Path(name).name != name or not name.endswith('.safetensors'):
            raise LoadError(f'{folder / INDEX} names {name!r}, which is not a safetensors file in the same folder.')
    return names


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each tensor that a folder's weights consist of. Raises LoadError."""
    return {name: shape for file in weight_files(folder) for name, shape in _measure(file)[0].items()}


def _measure(file: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Returns the shapes of a safetensors file's tensors, and their bytes: 8 bytes of length, a JSON header, data."""
    try:
        stored_bytes = file.stat().st_size
        with file.open('rb') as stream:
            prefix = stream.read(8)
            length = struct.unpack('<Q', prefix)[0] if len(prefix) == 8 else 0
            if not 2 <= length <= MAX_HEADER_BYTES:
                raise LoadError(f'{file} is not a safetensors file, or is damaged: get the model again.')
            header = _object(file, _parse(file, stream.read(length)))
    except OSError as error:
        raise LoadError(f'{file} cannot be read: {error.strerror}.') from error
    tensors = {name: tensor for name, tensor in header.items() if name != '__metadata__'}
    try:
        shapes = {name: tuple(map(int, tensor['shape'])) for name, tensor in tensors.items()}
        data_bytes = max((int(tensor['data_offsets'][1]) for tensor in tensors.values()), default=0)
    except (TypeError, ValueError, KeyError, IndexError):
        raise LoadError(f'{file} has a damaged header: get the model again.') from None
    if stored_bytes != 8 + length + data_bytes:
        raise LoadError(f'{file} is incomplete ({stored_bytes} of {8 + length + data_bytes} bytes): '
                        'get the model again.')
    return shapes, data_bytes


def read_json(file: Path) -> dict[str, Any]:  # Any: of unknown shape until it is looked at
    """Returns the JSON object that a file holds. Raises LoadError."""
    return _object(file, _parse(file, _read(file)))


def read_json_list(file: Path) -> list[dict[str, Any]]:  # Any: as above
    """Returns the JSON objects that a file holds a list of. Raises LoadError."""
    value = _parse(file, _read(file))
    if not isinstance(value, list):
        raise LoadError(f'{file} is damaged (it does not hold a list): get the model again.')
    return [_object(file, item) for item in value]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LoadError(f'{file} cannot be read: {error.strerror}.') from error


def _parse(file: Path, data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise LoadError(f'{file} is damaged (its JSON is not valid): get the model again.') from None


def _object(file: Path, value: object) -> dict[str, Any]:  # Any: as above
    if not isinstance(value, dict):
        raise LoadError(f'{file} is damaged (it does not hold an object): get the model again.')
    return value


def _quantization(folder: Path) -> str | None:
    config = read_json(folder / 'config.json').get('quantization_config')
    if not config:
        return None
    return str(config.get('quant_method', 'unknown')) if isinstance(config, dict) else 'unknown'


def _refuse_forbidden(file: Path, config: dict[str, object], allowed: Allowed) -> None:
    for key in _keys(config):
        if key == 'auto_map' and allowed.code:
            continue
        if key == 'auto_map':
            raise LoadError(f'{file} asks to run code of its own (auto_map), which is not allowed: use a model of an '
                            'architecture that is built in.')
        if key in FORBIDDEN_KEYS:
            raise LoadError(f'{file} sets {key!r}, which can make the library run foreign code: remove the key if '
                            'you trust the model.')


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for child in value.values():
            yield from _keys(child)
    elif isinstance(value, list):
        for child in value:
            yield from _keys(child)
