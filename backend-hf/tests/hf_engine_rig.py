"""A real engine over a model's folder, and requests to it."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hf_device
from hf_load_options import LoadOptions
from hf_model import HfLoader

from sandle.catalog import CatalogEntry, Offer
from sandle.engine.engine import Delta, Finished, GenerationRequest, Handle, ModelInfo, ModelStatus, SamplingParams
from sandle.engine.loop import EngineLoop, EngineOptions

PATIENCE_S = 240.0  # a busy machine takes its time
MODEL = 'tiny'


@contextlib.contextmanager
def running(folder: Path, slots: int = 3, max_batch_tokens: int = 16,
            context: int | None = None, adapters: Mapping[str, Path] = {},
            patience_s: float = PATIENCE_S) -> Iterator[EngineLoop]:
    """An engine, ready; by itself with fewer slots than most tests have sequences, and chunks shorter than prompts."""
    offers = tuple(Offer(name, name, 'test', path=place) for name, place in adapters.items())
    loader = HfLoader([CatalogEntry(MODEL, MODEL, 'test', path=folder, adapters=offers)],
                      LoadOptions(slots=slots, max_context_tokens=context), hf_device.Hardware())
    infos = [ModelInfo(MODEL, '', '', 0, ModelStatus.AVAILABLE, frozenset()),
             *(ModelInfo(name, '', '', 0, ModelStatus.AVAILABLE, frozenset(), parent=MODEL) for name in adapters)]
    engine = EngineLoop(infos, loader, MODEL, EngineOptions(max_batch_tokens=max_batch_tokens))
    try:
        deadline_s = time.monotonic() + patience_s
        while not engine.is_ready():
            assert time.monotonic() < deadline_s, engine.models()
            time.sleep(0.01)  # between two looks at the engine's thread
        yield engine
    finally:
        engine.shutdown()


def submit(engine: EngineLoop, prompts: Sequence[str | tuple[int, ...]], candidates: int = 1, echo: bool = False,
           model: str = MODEL, **sampling: Any) -> Handle:
    """Asks for greedy tokens unless told otherwise."""
    params = SamplingParams(**{'temperature': 0.0, 'max_tokens': 24, **sampling})
    return engine.submit(GenerationRequest('id', model, tuple(prompts), params, candidates, echo))


def deltas(handle: Handle) -> list[Delta]:
    """Reads a request to its end."""
    found = []
    while not isinstance(event := handle.get(PATIENCE_S), Finished):
        found.append(event)
    return found


def texts(found: Sequence[Delta], count: int) -> list[str]:
    """The text of each choice."""
    return [''.join(delta.text for delta in found if delta.choice == choice) for choice in range(count)]


def ids(found: Sequence[Delta], count: int) -> list[list[int]]:
    """The generated tokens of each choice."""
    return [[token.id for delta in found if delta.choice == choice and not delta.is_prompt for token in delta.tokens]
            for choice in range(count)]
