"""Requests to an EngineLoop over scripted models, and what becomes of them, for tests."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from sandle.engine.engine import Delta, Finished, GenerationRequest, Handle, ModelInfo, ModelStatus, SamplingParams
from sandle.engine.loop import EngineLoop, EngineOptions
from tests.engine.scripted import ScriptedLoader, completion

PATIENCE_S = 10.0


def info(model: str) -> ModelInfo:
    """A model on offer."""
    return ModelInfo(model, '', '', 0, ModelStatus.AVAILABLE, frozenset())


def eventually(is_true: Callable[[], bool]) -> None:
    """Waits for something that another thread brings about."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline_s, 'it did not come about'
        time.sleep(0.005)  # between two looks


def request(prompt: str | tuple[int, ...] = 'ab', model: str = 'first', *, candidates: int = 1, echo: bool = False,
            prompts: tuple[str | tuple[int, ...], ...] = (), **sampling: Any) -> GenerationRequest:
    """A request for greedy tokens; `sampling` are fields of SamplingParams."""
    return GenerationRequest('id', model, prompts or (prompt,), candidates=candidates, echo=echo,
                             params=SamplingParams(**{'temperature': 0.0, 'max_tokens': 5, **sampling}),
                             add_special_tokens=False)


def collect(handle: Handle) -> tuple[list[Delta], Finished]:
    """Reads a request to its end."""
    deltas = []
    while not isinstance(event := handle.get(PATIENCE_S), Finished):
        deltas.append(event)
    return deltas, event


def text(deltas: Sequence[Delta], choice: int = 0) -> str:
    """The text of one choice."""
    return ''.join(delta.text for delta in deltas if delta.choice == choice)


def greedy(prompt: str, count: int) -> str:
    """The scripted model's answer."""
    return bytes(completion(list(prompt.encode()), count)).decode()


class Started:
    """An engine and its loader; ended by the fixture."""

    def __init__(self) -> None:
        self.engines: list[EngineLoop] = []

    def __call__(self, loader: ScriptedLoader, options: EngineOptions = EngineOptions()) -> EngineLoop:
        engine = EngineLoop([info('first'), info('second')], loader, 'first', options)
        self.engines.append(engine)
        return engine


def ready(start: Started, loader: ScriptedLoader, options: EngineOptions = EngineOptions()) -> EngineLoop:
    """An engine whose first model is in memory."""
    engine = start(loader, options)
    eventually(engine.is_ready)
    return engine


def status(engine: EngineLoop, model: str) -> ModelStatus:
    """A model's status."""
    return next(info.status for info in engine.models() if info.id == model)
