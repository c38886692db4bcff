"""Which model a request means: by its body, by its address, or because there is no other.

Clients that cannot name a model in what they send, such as lm-evaluation-harness's remote tokenizer, put `/m/{model}`
in front of a path. Backends and the wrapper share this, so that both read an address alike.
"""

from collections.abc import Callable, Mapping, Sequence

import flask
from werkzeug.routing import PathConverter

from sandle import errors
from sandle.protocol import ModelObject

LIKELIEST_FIRST = ('ready', 'loading', 'available')


class ModelIdConverter(PathConverter):
    """A model's id within an address: anything at all. Werkzeug's own `path` cannot begin with a slash."""

    part_isolating = False
    regex = '.+?'


def use_model_ids(app: flask.Flask) -> None:
    """Lets the rules of an application hold `<model:…>`."""
    app.url_map.converters['model'] = ModelIdConverter


def add_rules(app: flask.Flask, path: str, view: Callable[..., flask.Response], method: str) -> None:
    """Adds a path, and the same below `/m/{model}`; the view takes `model`, None where the address names none."""
    use_model_ids(app)
    for rule in (path, f'/m/<model:model>{path}'):
        app.add_url_rule(rule, path.strip('/'), view, methods=[method])


def with_model(body: Mapping[str, object], model: str | None) -> Mapping[str, object]:
    """Returns a request body with the model that its address names. Raises InvalidRequestError if it names another."""
    if model is None:
        return body
    named = body.get('model')
    if named is not None and named != model:
        raise errors.InvalidRequestError(f'The address names the model {model!r}, and the body {str(named)[:256]!r}.',
                                         param='model')
    return {**body, 'model': model}


def default_model(models: Sequence[ModelObject]) -> str:
    """Returns the model that is meant when none is named: the only one that is ready, or on its way, or on offer.

    Embedding models count only where there are no others. Raises InvalidRequestError when there are several.
    """
    models = [model for model in models if 'embeddings' not in model.capabilities] or models
    for status in LIKELIEST_FIRST:
        if candidates := [model.id for model in models if model.status == status]:
            break
    else:
        candidates = [model.id for model in models]
    if len(candidates) != 1:
        raise errors.InvalidRequestError(
            f'The request names no model, and {len(candidates)} could be meant. Name one in the field "model", or by '
            'an address that begins with /m/MODEL.', param='model')
    return candidates[0]
