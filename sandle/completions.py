"""POST /v1/completions over an Engine.

Knows JSON and the contract's order of things; knows nothing of tokens' meaning or of how they come about.
"""

import secrets
from collections.abc import Iterator

import flask

from sandle import addressing
from sandle import app as http
from sandle import protocol, response_format, wire
from sandle.accounting import UsageMemory
from sandle.choices import ChoiceWriter, rank
from sandle.engine.engine import Delta, Engine, GenerationRequest
from sandle.generation import FINGERPRINT, Submitted, logged_refusal, respond, submit
from sandle.models import find_model
from sandle.sampling_request import CompletionLimits, check_support, sampling_params, user_of

OWN_FIELDS = frozenset({'prompt', 'max_tokens', 'add_special_tokens'})
KNOWN_ONCE_LOADED = frozenset({'suffix'})  # its tokenizer tells


def add_routes(app: flask.Flask, engine: Engine, limits: CompletionLimits, memory: UsageMemory) -> None:
    """Adds /v1/completions to an application, and the same below /m/{model}."""

    def post_completions(model: str | None = None) -> flask.Response:
        with logged_refusal():
            body = addressing.with_model(http.read_json(), model)
            submitted, wording = _start(engine, wire.parse(protocol.CompletionRequest, body), limits)
        return respond(submitted, wording, memory)

    addressing.add_rules(app, '/v1/completions', post_completions, 'POST')


def _start(engine: Engine, request: protocol.CompletionRequest,
           limits: CompletionLimits) -> tuple[Submitted, 'CompletionWording']:
    check_support(request, find_model(engine, request.model), OWN_FIELDS, KNOWN_ONCE_LOADED)
    limits.check_logprobs('logprobs', request.logprobs)
    generation = _generation_request(request)
    limits.check_sequences('n' if request.best_of is None else 'best_of',
                           generation.candidates * len(generation.prompts))
    submitted = submit(engine, request, generation)
    return submitted, CompletionWording(request, submitted)


def _generation_request(request: protocol.CompletionRequest) -> GenerationRequest:
    ranks = request.best_of is not None and request.best_of > request.n
    return GenerationRequest(
        id=f'cmpl-{secrets.token_hex(12)}', model=request.model, prompts=request.prompts(),
        params=sampling_params(request, request.max_tokens,
                               0 if request.logprobs is None and ranks else request.logprobs),
        candidates=request.best_of or request.n, echo=request.echo, suffix=request.suffix or None,
        add_special_tokens=request.add_special_tokens, user=user_of(request),
        grammar=response_format.grammar_of(request.response_format))


class CompletionWording:
    """See sandle.generation.Wording."""

    operation = 'text_completion'

    def __init__(self, request: protocol.CompletionRequest, submitted: Submitted) -> None:
        self._request = request
        self._submitted = submitted
        per_prompt = request.best_of or request.n
        prompt_ids = submitted.handle.prompt_ids
        self.writers = [ChoiceWriter(request, choice, prompt_ids[choice // per_prompt])
                        for choice in range(len(prompt_ids) * per_prompt)]

    def whole(self, usage: protocol.Usage) -> protocol.Completion:
        """See Wording.whole."""
        return self._completion(rank(self.writers, self._request), usage)

    def events(self, delta: Delta) -> Iterator[protocol.Completion]:
        """See Wording.events."""
        chunk = self.writers[delta.choice].chunk(delta)
        if chunk is not None:
            yield self._completion([chunk], None)

    def last_event(self, usage: protocol.Usage) -> protocol.Completion:
        """See Wording.last_event."""
        return self._completion([], usage)

    def _completion(self, choices: list[protocol.CompletionChoice],
                    usage: protocol.Usage | None) -> protocol.Completion:
        return protocol.Completion(id=self._submitted.id, created=self._submitted.created, model=self._request.model,
                                   system_fingerprint=FINGERPRINT, choices=choices, usage=usage)
