"""Which model is in memory: adapters beside their base, and models that nobody asks for."""

import dataclasses

import pytest

from sandle import errors
from sandle.engine import residency
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.engine.residency import LEAVING, Residency
from sandle.engine.runner import LoadedModel
from tests.engine.scripted import ScriptedLoader
from tests.engine.serving import info


class Clock:
    """The time, as a test says."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The residency's clock."""
    clock = Clock()
    monkeypatch.setattr(residency, 'time', clock)
    return clock


def models() -> list[ModelInfo]:
    return [dataclasses.replace(info('first'), idle_unload_s=60.0), info('second'),
            dataclasses.replace(info('poet'), parent='second')]


def loaded(loader: ScriptedLoader, model: str = 'first') -> Residency[LoadedModel]:
    found: Residency[LoadedModel] = Residency(models(), loader, model)
    assert found.wants_change() and found.change() is not None
    return found


def statuses(residency: Residency[LoadedModel]) -> list[str]:
    return [model.status.value for model in residency.models()]


def test_model_that_nobody_asks_for_leaves_memory_and_comes_back_on_demand(clock: Clock) -> None:
    loader = ScriptedLoader()
    residency = loaded(loader)
    clock.now_s += 59
    residency.use('first')
    clock.now_s += 59
    residency.worked()
    clock.now_s += 59
    assert not residency.rest() and statuses(residency)[0] == 'ready'
    clock.now_s += 1
    assert residency.rest() and loader.runners['first'].is_released
    assert statuses(residency)[0] == 'available' and residency.is_ready(), 'it would be served'
    assert not residency.rest() and not residency.wants_change()
    with pytest.raises(errors.ModelLoadingError):
        residency.use('first')
    assert not residency.is_ready() and statuses(residency)[0] == 'loading'
    assert residency.wants_change() and residency.change() is not None
    residency.use('first')


def test_model_without_a_limit_stays(clock: Clock) -> None:
    residency = loaded(ScriptedLoader(), 'second')
    clock.now_s += 1e6
    assert not residency.rest() and statuses(residency)[1] == 'ready'


def test_model_that_fails_when_it_is_wanted_again_is_not_ready(clock: Clock) -> None:
    loader = ScriptedLoader()
    residency = loaded(loader)
    clock.now_s += 60
    assert residency.rest()
    loader.broken.add('first')
    with pytest.raises(errors.ModelLoadingError):
        residency.use('first')
    assert residency.change() is None and not residency.is_ready()
    assert statuses(residency)[0] == 'error'


def test_adapters_come_and_go_with_their_base() -> None:
    loader = ScriptedLoader()
    residency = loaded(loader, 'second')
    assert residency.use('poet') is residency.use('second')
    assert (residency.adapter('poet'), residency.adapter('second')) == ('poet', None)
    assert {model.id: model.context_length for model in residency.models()} == {
        'first': None, 'second': 128, 'poet': 128}
    residency.release()
    assert statuses(residency) == [ModelStatus.AVAILABLE.value] * 3
    with pytest.raises(errors.ModelLoadingError):
        residency.use('poet')
    assert loader.loads == ['second'] and residency.change() is not None
    assert loader.loads == ['second', 'second']


def test_operator_takes_the_model_out_and_brings_it_back() -> None:
    loader = ScriptedLoader()
    residency = loaded(loader, 'second')
    residency.unload('poet')
    assert [model.detail for model in residency.models()] == [None, LEAVING, LEAVING]
    assert statuses(residency) == ['available', 'ready', 'ready'], 'it leaves when nothing runs'
    with pytest.raises(errors.ModelLoadingError, match='is being taken out of memory'):
        residency.use('second')
    assert not residency.wants_change(), 'that has not asked for it to be loaded'
    assert residency.rest() and loader.runners['second'].is_released
    assert statuses(residency) == ['available'] * 3 and residency.is_ready()
    residency.unload('second')
    assert not residency.rest(), 'it has left before'
    residency.load('poet')
    assert statuses(residency) == ['available', 'loading', 'loading']
    assert residency.change() is residency.use('second')


def test_load_calls_a_model_back_that_was_about_to_leave() -> None:
    residency = loaded(ScriptedLoader())
    residency.unload('first')
    residency.load('first')
    assert not residency.rest() and residency.models()[0].detail is None
    residency.use('first')


def test_load_waits_for_no_retry_and_for_no_first_use(clock: Clock) -> None:
    loader = ScriptedLoader()
    residency = loaded(loader)
    loader.broken.add('second')
    residency.load('second')
    assert residency.change() is None and statuses(residency)[1] == 'error'
    assert residency.change() is not None, 'the first one is back'
    loader.broken.clear()
    residency.load('second')
    assert residency.change() is not None and statuses(residency)[1] == 'ready'
    residency.load('first')
    assert statuses(residency)[0] == 'loading', 'although nobody has used the second one yet'


def test_while_a_model_is_loading_an_operator_is_told_so() -> None:
    residency: Residency[LoadedModel] = Residency(models(), ScriptedLoader(), 'first')
    for change, model in ((residency.unload, 'first'), (residency.load, 'second')):
        with pytest.raises(errors.ModelLoadingError, match="'first' is being loaded"):
            change(model)
    residency.load('first')
    for change in (residency.unload, residency.load):
        with pytest.raises(errors.ModelNotFoundError):
            change('third')


def test_model_that_was_to_leave_is_not_loaded_again_when_the_next_one_fails() -> None:
    loader = ScriptedLoader()
    residency = loaded(loader)
    residency.unload('first')
    loader.broken.add('second')
    residency.load('second')
    assert residency.change() is None and not residency.wants_change()
    assert statuses(residency)[:2] == ['available', 'error']


def test_model_that_has_left_unused_keeps_no_other_one_out(clock: Clock) -> None:
    residency = loaded(ScriptedLoader())
    residency.load('second')
    assert residency.change() is not None
    residency.unload('second')
    assert residency.rest()
    with pytest.raises(errors.ModelLoadingError):
        residency.use('first')
    assert residency.wants_change()
