"""The control endpoint for faults, on the backend alone: what stands in front of it does not pass it on.

    POST /faults {"directive": "hang", "path": "/v1/models", "count": 2}
        arms a fault (see `stub_faults`) for the next `count` requests to a path (default 1; 0: until cleared)
    DELETE /faults
        disarms everything
    GET /faults
        what is armed, and counters: requests running, and those whose client left before the end
"""

import threading
from typing import Annotated

import flask
from pydantic import Field

import stub_faults
from sandle import app as http
from sandle import wire
from stub_engine import StubEngine
from stub_fault_wire import FAULT_KEY, FaultMiddleware
from stub_faults import NO_FAULT, Fault


class ArmRequest(wire.WireModel):
    """The body of POST /faults."""

    directive: str
    path: str = '/v1/completions'
    count: Annotated[int, Field(ge=0)] = 1


class Armory:
    """Faults armed for paths. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, tuple[Fault, str, int]] = {}

    def arm(self, path: str, directive: str, count: int) -> None:
        """Arms a fault for the next `count` requests to a path, or for all if that is 0. Raises InvalidRequestError."""
        fault = stub_faults.parse(directive)
        with self._lock:
            self._armed[path] = fault, directive, count

    def disarm(self) -> None:
        """Disarms everything."""
        with self._lock:
            self._armed.clear()

    def take(self, path: str) -> Fault | None:
        """Returns the fault for a request that has come in, and counts it."""
        with self._lock:
            if path not in self._armed:
                return None
            fault, directive, count = self._armed.pop(path)
            if count != 1:
                self._armed[path] = fault, directive, max(0, count - 1)
            return fault

    def listing(self) -> list[dict[str, str | int]]:
        """Returns what is armed."""
        with self._lock:
            return [{'path': path, 'directive': directive, 'count': count}
                    for path, (_, directive, count) in self._armed.items()]


def exchange(fault: Fault | None) -> Fault:
    """Leaves a prompt's fault, or the one armed for the request at hand, where the middleware finds it."""
    environ = flask.request.environ
    if fault is not None:
        environ[FAULT_KEY] = fault
    return environ.get(FAULT_KEY, NO_FAULT)  # type: ignore[no-any-return]  # WSGI's environ holds anything


def add_faults(app: flask.Flask, engine: StubEngine, lifecycle: http.Lifecycle) -> None:
    """Adds the endpoint and the middleware to a backend's application."""
    armory = Armory()

    def apply_armed() -> None:
        fault = armory.take(flask.request.path)
        if fault is not None:
            exchange(fault).raise_refusal()

    def get_faults() -> dict[str, object]:
        return {'armed': armory.listing(), 'running': engine.running, 'cancelled': engine.cancelled}

    def post_faults() -> dict[str, object]:
        body = wire.parse(ArmRequest, http.read_json())
        armory.arm(body.path, body.directive, body.count)
        return get_faults()

    def delete_faults() -> dict[str, object]:
        armory.disarm()
        return get_faults()

    app.before_request(apply_armed)
    app.add_url_rule('/faults', view_func=get_faults)
    app.add_url_rule('/faults', view_func=post_faults, methods=['POST'])
    app.add_url_rule('/faults', view_func=delete_faults, methods=['DELETE'])
    middleware = FaultMiddleware(app.wsgi_app, lambda: lifecycle.is_draining)
    app.wsgi_app = middleware  # type: ignore[method-assign]  # Flask's own way to add one
