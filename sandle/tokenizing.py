"""POST /tokenize, POST /detokenize and GET /tokenizer_info over an Engine, as vLLM words them.

Knows JSON; what a token is, is the tokenizer's. A request that names no model means the default one.
"""

import dataclasses
from collections.abc import Sequence

import flask

from sandle import addressing
from sandle import app as http
from sandle import errors, protocol, wire
from sandle.engine.engine import Engine
from sandle.models import as_json, find_model, model_objects


def add_routes(app: flask.Flask, engine: Engine) -> None:
    """Adds the three to an application, and the same below /m/{model}."""

    def post_tokenize(model: str | None = None) -> flask.Response:
        request = wire.parse(protocol.TokenizeRequest, addressing.with_model(http.read_json(), model))
        name = _model(engine, request.model)
        tokens = engine.tokenizer(name).encode(request.prompt, request.add_special_tokens)
        return as_json(protocol.TokenizeResponse(
            tokens=list(tokens), count=len(tokens), max_model_len=find_model(engine, name).context_length))

    def post_detokenize(model: str | None = None) -> flask.Response:
        request = wire.parse(protocol.DetokenizeRequest, addressing.with_model(http.read_json(), model))
        name = _model(engine, request.model)
        tokenizer = engine.tokenizer(name)
        _check_tokens(request.tokens, name, tokenizer.vocab_size)
        return as_json(protocol.DetokenizeResponse(prompt=tokenizer.detokenize(request.tokens)))

    def get_tokenizer_info(model: str | None = None) -> flask.Response:
        name = _model(engine, model or flask.request.args.get('model'))
        tokenizer = engine.tokenizer(name)
        return as_json(protocol.TokenizerInfoResponse(
            model=name, vocab_size=tokenizer.vocab_size, model_max_length=find_model(engine, name).context_length,
            **dataclasses.asdict(tokenizer.info)))

    addressing.add_rules(app, '/tokenize', post_tokenize, 'POST')
    addressing.add_rules(app, '/detokenize', post_detokenize, 'POST')
    addressing.add_rules(app, '/tokenizer_info', get_tokenizer_info, 'GET')


def _model(engine: Engine, named: str | None) -> str:
    return addressing.default_model(model_objects(engine)) if named is None else find_model(engine, named).id


def _check_tokens(tokens: Sequence[int], model: str, vocab_size: int) -> None:
    for place, token in enumerate(tokens):
        if token >= vocab_size:
            raise errors.InvalidRequestError(f'tokens[{place}] is {token}, but the vocabulary of {model!r} ends at '
                                             f'{vocab_size - 1}.', param='tokens')
