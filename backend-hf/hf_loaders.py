"""Loaders for this machine, by the options. Raises click.UsageError for what the machine does not have."""

import dataclasses

import click
import hf_device
from hf_embedding_model import HfEmbeddingLoader
from hf_load_options import LoadOptions, for_entry
from hf_model import HfLoader
from hf_offers import Offered


def make_loaders(offered: Offered, wanted: LoadOptions) -> tuple[HfLoader, HfEmbeddingLoader]:
    """Returns what loads completion models and what loads embedding models, whatever `device` says."""
    hardware = hf_device.detect()
    try:
        chosen = hf_device.choose_device(wanted.device, hardware)
        hf_device.check_dtype(wanted.dtype, chosen)
        if wanted.bits is not None:
            hf_device.check_quantization(wanted.bits, chosen)
        if wanted.offload_dir is not None:
            hf_device.make_offload_dir(wanted.offload_dir)
    except hf_device.DeviceError as error:
        raise click.UsageError(str(error)) from None
    options = dataclasses.replace(wanted, device=chosen)
    for entry in offered.completions:
        try:
            for_entry(options, entry, hardware)
        except hf_device.DeviceError as error:
            raise click.UsageError(f'--models-file: {entry.id!r}: {error}') from None
    return (HfLoader(offered.completions, options, hardware),
            HfEmbeddingLoader(offered.embeddings, wanted.dtype, chosen, hardware))
