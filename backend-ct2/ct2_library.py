"""CTranslate2's two kinds of models behind one interface: batches of prompts in, each token told as it is chosen.

Knows the library's arguments and what it leaves to its callers; knows neither requests nor text.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ctranslate2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
OnToken = Callable[[Any], bool]  # Any: the library's GenerationStepResult; whether the prompt's answer ends with it

LEAST_TEMPERATURE = 1e-6  # below, float32 cannot tell it from greedy


class Detail(enum.Enum):
    """What is told of a token beside its id."""

    NONE = 'nothing'
    CHOSEN = 'its logprob'
    TOP = 'the logprobs of the whole vocabulary'


@dataclass(frozen=True, slots=True)
class Settings:
    """What the library takes once for a whole batch, as in `SamplingParams`."""

    temperature: float
    top_k: int
    top_p: float
    ignores_end: bool
    detail: Detail


class Library(Protocol):
    """A model in memory. `generate` and `score` may be called on as many threads at once as it was loaded for."""

    def generate(self, prompts: Sequence[list[str]], settings: Settings, max_tokens: int, on_token: OnToken) -> None:
        """Works on a batch until every answer has ended. `on_token` is called on a thread of the library's."""
        ...

    def score(self, prompt: Sequence[int]) -> Floats:
        """Returns the logprobs [tokens, V] after each token of a prompt; only where there is no encoder."""
        ...

    def release(self) -> None:
        """Frees the model's memory. Nothing may be running."""
        ...


class DecoderOnly:
    """See Library."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # Any: the library's own, see ct2_model
        self._generator = ctranslate2.Generator(*arguments, **options)

    def generate(self, prompts: Sequence[list[str]], settings: Settings, max_tokens: int, on_token: OnToken) -> None:
        """See Library.generate."""
        self._generator.generate_batch(list(prompts), max_length=max_tokens, include_prompt_in_result=False,
                                       callback=on_token, **_options(settings))

    def score(self, prompt: Sequence[int]) -> Floats:
        """See Library.score."""
        logprobs: Floats = np.array(self._generator.forward_batch([list(prompt)], return_log_probs=True), np.float32)[0]
        return logprobs

    def release(self) -> None:
        """See Library.release."""
        self._generator.unload_model()


class EncoderDecoder:
    """See Library."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # Any: as above
        self._translator = ctranslate2.Translator(*arguments, **options)

    def generate(self, prompts: Sequence[list[str]], settings: Settings, max_tokens: int, on_token: OnToken) -> None:
        """See Library.generate. (The library would cut prompts at 1,024 tokens, and never answer with nothing.)"""
        self._translator.translate_batch(list(prompts), max_input_length=0, max_decoding_length=max_tokens,
                                         min_decoding_length=0, callback=on_token, **_options(settings))

    def score(self, prompt: Sequence[int]) -> Floats:
        """See Library.score: an encoder's tokens have no probabilities."""
        raise NotImplementedError

    def release(self) -> None:
        """See Library.release."""
        self._translator.unload_model()


def _options(settings: Settings) -> dict[str, Any]:  # Any: keyword arguments of a library without types
    is_greedy = settings.temperature == 0
    options: dict[str, Any] = {
        'beam_size': 1, 'sampling_topk': 1 if is_greedy else settings.top_k, 'sampling_topp': settings.top_p,
        'sampling_temperature': 1.0 if is_greedy else max(settings.temperature, LEAST_TEMPERATURE),
        'return_scores': settings.detail is not Detail.NONE, 'return_logits_vocab': settings.detail is Detail.TOP}
    return options | ({'end_token': []} if settings.ignores_end else {})
