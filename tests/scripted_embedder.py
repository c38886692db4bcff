"""An Embedder that plays what a test has written down, and notes what was asked of it. No threads, no time."""

from array import array
from collections.abc import Sequence

from sandle import errors
from sandle.embedder import CAPABILITIES, EmbeddingRequest
from sandle.engine.engine import Finished, ModelInfo, TextTokenizer
from tests.scripted_engine import CharacterTokenizer, model

Step = Sequence[Sequence[float]] | Exception | None  # vectors, an end, or nothing in time


class ScriptedHandle:
    """Plays steps; `cancelled` counts the calls of cancel."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.size = 4
        self.prompt_tokens = 7
        self.cancelled = 0
        self._steps = list(steps)

    def get(self, timeout_s: float) -> Sequence['array[float]']:
        """Returns or raises the next step."""
        step = self._steps.pop(0)
        if step is None:
            raise TimeoutError
        if isinstance(step, Exception):
            raise step
        return [array('f', vector) for vector in step]

    def cancel(self) -> Finished:
        """Counts."""
        self.cancelled += 1
        return Finished(3, 0, 0.1)


class ScriptedEmbedder:
    """Implements `sandle.embedder.Embedder`; every request gets the same steps."""

    def __init__(self, steps: Sequence[Step] = (), models: Sequence[ModelInfo] | None = None,
                 refusal: errors.ApiError | None = None) -> None:
        self.requests: list[EmbeddingRequest] = []
        self.handles: list[ScriptedHandle] = []
        self.is_loaded = True
        self.is_shut_down = False
        self._steps = steps
        self._models = [model(CAPABILITIES, name='finder')] if models is None else models
        self._refusal = refusal

    def models(self) -> Sequence[ModelInfo]:
        """Returns the models given."""
        return self._models

    def is_ready(self) -> bool:
        """Returns `is_loaded`."""
        return self.is_loaded

    def submit(self, request: EmbeddingRequest) -> ScriptedHandle:
        """Notes the request."""
        self.requests.append(request)
        if self._refusal is not None:
            raise self._refusal
        self.handles.append(ScriptedHandle(self._steps))
        return self.handles[-1]

    def tokenizer(self, model: str) -> TextTokenizer:
        """Returns a tokenizer of one id a character."""
        return CharacterTokenizer()

    def shutdown(self) -> None:
        """Notes it."""
        self.is_shut_down = True
