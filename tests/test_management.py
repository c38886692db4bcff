"""The addresses by which an operator loads and unloads models."""

import dataclasses

import flask.testing
import pytest

from sandle import errors, management
from sandle.app import LOAD_PATH, UNLOAD_PATH, Lifecycle, create_app
from sandle.engine.engine import ModelInfo, ModelStatus
from tests.scripted_engine import model


class Manager:
    """Has one model, and does as it is told at once, or half; `refusal` is raised instead."""

    def __init__(self, name: str) -> None:
        self.info = model(name=name, status=ModelStatus.AVAILABLE)
        self.is_busy = False
        self.refusal: errors.ApiError | None = None

    def models(self) -> list[ModelInfo]:
        return [self.info]

    def load(self, name: str) -> None:
        self._become(name, ModelStatus.LOADING if self.is_busy else ModelStatus.READY)

    def unload(self, name: str) -> None:
        self._become(name, ModelStatus.READY if self.is_busy else ModelStatus.AVAILABLE)

    def _become(self, name: str, status: ModelStatus) -> None:
        assert name == self.info.id
        if self.refusal is not None:
            raise self.refusal
        self.info = dataclasses.replace(self.info, status=status)


@pytest.fixture
def managers() -> tuple[Manager, Manager]:
    """Of two kinds of models."""
    return Manager('org/writer'), Manager('org/vectors')


@pytest.fixture
def client(managers: tuple[Manager, Manager]) -> flask.testing.FlaskClient:
    """A client of a backend with both."""
    app = create_app('backend', Lifecycle())
    management.add_routes(app, *managers)
    return app.test_client()


@pytest.mark.parametrize('name', ['org/writer', 'org/vectors'])
def test_model_is_loaded_and_unloaded_where_it_belongs(client: flask.testing.FlaskClient,
                                                       managers: tuple[Manager, Manager], name: str) -> None:
    answers = [client.post(path, json={'model': name}) for path in (LOAD_PATH, UNLOAD_PATH)]
    for manager in managers:
        manager.is_busy = True
    answers += [client.post(path, json={'model': name}) for path in (LOAD_PATH, UNLOAD_PATH)]
    assert [(answer.status_code, answer.get_json()['status']) for answer in answers] == [
        (200, 'ready'), (200, 'available'), (202, 'loading'), (202, 'ready')]
    assert {answer.get_json()['id'] for answer in answers} == {name}


@pytest.mark.parametrize('path', [LOAD_PATH, UNLOAD_PATH])
def test_refusals(client: flask.testing.FlaskClient, managers: tuple[Manager, Manager], path: str) -> None:
    managers[0].refusal = errors.ModelLoadingError('Another one is being loaded.', retry_after_s=2)
    answers = [client.post(path, json={'model': 'org/writer'}), client.post(path, json={'model': 'gone'}),
               client.post(path, json={}), client.post(path, json={'model': 5}), client.post(path, data='[' * 9),
               client.post(path, data={'model': 'org/writer'}), client.get(path)]
    told = [(answer.status_code, answer.get_json()['error']['code'], answer.get_json()['error']['param'])
            for answer in answers]
    assert told == [(503, 'model_loading', None), (404, 'model_not_found', 'model'), (400, None, 'model'),
                    (400, None, 'model'), (415, None, None), (415, None, None), (405, None, None)]
    assert answers[0].headers['Retry-After'] == '2'
