"""The wrapper's HTTP endpoints: who asks, for which model, and where it is passed on.

Knows the API's requests; never reads a token's meaning.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import flask

from sandle import addressing, embedding_protocol, errors
from sandle import app as http
from sandle import metrics, protocol, wire
from sandle.app import Lifecycle
from sandle.chat_protocol import ChatRequest
from sandle.generation_protocol import GenerationFields
from wrapper_access import follow_requests, log, record
from wrapper_admission import Admission
from wrapper_auth import Guard
from wrapper_compat import add_compat
from wrapper_cost import TINY, Forwarded, estimate
from wrapper_cors import add_cors
from wrapper_dialect import Request
from wrapper_forward import Forwarder
from wrapper_keys import Keys
from wrapper_metrics import Metrics
from wrapper_page import StaticFile, add_page
from wrapper_registry import Registry
from wrapper_report import add_usage
from wrapper_tracing import add_tracing
from wrapper_usage import UsageBook

RENDER_PATH = '/v1/chat/completions/render'
FORWARDED: Mapping[str, type[Forwarded]] = {
    '/v1/completions': protocol.CompletionRequest, '/v1/chat/completions': ChatRequest, RENDER_PATH: ChatRequest,
    '/v1/embeddings': embedding_protocol.EmbeddingsRequest, '/tokenize': protocol.TokenizeRequest,
    '/detokenize': protocol.DetokenizeRequest}


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decides about requests.

    `pass_fields`: request fields beyond the protocol's that backends get. `is_key_user`: backends get the key's name as
    `user` in place of what the client sent. `has_compat`: old clients have their addresses. `pages`: static files by
    address.
    """

    pass_fields: frozenset[str] = frozenset()
    is_key_user: bool = False
    has_compat: bool = False
    cors_origins: Collection[str] = ()
    pages: Mapping[str, StaticFile] = field(default_factory=dict)


def create_app(lifecycle: Lifecycle, keys: Keys, registry: Registry, forwarder: Forwarder, admission: Admission,
               book: UsageBook, numbers: Metrics, policy: Policy) -> flask.Flask:
    """Returns the wrapper's application."""
    app = http.create_app(__name__, lifecycle)
    follow_requests(app, (log, numbers.observe))
    add_tracing(app, registry.has)
    add_cors(app, policy.cors_origins)
    guard = Guard(app, keys)
    for endpoint in ('health', 'ready'):
        guard.make_public(endpoint)
    _add_api(app, lifecycle, registry, forwarder, admission, policy)
    add_usage(app, book)
    _add_metrics(app, numbers)
    add_page(app, guard, policy.pages)
    return app


def _add_api(app: flask.Flask, lifecycle: Lifecycle, registry: Registry, forwarder: Forwarder,
             admission: Admission, policy: Policy) -> None:

    def list_models() -> flask.Response:
        return _json(protocol.ModelList(data=usable_models()))

    def get_model(model: str) -> flask.Response:
        check_model(model)
        return _json(registry.model(model))

    def usable_models() -> list[protocol.ModelObject]:
        """Returns the models that the key at hand opens."""
        key = record().key
        return [model for model in registry.models() if key is None or key.may_use(model.id)]

    def check_model(name: str) -> None:
        """Notes which model a request is about. Raises PermissionDeniedError for one that its key does not open."""
        record().model = name
        key = record().key
        if key is not None and not key.may_use(name):
            raise errors.PermissionDeniedError('This API key may not use this model.', param='model')

    def pass_on(model: str, method: str, path: str, request: Request | None, cost: int,
                is_streamed: bool = False) -> flask.Response:
        """Returns the answer of a backend to a request that may cost so many tokens."""
        registry.route(model)  # a model that nobody has is nothing to wait for
        return admission.answer(model, cost, is_streamed,
                                lambda: forwarder.forward(registry.route(model), method, path, request))

    def answer(path: str, body: Mapping[str, object], model: str | None) -> flask.Response:
        """Checks a request and passes it on; `model` is what the address names, if it names one."""
        body = addressing.with_model(body, model)
        parsed = wire.parse(FORWARDED[path], body)
        name = parsed.model or addressing.default_model(usable_models())
        check_model(name)
        request = _reduce({**body, 'model': name}, parsed, policy)
        is_streamed = isinstance(parsed, GenerationFields) and parsed.stream and path != RENDER_PATH
        return pass_on(name, 'POST', path, request, TINY if path == RENDER_PATH else estimate(parsed), is_streamed)

    def passing_on(path: str) -> Callable[..., flask.Response]:
        return lambda model=None: answer(path, http.read_json(), model)

    def get_tokenizer_info(model: str | None = None) -> flask.Response:
        name = model or flask.request.args.get('model') or addressing.default_model(usable_models())
        check_model(name)
        # Not below /m/: other servers know only the plain address, and leave out what they do not know of the query.
        path = f'/tokenizer_info?model={quote(name, safe="")}'
        return pass_on(name, 'GET', path, None, TINY)

    def ready() -> tuple[dict[str, str], int]:
        if lifecycle.is_draining:
            return {'status': 'draining'}, 503
        return ({'status': 'ready'}, 200) if registry.is_ready() else ({'status': 'loading'}, 503)

    app.add_url_rule('/v1/models', view_func=list_models)
    addressing.use_model_ids(app)
    app.add_url_rule('/v1/models/<model:model>', view_func=get_model)
    for path in FORWARDED:
        addressing.add_rules(app, path, passing_on(path), 'POST')
    addressing.add_rules(app, '/tokenizer_info', get_tokenizer_info, 'GET')
    app.add_url_rule('/ready', view_func=ready)
    if policy.has_compat:
        add_compat(app, usable_models, answer)


def _add_metrics(app: flask.Flask, numbers: Metrics) -> None:

    def get_metrics() -> flask.Response:
        """The numbers tell of every model and backend, so they are not for a key that opens some models only."""
        key = record().key
        if key is not None and key.models is not None:
            raise errors.PermissionDeniedError('This API key may not read the metrics.')
        return metrics.scrape(numbers.registry)

    app.add_url_rule('/metrics', view_func=get_metrics)


def _reduce(body: Mapping[str, object], parsed: wire.WireModel, policy: Policy) -> Request:
    """Returns the request for backends: known fields only, null ones left out, since null means the default."""
    passed = type(parsed).model_fields.keys() | policy.pass_fields
    fields = {name: value for name, value in body.items() if name in passed and value is not None}
    if policy.is_key_user and 'user' in passed:
        fields['user'] = record().key_name
    return Request(fields, parsed, policy.pass_fields)


def _json(model: protocol.ModelObject | protocol.ModelList) -> flask.Response:
    return flask.Response(model.model_dump_json(), mimetype='application/json')
