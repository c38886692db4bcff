"""From the fields of a client's request to what an Engine is asked: limits, what a model supports, how to sample."""

from dataclasses import dataclass

import flask

from sandle import app as http
from sandle import errors
from sandle.engine.engine import ModelInfo, ModelStatus, SamplingParams
from sandle.generation_protocol import GenerationFields

ALWAYS_SUPPORTED = frozenset({
    'model', 'temperature', 'top_p', 'stop', 'stream', 'stream_options', 'user', 'greedy_decoding',
    'stream_batch_size'})


@dataclass(frozen=True, slots=True)
class CompletionLimits:
    """What one request may ask for at most."""

    max_sequences_per_request: int = 128
    max_logprobs: int = 20

    def check_logprobs(self, param: str, logprobs: int | None) -> None:
        """Raises InvalidRequestError for more alternatives a token than are allowed."""
        if logprobs is not None and logprobs > self.max_logprobs:
            raise errors.InvalidRequestError(f'{param} must be at most {self.max_logprobs}.', param=param)

    def check_sequences(self, param: str, sequences: int) -> None:
        """Raises InvalidRequestError for more sequences than are allowed."""
        if sequences > self.max_sequences_per_request:
            raise errors.InvalidRequestError(
                f'This request asks for {sequences} sequences; at most {self.max_sequences_per_request} are allowed.',
                param=param)


def check_support(request: GenerationFields, info: ModelInfo, own: frozenset[str],
                  known_once_loaded: frozenset[str]) -> None:
    """Raises UnsupportedParameterError for a field that a model does not support.

    `own` are fields of the endpoint that every model supports; `known_once_loaded` those of which a model's files tell.
    """
    known_later: frozenset[str] = frozenset() if info.status is ModelStatus.READY else known_once_loaded
    unsupported = sorted(request.fields_in_use() - ALWAYS_SUPPORTED - own - info.capabilities - known_later)
    if unsupported:
        raise errors.UnsupportedParameterError(
            f'The model {info.id!r} does not support {unsupported[0]}.', param=unsupported[0])


def sampling_params(request: GenerationFields, max_tokens: int, logprobs: int | None) -> SamplingParams:
    """Returns how the tokens of a request are to be chosen."""
    return SamplingParams(
        max_tokens=max_tokens, temperature=0.0 if request.greedy_decoding else request.temperature,
        top_p=request.top_p or 1.0, top_k=request.top_k, min_p=request.min_p, typical_p=request.typical_p,
        presence_penalty=request.presence_penalty, frequency_penalty=request.frequency_penalty,
        repetition_penalty=request.repetition_penalty, seed=request.seed, stops=request.stops(),
        logit_bias=tuple((int(token), bias) for token, bias in (request.logit_bias or {}).items()),
        min_tokens=request.min_tokens, ignore_eos=request.ignore_eos, logprobs=logprobs)


def user_of(request: GenerationFields) -> str | None:
    """Returns among whom turns are shared out: the key that the wrapper names, or else the client's own `user`."""
    return flask.request.headers.get(http.KEY_HEADER) or request.user
