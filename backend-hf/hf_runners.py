"""Which runner a loaded model gets: the batched one where it proves right for this very model, the general one else.

Knows both runners; knows nothing of files or of the catalog.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hf_kernels
import torch
from hf_batched import PER_UNIT, BatchedRunner, cache_bytes
from hf_decoder import UnknownDecoderError, describe
from hf_runner import HfRunner

from sandle.engine.runner import LoadError, ModelRunner, Work

logger = logging.getLogger(__name__)

PROBE_TOKENS = 24
# Root mean square, in standard deviations of the logits. A runner that is wrong is off by about one of them.
MOST_DEVIATION = {torch.float32: 1e-3, torch.bfloat16: 0.1}
MOST_DEVIATION_QUANTIZED = {8: 0.15, 4: 0.6}
CACHE_SHARE = 0.9  # of the memory left beside the weights

Model = Any  # transformers' models share no typed base


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What a runner is for. `memory_bytes` is what is free beside the weights; `bits` is of weights to be quantized."""

    slots: int
    context_length: int
    memory_bytes: int
    bits: int | None = None


def make_runner(model: Model, options: RunnerOptions, reload: Callable[[], Model]) -> ModelRunner:
    """Returns a runner for a model, which is emptied when the runner does without it. `reload` brings it back.

    The batched runner must give the model's own logits for a probe, or the general one is taken. Raises LoadError when
    not even one slot's cache fits into memory.
    """
    reason = _why_general(model)
    if reason is None:
        try:
            kernels = hf_kernels.load()
            decoder = describe(model, options.context_length)
        except (UnknownDecoderError, hf_kernels.KernelsError) as error:
            reason = str(error)
    if reason is not None:
        _check_can_be_general(options, model, reason)
        logger.info('runner: general, one sequence after the other (%s)', reason)
        return HfRunner(model, options.slots)
    dtype = model.dtype
    slots = _slots_that_fit(options, cache_bytes(decoder, dtype))
    probe, expected = _probe(model)
    runner = BatchedRunner(decoder, dtype, slots, kernels, options.bits)
    deviation = _deviation(runner, probe, expected)
    if deviation <= (MOST_DEVIATION[dtype] if options.bits is None else MOST_DEVIATION_QUANTIZED[options.bits]):
        logger.info('runner: batched, %d slots of %d tokens (off the model by %.1g of its spread)', slots,
                    options.context_length, deviation)
        return runner
    logger.warning('runner: general, one sequence after the other: the batched one is off the model by %.2g of its '
                   'spread, which should be reported', deviation)
    runner.release()
    del decoder, runner
    model = reload()
    _check_can_be_general(options, model, 'the kernels do not reproduce this model')
    return HfRunner(model, options.slots)


def _why_general(model: Model) -> str | None:
    """Returns why a model is beyond the batched runner before its parts are looked at."""
    if any(parameter.device.type != 'cpu' for parameter in model.parameters()):
        return 'it is not on the CPU'
    if model.dtype not in PER_UNIT:
        return f'its weights are {str(model.dtype).removeprefix("torch.")}'
    if any(parameter.dtype not in PER_UNIT for parameter in model.parameters()):
        return 'its weights are of several formats'
    return None


def _check_can_be_general(options: RunnerOptions, model: Model, reason: str) -> None:
    if options.bits is not None and model.device.type == 'cpu':
        raise LoadError(f'This model cannot be loaded with {options.bits}-bit weights on a CPU: {reason}.')


def _slots_that_fit(options: RunnerOptions, slot_bytes: int) -> int:
    fitting = int(CACHE_SHARE * options.memory_bytes) // slot_bytes
    if fitting < 1:
        raise LoadError(f'The key-value cache of one text of {options.context_length} tokens needs '
                        f'{slot_bytes / 2 ** 30:.1f} GiB, and {options.memory_bytes / 2 ** 30:.1f} are free: give a '
                        'smaller --max-context-tokens.')
    if fitting < options.slots:
        logger.warning('memory is enough for %d of %d sequences at once; a smaller --max-context-tokens makes room '
                       'for more', fitting, options.slots)
    return min(fitting, options.slots)


@torch.inference_mode()
def _probe(model: Model) -> tuple[list[int], torch.Tensor]:
    """Returns some tokens, and the model's own logits after each of them, [tokens, V]."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    tokens = [(7919 * index + 5) % vocabulary for index in range(PROBE_TOKENS)]
    return tokens, model(torch.tensor([tokens])).logits[0].float()


def _deviation(runner: BatchedRunner, probe: list[int], expected: torch.Tensor) -> float:
    """Returns how far a runner is off; the probe comes in two chunks, the second one beside another sequence."""
    half, count = len(probe) // 2, len(probe)
    last = runner.slots - 1
    first = runner.step([Work(last, 0, probe[:half], half)])
    beside = [Work(0, 0, probe[:1], 0)] if last else []
    second = runner.step([*beside, Work(last, half, probe[half:], count - half)])
    difference = torch.cat([first, second]) - expected
    return float(difference.square().mean().sqrt() / expected.std().clamp_min(1e-6))
