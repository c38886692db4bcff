"""What memory a model's weights will take at least, by what is known of them before they are fetched.

Knows options and hardware; knows neither the Hub nor a model's files.
"""

import torch
from hf_device import HEADROOM, Hardware, available_memory, choose_dtype
from hf_download import RemoteWeights
from hf_load_options import LoadOptions


def forecast(weights: RemoteWeights, options: LoadOptions, hardware: Hardware) -> tuple[int, torch.dtype]:
    """Returns the bytes that the weights will take, and the number format that they are loaded in.

    Of weights that come quantized, the bytes are those of the files; some are unpacked to more when they are loaded.
    """
    dtype = choose_dtype(options.dtype, options.device, hardware, weights.parameters,
                         int(available_memory(options.device, hardware) / HEADROOM))
    if weights.is_quantized:
        return weights.stored_bytes, dtype
    return loaded_bytes(weights.parameters, options, dtype), dtype


def loaded_bytes(parameters: int, options: LoadOptions, dtype: torch.dtype) -> int:
    """Returns what weights that are not stored quantized take once the library has read them."""
    if options.bits is None or options.device == 'cpu':  # there the runner quantizes, afterwards
        return parameters * dtype.itemsize
    return parameters * options.bits // 8
