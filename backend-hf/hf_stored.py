"""How weights that come quantized are read: by the method that they were quantized with, and by the device.

On a CPU the kernels of this backend compute with all of them: what GPTQ and AWQ pack is unpacked here, and what
bitsandbytes and compressed-tensors store is read by these libraries and made dense while it is loaded. On a GPU it is
left to transformers and to the libraries that it needs. Knows methods and libraries; knows no files but config.json.
"""

import importlib.util
from dataclasses import dataclass, field
from typing import Any

import torch
from hf_packed import METHODS as PACKED
from hf_packed_model import PackedConfig, find_packed
from hf_quantize import GROUP
from transformers import PreTrainedConfig

from sandle.catalog_file import Quantization
from sandle.checkpoint import Checkpoint
from sandle.engine.runner import LoadError

LIBRARIES = {  # by method: what must be installed to read it
    'gptq': ('gptqmodel', 'optimum'), 'awq': ('gptqmodel',), 'bitsandbytes': ('bitsandbytes',),
    'compressed-tensors': ('compressed-tensors',)}
SCALE_BITS = 1  # of the kernels' scales, a weight
ENOUGH_BITS = 8  # for the kernels to hold any of these weights nearly as they are


@dataclass(frozen=True, slots=True)
class Stored:
    """How a checkpoint is read. `arguments` are for from_pretrained.

    `bits`: with how many a runner that quantizes holds the weights, if nothing else is asked for. `is_made_dense`: they
    are ordinary ones once they are loaded.
    """

    arguments: dict[str, Any] = field(default_factory=dict)  # Any: arguments of an untyped library
    bits: int | None = None
    is_made_dense: bool = False


def read_stored(checkpoint: Checkpoint, config: PreTrainedConfig, wanted: Quantization | None, device: str) -> Stored:
    """Returns how a checkpoint's weights are to be read; its configuration is changed for it. Raises LoadError."""
    method = checkpoint.quantization
    if method is None or device != 'cpu':
        return Stored()
    is_to_be_dense = wanted is Quantization.NONE
    if method in PACKED:
        packed = find_packed(checkpoint.folder)
        del config.quantization_config
        return Stored({'quantization_config': PackedConfig(packed)}, None if is_to_be_dense else packed.bits)
    if method == 'compressed-tensors':
        bits = _make_dense(config.quantization_config)
    else:
        bits = ENOUGH_BITS
    return Stored(bits=None if is_to_be_dense else bits, is_made_dense=True)


def _make_dense(stored: dict[str, Any]) -> int:  # Any: of config.json
    """Has compressed-tensors make weights dense while they are read; returns the bits that are enough for them."""
    schemes = list((stored.get('config_groups') or {}).values())
    if len(schemes) != 1 or stored.get('transform_config'):
        raise LoadError('The weights are quantized by compressed-tensors in several ways, or with transforms, which '
                        'cannot be read: use a model that is quantized in one way.')
    stored['dequantize'] = True
    weights = schemes[0].get('weights') or {}
    group = weights.get('group_size')
    fits = (weights.get('type') == 'int' and weights.get('num_bits') in range(1, 5) and weights.get('symmetric')
            and not weights.get('actorder') and (group is None or group % GROUP == 0))
    return 4 if fits else ENOUGH_BITS


def count_parameters(auto_model: Any, config: PreTrainedConfig, trust_remote_code: bool) -> int:  # Any: no typed base
    """Returns a model's parameters by its configuration: files of packed weights do not tell."""
    with torch.device('meta'):
        return int(auto_model.from_config(config, trust_remote_code=trust_remote_code).num_parameters())


def peak_bytes(stored: Stored, stored_bytes: int, parameters: int, dtype: torch.dtype, bits: int | None) -> int:
    """Returns the most that weights of a CPU take until the kernels hold them with so many bits, None for `dtype`."""
    dense = parameters * dtype.itemsize
    if stored.is_made_dense:
        return stored_bytes + dense
    return max(stored_bytes, dense if bits is None else parameters * (bits + SCALE_BITS) // 8)


def check_stored(method: str | None, wanted: Quantization | None, device: str) -> None:
    """Raises LoadError where weights are not quantized as they should be, or by a method that nothing here reads."""
    if wanted in (Quantization.GPTQ, Quantization.AWQ) and wanted != method:
        raise LoadError(f'quantization is {str(wanted)!r} in models.json, but the weights are '
                        f'{"not quantized" if method is None else f"quantized by {method!r}"}.')
    if method is None or (device == 'cpu' and method in PACKED):
        return
    if method not in LIBRARIES:
        raise LoadError(f'The weights are quantized by {method!r}, which cannot be read: use the unquantized model, or '
                        f'one of {", ".join(LIBRARIES)}.')
    missing = [name for name in LIBRARIES[method] if importlib.util.find_spec(name.replace('-', '_')) is None]
    if missing:
        raise LoadError(f'The weights are quantized by {method!r}, and reading them needs what is not installed here: '
                        f'pip install {" ".join(missing)}.')
