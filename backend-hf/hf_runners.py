"""Which runner a loaded model gets: a batched one where it proves right for this very model, the general one else.

Knows all runners; knows nothing of files or of the catalog.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hf_batched
import hf_device_attention
import hf_kernels
import torch
from hf_adapters import Adapter
from hf_batched import BatchedRunner
from hf_decoder import Decoder, LayerAdapter, UnknownDecoderError
from hf_device_runner import DeviceRunner
from hf_encoder_decoder import EncoderDecoderRunner
from hf_hooks import AdapterHooks
from hf_lora import layer_adapters
from hf_one_by_one import OneByOne
from hf_packing import PER_UNIT
from hf_readers import describe
from hf_replay import CudaGraphs
from hf_runner import HfRunner

from sandle.engine.runner import LoadError, ModelRunner, Work

logger = logging.getLogger(__name__)

KERNEL_DEVICES = frozenset({'cpu'})  # served by hf_batched; others by hf_device_runner
PROBE_CHUNKS = (12, 10, 1, 1)
# Root mean square, in standard deviations of the logits. A runner that is wrong is off by about one of them.
MOST_DEVIATION = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.1}
MOST_DEVIATION_QUANTIZED = {8: 0.15, 4: 0.6}
CACHE_SHARE = 0.9  # of the memory left beside the weights

Model = Any  # transformers' models share no typed base


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What a runner is for. `memory_bytes` is what is free beside the weights; `bits` is of weights to be quantized.

    `stored_bits`: with how many a runner that quantizes holds weights that came quantized, if `bits` does not say.
    """

    slots: int
    context_length: int
    memory_bytes: int
    bits: int | None = None
    is_batch_invariant: bool = False
    adapters: tuple[Adapter, ...] = ()
    stored_bits: int | None = None

    @property
    def kernel_bits(self) -> int | None:
        """With how many bits the kernels for CPUs hold weights."""
        return self.bits or self.stored_bits


@dataclass(frozen=True, slots=True)
class _Batched:
    """A runner for all sequences at once, not made yet."""

    name: str
    slot_bytes: int
    make: Callable[[int], ModelRunner]  # from the number of slots


def make_runner(model: Model, options: RunnerOptions, reload: Callable[[], Model]) -> ModelRunner:
    """Returns a runner for a model, which is emptied when the runner does without it. `reload` brings it back.

    A batched runner must give the model's own logits for a probe, or the general one is taken. Raises LoadError when
    not even one slot's cache fits into main memory.
    """
    batched = _choose(model, options)
    if isinstance(batched, str):
        return _general(model, options, batched)
    slots = _slots_that_fit(options, batched.slot_bytes)
    dtype = model.dtype
    probe, expected = _probe(model, options.adapters)
    runner = batched.make(slots)
    deviation, bits = _deviation(runner, probe, expected), options.kernel_bits
    if deviation <= (MOST_DEVIATION[dtype] if bits is None else MOST_DEVIATION_QUANTIZED[bits]):
        logger.info('runner: %s, %d slots of %d tokens (off the model by %.1g of its spread)', batched.name, slots,
                    options.context_length, deviation)
        return runner if isinstance(runner, BatchedRunner) else _invariant(runner, options)
    logger.warning('runner: the %s one is off the model by %.2g of its spread, which should be reported', batched.name,
                   deviation)
    runner.release()
    del batched, runner
    return _general(reload(), options, 'the faster one does not reproduce this model')


def _general(model: Model, options: RunnerOptions, reason: str) -> ModelRunner:
    if options.bits is not None and model.device.type == 'cpu':
        raise LoadError(f'This model cannot be loaded with {options.bits}-bit weights on a CPU: {reason}.')
    if model.config.is_encoder_decoder:
        if options.adapters:
            raise LoadError('Adapters are for models without an encoder.')
        logger.info('runner: for models with an encoder')
        return _invariant(EncoderDecoderRunner(model, options.slots), options)
    logger.info('runner: general, one sequence after the other (%s)', reason)
    return _invariant(HfRunner(model, options.slots, options.adapters), options)


def _invariant(runner: ModelRunner, options: RunnerOptions) -> ModelRunner:
    """Returns a runner whose logits depend on nothing else in the batch, if that is asked for."""
    if not options.is_batch_invariant:
        return runner
    logger.warning('--batch-invariant: with this runner every token is computed by itself, which is slow')
    return OneByOne(runner)


def _choose(model: Model, options: RunnerOptions) -> _Batched | str:
    """Returns the batched runner for a model, or why there is none."""
    reason = _why_general(model)
    if reason is not None:
        return reason
    device, dtype = model.device, model.dtype
    try:
        kernels = hf_kernels.load() if device.type in KERNEL_DEVICES else None
        decoder = describe(model, options.context_length)
        adapters = layer_adapters(model, decoder, options.adapters)
    except (UnknownDecoderError, hf_kernels.KernelsError) as error:
        return str(error)
    if kernels is not None:
        return _Batched('batched', hf_batched.cache_bytes(decoder, dtype),
                        lambda slots: BatchedRunner(decoder, dtype, slots, kernels, options.kernel_bits, adapters))
    slot_bytes = hf_device_attention.cache_bytes(decoder, dtype)
    if _fitting(options, slot_bytes) < 1:
        return f'a text of {options.context_length} tokens needs {slot_bytes / 2 ** 30:.1f} GiB of cache'
    return _Batched(f'batched on {device}', slot_bytes,
                    lambda slots: _on_device(decoder, adapters, options, dtype, slots, device))


def _on_device(decoder: Decoder, adapters: Mapping[str, Sequence[LayerAdapter]], options: RunnerOptions,
               dtype: torch.dtype, slots: int, device: torch.device) -> ModelRunner:
    records = device.type == 'cuda' and not options.is_batch_invariant
    return DeviceRunner(decoder, dtype, slots, device, CudaGraphs(device) if records else None,
                        is_alone=options.is_batch_invariant, adapters=adapters)


def _why_general(model: Model) -> str | None:
    """Returns why a model is beyond the batched runners before its parts are looked at."""
    if model.config.is_encoder_decoder:
        return 'it has an encoder'
    devices = {parameter.device for parameter in model.parameters()}
    has_hooks = any(hasattr(module, '_hf_hook') for module in model.modules())
    if len(devices) > 1 or torch.device('meta') in devices or has_hooks:
        return 'it is spread over several devices, or offloaded'
    if getattr(model, 'is_quantized', False):
        return 'its weights are quantized by a library'
    known = PER_UNIT if model.device.type in KERNEL_DEVICES else MOST_DEVIATION
    if model.dtype not in known:
        return f'its weights are {str(model.dtype).removeprefix("torch.")}'
    if any(parameter.dtype not in known for parameter in model.parameters()):
        return 'its weights are of several formats'
    return None


def _fitting(options: RunnerOptions, slot_bytes: int) -> int:
    return int(CACHE_SHARE * options.memory_bytes) // slot_bytes


def _slots_that_fit(options: RunnerOptions, slot_bytes: int) -> int:
    fitting = _fitting(options, slot_bytes)
    if fitting < 1:
        raise LoadError(f'The key-value cache of one text of {options.context_length} tokens needs '
                        f'{slot_bytes / 2 ** 30:.1f} GiB, and {options.memory_bytes / 2 ** 30:.1f} are free: give a '
                        'smaller --max-context-tokens.')
    if fitting < options.slots:
        logger.warning('memory is enough for %d of %d sequences at once; a smaller --max-context-tokens makes room '
                       'for more', fitting, options.slots)
    return min(fitting, options.slots)


@torch.inference_mode()
def _probe(model: Model, adapters: Iterable[Adapter]) -> tuple[list[int], dict[str | None, torch.Tensor]]:
    """Returns some tokens, and the model's own logits after each, [tokens, V]: without and with each adapter."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    tokens = [(7919 * index + 5) % vocabulary for index in range(sum(PROBE_CHUNKS))]
    hooks = AdapterHooks(model, adapters)
    expected: dict[str | None, torch.Tensor] = {}
    for name in (None, *(adapter.name for adapter in adapters)):
        hooks.current = name
        expected[name] = model(torch.tensor([tokens], device=model.device)).logits[0].float()
    hooks.remove()
    return tokens, expected


def _deviation(runner: ModelRunner, probe: list[int], expected: Mapping[str | None, torch.Tensor]) -> float:
    """Returns how far a runner is off at most; infinity where it cannot compute on its device.

    The probe comes in chunks and in single tokens, all but the first beside another sequence that has no adapter.
    """
    try:
        return max(_deviation_with(adapter, runner, probe, logits) for adapter, logits in expected.items())
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # an operation that PyTorch lacks there
        logger.warning('runner: %s', str(error).partition('\n')[0])
        return math.inf


def _deviation_with(adapter: str | None, runner: ModelRunner, probe: list[int], expected: torch.Tensor) -> float:
    last, start = runner.slots - 1, 0
    found = []
    for index, count in enumerate(PROBE_CHUNKS):
        beside = [Work(0, index - 1, probe[:1], 0)] if last and index else []
        found.append(runner.step([*beside, Work(last, start, probe[start:start + count], count, adapter)]))
        start += count
    difference = torch.cat(found) - expected
    return float(difference.square().mean().sqrt() / expected.std().clamp_min(1e-6))
