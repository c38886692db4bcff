"""GET /v1/models: the models of an Engine as the API shows them. Knows nothing of requests for completions."""

import flask
from pydantic import BaseModel

from sandle import addressing, errors, protocol
from sandle.engine.engine import Engine, ModelInfo


def add_routes(app: flask.Flask, engine: Engine) -> None:
    """Adds /v1/models and /v1/models/{id} to an application."""

    def list_models() -> flask.Response:
        return as_json(protocol.ModelList(data=model_objects(engine)))

    def get_model(model: str) -> flask.Response:
        return as_json(model_object(find_model(engine, model)))

    app.add_url_rule('/v1/models', view_func=list_models)
    addressing.use_model_ids(app)
    app.add_url_rule('/v1/models/<model:model>', view_func=get_model)


def model_objects(engine: Engine) -> list[protocol.ModelObject]:
    """Returns every model of an engine as the API shows it."""
    return [model_object(info) for info in engine.models()]


def model_object(info: ModelInfo) -> protocol.ModelObject:
    """Returns a model as the API shows it."""
    download = info.download
    progress = None if download is None else protocol.DownloadProgress(
        downloaded_bytes=download.downloaded_bytes, total_bytes=download.total_bytes,
        bytes_per_second=round(download.bytes_per_second),
        remaining_seconds=None if download.remaining_s is None else round(download.remaining_s))
    return protocol.ModelObject(
        id=info.id, created=info.created, owned_by=info.owned_by, root=info.parent or info.id,
        parent=info.parent, description=info.description,
        max_model_len=info.context_length, status=info.status.value, status_message=info.detail,
        progress=progress, capabilities=sorted(info.capabilities))


def find_model(engine: Engine, model: str) -> ModelInfo:
    """Returns a model of an engine by its id. Raises ModelNotFoundError."""
    for info in engine.models():
        if info.id == model:
            return info
    raise errors.ModelNotFoundError(model)


def as_json(body: BaseModel) -> flask.Response:
    """Returns a response of the wire's types."""
    return flask.Response(body.model_dump_json(), mimetype='application/json')
