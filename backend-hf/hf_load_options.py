"""How models are loaded: the backend's options, and what a model's entry in the catalog says in their place.

Knows options and entries; knows nothing of a model's files.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_device import DEVICE_PATTERN, DeviceError, Hardware, check_dtype, check_quantization, choose_device
from transformers import PreTrainedConfig

from sandle.catalog import CatalogEntry
from sandle.catalog_file import Quantization
from sandle.engine.runner import LoadError

MADE_HERE = {Quantization.INT8: 8, Quantization.INT4: 4}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded; as the options of serve-backend-hf.py. `device` is as `choose_device` returns it.

    A `device_map` is transformers' own, and stands in place of what would be chosen.
    """

    device: str = 'cpu'
    dtype: str = 'auto'
    offload_dir: Path | None = None
    bits: int | None = None  # of quantized weights, 8 or 4
    slots: int = 16
    max_context_tokens: int | None = None
    is_batch_invariant: bool = False
    device_map: str | Mapping[str, str | int] | None = None


def for_entry(options: LoadOptions, entry: CatalogEntry, hardware: Hardware) -> LoadOptions:
    """Returns the options for one model. Raises DeviceError for what this machine does not have."""
    device, device_map = options.device, entry.device_map
    if isinstance(device_map, str) and device_map != 'auto' and DEVICE_PATTERN.fullmatch(device_map):
        device, device_map = choose_device(device_map, hardware), None
    dtype = entry.dtype or options.dtype
    bits = options.bits if entry.quantization is None else MADE_HERE.get(entry.quantization)
    check_dtype(dtype, device)
    if bits is not None:
        check_quantization(bits, device)
        if options.offload_dir is not None:
            raise DeviceError(f'{bits}-bit weights and --offload-dir exclude each other.')
    return dataclasses.replace(options, device=device, device_map=device_map, dtype=dtype, bits=bits)


def override(config: PreTrainedConfig, settings: Mapping[str, Any]) -> None:
    """Puts settings of the catalog in place of a configuration's own. Raises LoadError for one that it has not."""
    known = {key for key in (*config.to_dict(), *config.attribute_map) if not key.startswith('_')}
    for key, value in settings.items():
        if key not in known:
            raise LoadError(f"config sets {key!r} in models.json, which the model's own configuration does not have.")
        current = getattr(config, key)
        if isinstance(current, PreTrainedConfig) and isinstance(value, dict):
            override(current, value)
        else:
            setattr(config, key, value)
