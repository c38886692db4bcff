"""POST /internal/models/load and /internal/models/unload: what is in memory, as an operator wants it.

They are for whoever reaches a backend itself, as the wrapper's `models` commands do; the wrapper passes none of it on.
The model stands in a JSON body, so that no page in an operator's browser can ask for this unasked.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import flask

from sandle import app as http
from sandle import errors, wire
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.generation_protocol import ModelId
from sandle.models import as_json, model_object


class ModelManager(Protocol):
    """What has models in memory. Its methods are called on HTTP threads and return at once."""

    def models(self) -> Sequence[ModelInfo]:
        """Returns every model that it may have there."""
        ...

    def load(self, model: str) -> None:
        """Has a model loaded, in place of another one, when what is running has ended.

        Raises ModelLoadingError while another one is being loaded.
        """
        ...

    def unload(self, model: str) -> None:
        """Has a model taken out of memory when what is running has ended; nothing where it is not in memory.

        Raises ModelLoadingError while it is being loaded.
        """
        ...


class ModelRequest(wire.WireModel):
    """The body of both."""

    model: ModelId


def add_routes(app: flask.Flask, *managers: ModelManager) -> None:
    """Adds both addresses to an application. They answer with the model as it stands: 202 if that is yet to change."""

    def find(model: str) -> tuple[ModelManager, ModelInfo]:
        for manager in managers:
            for info in manager.models():
                if info.id == model:
                    return manager, info
        raise errors.ModelNotFoundError(model)

    def change(action: Callable[[ModelManager, str], None], before: ModelStatus) -> flask.Response:
        model = wire.parse(ModelRequest, http.read_json()).model
        manager, _ = find(model)
        action(manager, model)
        _, info = find(model)
        response = as_json(model_object(info))
        response.status_code = 202 if info.status is before else 200
        return response

    def load_model() -> flask.Response:
        return change(lambda manager, model: manager.load(model), ModelStatus.LOADING)

    def unload_model() -> flask.Response:
        return change(lambda manager, model: manager.unload(model), ModelStatus.READY)

    app.add_url_rule(http.LOAD_PATH, view_func=load_model, methods=['POST'])
    app.add_url_rule(http.UNLOAD_PATH, view_func=unload_model, methods=['POST'])
