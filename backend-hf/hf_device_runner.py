"""A ModelRunner in plain torch for one accelerator: every sequence of a step in one pass through the model.

Steps in which every sequence has one token are the same operations on the same memory whatever the sequences are, so
they can be recorded (hf_replay). No step waits for a CUDA device: logits stay there, and are on their way when `step`
returns. Knows tensors and slots. Runs on the engine thread alone.
"""

import gc
from collections.abc import Mapping, Sequence

import torch
from hf_decoder import Decoder, LayerAdapter
from hf_device_adapters import NONE
from hf_device_attention import Cache, Chunk, EverySlot, rounded_length
from hf_device_model import DeviceModel, Rows
from hf_replay import Recorder, Replayed

from sandle.engine.runner import Work


class DeviceRunner:
    """See sandle.engine.runner.ModelRunner. `decoder` is emptied, and its weights stay on `device`.

    `is_alone` is for callers that give one token a step: it is then computed by itself, and nothing is recorded.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, slots: int, device: torch.device,
                 recorder: Recorder | None = None, is_alone: bool = False,
                 adapters: Mapping[str, Sequence[LayerAdapter]] = {}) -> None:
        self._device = device
        self._is_cuda = device.type == 'cuda'
        self._model: DeviceModel | None = DeviceModel(decoder, dtype, list(adapters.values()))
        self._adapters = {None: NONE} | {name: number for number, name in enumerate(adapters)}
        self._cache: Cache | None = Cache(decoder, dtype, slots, device)
        self._is_alone = is_alone
        self._inputs = torch.zeros(4, slots, dtype=torch.int64, device=device)  # tokens, positions, adapters, wanted
        self._decode = Replayed(self._decode_all, recorder)

    @property
    def slots(self) -> int:
        """See ModelRunner.slots."""
        return 0 if self._cache is None else self._cache.slots

    @torch.inference_mode()
    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        assert self._cache is not None, 'a released runner is not used'
        for work in batch:
            self._cache.cut(work.slot, work.start + len(work.tokens))
        decoding = [] if self._is_alone else [work for work in batch if len(work.tokens) == 1]
        logits = self._decode_step(batch) if len(decoding) == len(batch) else self._mixed_step(batch, decoding)
        return logits.cpu() if self._device.type == 'mps' else logits  # choosing takes float64, which Metal lacks

    @torch.inference_mode()
    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix."""
        assert self._cache is not None, 'a released runner is not used'
        self._cache.copy_prefix(source, target, length)

    def release(self) -> None:
        """See ModelRunner.release."""
        self._model = self._cache = None
        self._decode = Replayed(self._decode_all, None)
        gc.collect()
        if self._is_cuda:
            torch.cuda.empty_cache()
        elif self._device.type == 'mps':
            torch.mps.empty_cache()

    def _decode_step(self, batch: Sequence[Work]) -> torch.Tensor:
        tokens, positions, chosen = self._rows_of_slots(batch)
        wanted = [work.slot for work in batch if work.logits]
        rest = [0] * (self.slots - len(wanted))
        self._inputs.copy_(self._staged([*tokens, *positions, *chosen, *wanted, *rest]).view(4, -1), self._is_cuda)
        logits = self._decode(self._length(batch))
        return logits[:len(wanted)].clone()  # the next step overwrites it

    def _decode_all(self, length: int) -> torch.Tensor:
        """Returns logits [slots, vocabulary], the wanted ones first: of a token in each slot, as `_inputs` says."""
        assert self._model is not None and self._cache is not None, 'a released runner is not used'
        tokens, positions, chosen, wanted = self._inputs
        return self._model.logits(tokens, positions, wanted, [EverySlot(self._cache, positions, length)], chosen)

    def _mixed_step(self, batch: Sequence[Work], decoding: Sequence[Work]) -> torch.Tensor:
        """Computes a row for each slot, if some of the sequences have one token, and then the rows of the others."""
        assert self._model is not None and self._cache is not None, 'a released runner is not used'
        tokens, positions, chosen = self._rows_of_slots(decoding) if decoding else ([], [], [])
        wanted: list[int] = []
        chunks: list[tuple[Work, slice]] = []
        for work in batch:
            row = work.slot
            if self._is_alone or len(work.tokens) > 1:
                row = len(tokens)
                chunks.append((work, slice(row, row + len(work.tokens))))
                tokens += work.tokens
                positions += range(work.start, work.start + len(work.tokens))
                chosen += [self._adapters[work.adapter]] * len(work.tokens)
            end = row + len(work.tokens)
            wanted += range(end - work.logits, end)
        numbers = self._staged([*tokens, *positions, *chosen, *wanted]).to(self._device, non_blocking=self._is_cuda)
        rows = len(tokens)
        places = numbers[rows:2 * rows]
        parts: list[Rows] = []
        if decoding:
            parts.append(EverySlot(self._cache, places[:self.slots], self._length(decoding)))
        parts += [Chunk(self._cache, work.slot, work.start, chunk, places[chunk]) for work, chunk in chunks]
        return self._model.logits(numbers[:rows], places, numbers[3 * rows:], parts, numbers[2 * rows:3 * rows])

    def _rows_of_slots(self, batch: Sequence[Work]) -> tuple[list[int], list[int], list[int]]:
        """Returns a token, its position and an adapter for each slot; the spare place for those that have no work."""
        assert self._cache is not None, 'a released runner is not used'
        tokens, positions, chosen = [0] * self.slots, [self._cache.spare] * self.slots, [NONE] * self.slots
        for work in batch:
            tokens[work.slot], positions[work.slot] = work.tokens[0], work.start
            chosen[work.slot] = self._adapters[work.adapter]
        return tokens, positions, chosen

    def _length(self, batch: Sequence[Work]) -> int:
        assert self._cache is not None, 'a released runner is not used'
        return rounded_length(1 + max(work.start for work in batch), self._cache.spare)

    def _staged(self, numbers: list[int]) -> torch.Tensor:
        """Returns numbers in memory from where a GPU fetches them by itself."""
        return torch.tensor(numbers, dtype=torch.int64, pin_memory=self._is_cuda)
