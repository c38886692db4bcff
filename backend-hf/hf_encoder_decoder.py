"""A transformers model with an encoder as a ModelRunner: it reads a slot's prompt, and the decoder its answer.

A prompt is encoded by itself, as a whole, when its last piece has come. The decoder works on all sequences together
whose answers are equally long, since its positions are one row's for all; their prompts' states are padded to one
length. Knows tensors and slots; knows neither text nor requests. Runs on the engine thread alone.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from sandle.engine.runner import Work

Layers = list[tuple[torch.Tensor, torch.Tensor]]  # keys and values [rows, heads, tokens, size], layer by layer


@dataclass(slots=True, eq=False)
class _Joint:
    """The caches of sequences that were computed together, a row each."""

    cache: Any  # EncoderDecoderCache
    mask: torch.Tensor  # [rows, prompt tokens], 0 for padding

    @property
    def rows(self) -> int:
        return int(self.mask.shape[0])

    def answers(self, row: int, length: int) -> Layers:
        """Returns what the decoder has cached of the first tokens of a row's answer."""
        return [(layer.keys[row:row + 1, :, :length], layer.values[row:row + 1, :, :length])
                for layer in self.cache.self_attention_cache.layers]

    def prompt(self, row: int) -> Layers:
        """Returns what the decoder has cached of a row's prompt."""
        length = int(self.mask[row].sum())
        return [(layer.keys[row:row + 1, :, :length], layer.values[row:row + 1, :, :length])
                for layer in self.cache.cross_attention_cache.layers]


@dataclass(slots=True, eq=False)
class _Slot:
    """A sequence: its tokens, and where it is computed, if `source` has been encoded."""

    tokens: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    joint: _Joint | None = None
    row: int = 0


class EncoderDecoderRunner:
    """See sandle.engine.runner.ModelRunner. A prompt has no logits but its last, for the answer's first token."""

    def __init__(self, model: Any, slots: int) -> None:  # Any: transformers' models share no typed base
        self._model: Any = model
        self._device = model.device
        settings = model.generation_config
        start = settings.decoder_start_token_id
        self._start = int(settings.bos_token_id or 0) if start is None else int(start)
        self._forced: int | None = getattr(settings, 'forced_bos_token_id', None)
        self._slots = [_Slot() for _ in range(slots)]

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return len(self._slots)

    @torch.inference_mode()
    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        rows: dict[int, torch.Tensor] = {}
        together: dict[int, list[Work]] = {}  # by the length of the answer, its beginning included
        for work in batch:
            slot = self._slots[work.slot]
            slot.tokens[work.start:] = work.tokens
            length = len(slot.tokens) - work.prompt_length
            assert work.logits == (length >= 0), 'a prompt is not scored, and an answer grows by a token a step'
            if not work.logits:
                continue
            source = slot.tokens[:work.prompt_length]
            if slot.source != source or slot.joint is None:
                assert length == 0, 'a prompt is encoded before its answer'
                slot.source, slot.joint, slot.row = source, self._encoded(source), 0
            together.setdefault(length, []).append(work)
        for length, works in together.items():
            rows.update(zip((work.slot for work in works), self._decode([work.slot for work in works], length)))
        wanted = [rows[work.slot] for work in batch if work.logits]
        return torch.stack(wanted) if wanted else torch.empty(0, self._model.config.vocab_size)

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix. What is computed of the prompt is shared: nothing writes into it."""
        origin = self._slots[source]
        self._slots[target] = _Slot(origin.tokens[:length], origin.source, origin.joint, origin.row)

    def release(self) -> None:
        """See ModelRunner.release."""
        self._model = None
        self._slots = []
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _encoded(self, source: list[int]) -> _Joint:
        """Returns a prompt ready for the decoder, with nothing of its answer."""
        ids = torch.tensor([source], device=self._device)
        mask = torch.ones_like(ids)
        states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        # The decoder's own forward fills the cache with the prompt; the token that it is given is cut off again.
        self._forward([self._start], BaseModelOutput(last_hidden_state=states), mask, cache)
        return _Joint(cache, mask)

    def _decode(self, slots: Sequence[int], length: int) -> torch.Tensor:
        """Returns logits [slots, V] after answers of that length, each with the decoder's first token before it."""
        members = [self._slots[slot] for slot in slots]
        joint = self._joined(members, length)
        tokens = [member.tokens[-1] if length else self._start for member in members]
        shape = *joint.mask.shape, self._model.config.hidden_size
        # The states themselves are not read again: what the decoder needs of them is in the cache.
        states = torch.empty(1, dtype=self._model.dtype, device=self._device).expand(shape)
        logits = self._forward(tokens, BaseModelOutput(last_hidden_state=states), joint.mask, joint.cache)
        for row, member in enumerate(members):
            member.joint, member.row = joint, row
        if length == 0 and self._forced is not None:
            forced = torch.full_like(logits, -torch.inf)
            forced[:, self._forced] = 0
            return forced
        return logits

    def _forward(self, tokens: Sequence[int], states: Any, mask: torch.Tensor, cache: Any) -> torch.Tensor:
        ids = torch.tensor(tokens, device=self._device)[:, None]
        output = self._model(decoder_input_ids=ids, encoder_outputs=states, attention_mask=mask, past_key_values=cache,
                             use_cache=True)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def _joined(self, members: Sequence[_Slot], length: int) -> _Joint:
        """Returns one cache for sequences with so many tokens of the decoder: what they share, or a new one."""
        first = members[0].joint
        assert first is not None, 'a prompt is encoded before its answer'
        is_whole = [member.row for member in members] == list(range(first.rows)) and all(
            member.joint is first for member in members)
        if is_whole and length and first.cache.get_seq_length() == length:
            return first
        parts = [(member.joint, member.row) for member in members if member.joint is not None]
        prompts = [joint.prompt(row) for joint, row in parts]
        sizes = [int(layers[0][0].shape[2]) for layers in prompts]
        cross = DynamicCache()
        own = DynamicCache()
        for index in range(len(prompts[0])):
            cross.update(*(torch.cat([pad(layers[index][side], (0, 0, 0, max(sizes) - size))
                                      for layers, size in zip(prompts, sizes)]) for side in (0, 1)), index)
            if length:
                answers = [joint.answers(row, length)[index] for joint, row in parts]
                own.update(*(torch.cat([layer[side] for layer in answers]) for side in (0, 1)), index)
        mask = torch.zeros(len(parts), max(sizes), dtype=torch.long, device=self._device)
        for row, size in enumerate(sizes):
            mask[row, :size] = 1
        self._part_from({id(joint) for joint, _ in parts}, members)
        return _Joint(EncoderDecoderCache(own, cross), mask)

    def _part_from(self, joints: set[int], leaving: Sequence[_Slot]) -> None:
        """Gives what stays behind in caches that others leave a cache of its own, so that they are not kept whole."""
        for slot in self._slots:
            joint = slot.joint
            if joint is None or id(joint) not in joints or joint.rows == 1 or any(slot is other for other in leaving):
                continue
            row = slot.row
            own, cross = DynamicCache(), DynamicCache()
            for index, (keys, values) in enumerate(joint.prompt(row)):
                cross.update(keys.clone(), values.clone(), index)
            for index, (keys, values) in enumerate(joint.answers(row, joint.cache.get_seq_length())):
                own.update(keys.clone(), values.clone(), index)
            size = int(joint.mask[row].sum())
            slot.joint, slot.row = _Joint(EncoderDecoderCache(own, cross), joint.mask.new_ones(1, size)), 0
