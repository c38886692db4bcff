"""A transformers model as a ModelRunner: one key-value cache a slot, every sequence of a step in a forward of its own.

Works for every decoder-only family whose cache can be cut back to a length, as the engine's reuse of prefixes asks.
Knows tensors and slots; knows neither text nor requests. Runs on the engine thread alone.
"""

import gc
import inspect
import math
from collections.abc import Iterable, Sequence

import torch
from hf_adapters import Adapter
from hf_hooks import AdapterHooks
from transformers import DynamicCache, PreTrainedModel

from sandle.engine.runner import Work


class HfRunner:
    """See sandle.engine.runner.ModelRunner."""

    def __init__(self, model: PreTrainedModel, slots: int, adapters: Iterable[Adapter] = ()) -> None:
        self._model: PreTrainedModel | None = model
        self._hooks = AdapterHooks(model, adapters)
        # Offloaded weights are on "meta" between their uses; a model offloaded as a whole takes its input on the CPU.
        self._device = next((parameter.device for parameter in model.parameters() if parameter.device.type != 'meta'),
                            torch.device('cpu'))
        # Without a config, so that no layer keeps only its attention window: a slot must be able to go back.
        self._caches = [DynamicCache() for _ in range(slots)]
        self._keeps_logits = 'logits_to_keep' in inspect.signature(model.forward).parameters
        self._turning_point = _turning_point(model)
        self._held: list[list[int]] = [[] for _ in range(slots)]  # the tokens in each slot
        self._is_past = [False] * slots  # whether they were computed as part of a text past the turning point

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return len(self._caches)

    @torch.inference_mode()
    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        return torch.cat([self._forward(work) for work in batch])

    @torch.inference_mode()
    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix."""
        copy = DynamicCache()
        for index, layer in enumerate(self._caches[source].layers):
            if layer.is_initialized:
                copy.update(layer.keys[..., :length, :].clone(), layer.values[..., :length, :].clone(), index)
        self._caches[target] = copy
        self._held[target] = self._held[source][:length]
        self._is_past[target] = self._is_past[source]

    def release(self) -> None:
        """See ModelRunner.release."""
        self._hooks.remove()
        self._model = None
        self._caches = []
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _forward(self, work: Work) -> torch.Tensor:
        """Returns logits [work.logits, vocabulary] in float32; the slot's cache then ends with the work's tokens."""
        assert self._model is not None, 'a released runner is not used'
        cache, held = self._caches[work.slot], self._held[work.slot]
        start, length = work.start, work.start + len(work.tokens)
        held[start:] = work.tokens
        if self._is_past[work.slot] != (length > self._turning_point):
            start = 0  # what the slot holds was computed for a text on the other side
        self._is_past[work.slot] = length > self._turning_point
        cache.crop(start - cache.get_seq_length())
        self._hooks.current = work.adapter
        options = {'logits_to_keep': max(work.logits, 1)} if self._keeps_logits else {}
        output = self._model(
            input_ids=torch.tensor([held[start:]], device=self._device),
            attention_mask=torch.ones(1, length, dtype=torch.long, device=self._device),
            past_key_values=cache, use_cache=True, **options)
        logits: torch.Tensor = output.logits[0]
        return logits[logits.shape[0] - work.logits:].float()


def _turning_point(model: PreTrainedModel) -> float:
    """Returns the length past which a model turns all positions at other frequencies (LongRoPE); infinite for most.

    generate() computes a text that grows past it anew, and so must a slot that is continued on its other side.
    """
    config = model.config.get_text_config(decoder=True)
    rope = getattr(config, 'rope_parameters', None) or {}
    if rope.get('rope_type') != 'longrope':
        return math.inf
    return float(rope['original_max_position_embeddings'])
