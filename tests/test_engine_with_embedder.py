"""An engine and an embedder as one: whose model it is, and when the two are ready."""

import pytest

from sandle import addressing, errors
from sandle.embedder import CAPABILITIES
from sandle.engine.engine import GenerationRequest, ModelStatus, SamplingParams
from sandle.engine_with_embedder import EngineWithEmbedder
from sandle.models import model_objects
from tests.scripted_embedder import ScriptedEmbedder
from tests.scripted_engine import EVERYTHING, ScriptedEngine, model

LOADING, READY, ERROR = ModelStatus.LOADING, ModelStatus.READY, ModelStatus.ERROR


def request(name: str) -> GenerationRequest:
    return GenerationRequest('cmpl-1', name, ('x',), SamplingParams())


def test_models_of_both_are_listed_and_asked() -> None:
    engine, embedder = ScriptedEngine(), ScriptedEmbedder()
    both = EngineWithEmbedder(engine, embedder)
    assert [info.id for info in both.models()] == ['org/model', 'finder']
    both.submit(request('org/model'))
    assert len(engine.requests) == 1
    with pytest.raises(errors.InvalidRequestError):
        both.submit(request('finder'))
    assert both.tokenizer('finder').vocab_size == both.tokenizer('org/model').vocab_size == 127
    both.shutdown()
    assert embedder.is_shut_down


def test_embeddings_alone() -> None:
    both = EngineWithEmbedder(None, ScriptedEmbedder())
    assert [info.id for info in both.models()] == ['finder'] and both.is_ready()
    assert both.statistics().slots == 0
    with pytest.raises(errors.ModelNotFoundError):
        both.submit(request('org/model'))
    both.shutdown()


@pytest.mark.parametrize(('engine_status', 'embedder_status', 'is_ready'), [
    (READY, READY, True), (READY, LOADING, False), (LOADING, READY, False), (READY, ERROR, True), (ERROR, READY, True),
    (ERROR, ERROR, False)])
def test_ready_when_one_serves_and_none_is_loading(engine_status: ModelStatus, embedder_status: ModelStatus,
                                                   is_ready: bool) -> None:
    engine = ScriptedEngine(models=[model(status=engine_status)])
    embedder = ScriptedEmbedder(models=[model(CAPABILITIES, embedder_status, 'finder')])
    engine.is_loaded, embedder.is_loaded = engine_status is READY, embedder_status is READY
    assert EngineWithEmbedder(engine, embedder).is_ready() is is_ready


def test_a_request_that_names_no_model_means_one_that_writes() -> None:
    both = EngineWithEmbedder(ScriptedEngine(models=[model(EVERYTHING)]), ScriptedEmbedder())
    assert addressing.default_model(model_objects(both)) == 'org/model'
    assert addressing.default_model(model_objects(EngineWithEmbedder(None, ScriptedEmbedder()))) == 'finder'
