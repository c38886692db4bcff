"""The embedding thread over a scripted model: batches, turns, limits, leaving, failing, and changes of model."""

import threading
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import pytest
from hf_embedding_loop import EmbeddingLoop, EmbeddingOptions
from hf_embedding_requests import RequestHandle, batches
from hf_embedding_text import EncodedText
from hypothesis import given
from hypothesis import strategies as st

from sandle import errors
from sandle.embedder import CAPABILITIES, EmbeddingRequest
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.engine.runner import LoadError
from tests.scripted_engine import CharacterTokenizer

WAIT_S = 20.0


class Encoder:
    """One token a character."""

    prompts: Mapping[str, str] = MappingProxyType({'query': 'q:'})

    def encode(self, text: str, prompt_name: str | None, max_tokens: int | None) -> EncodedText:
        whole = self.prompts.get(prompt_name or '', '') + text
        return EncodedText(tuple(map(ord, whole))[:max_tokens])


class Model:
    """A text's vector is its length and its first token. Works only while `gate` is open."""

    size = 2
    context_length = 32
    capabilities: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    encoder = Encoder()
    tokenizer = CharacterTokenizer()

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.batches: list[list[int]] = []  # the lengths of the texts of each
        self.order = ''  # the first characters of all texts
        self.is_released = False

    def embed(self, texts: Sequence[EncodedText]) -> list['array[float]']:
        self.batches.append([len(text.ids) for text in texts])
        self.order += ''.join(chr(text.ids[0]) for text in texts)
        self.begun.set()
        assert self.gate.wait(WAIT_S)
        if any(text.ids[0] == ord('!') for text in texts):
            raise RuntimeError('this text is too much')
        return [array('f', (len(text.ids), text.ids[0])) for text in texts]

    def release(self) -> None:
        self.is_released = True


class Loader:
    """Has its models ready, but for `broken`."""

    def __init__(self) -> None:
        self.models = {'one': Model(), 'two': Model()}

    def load(self, model_id: str, report: Callable[[str], None]) -> Model:
        if model_id == 'broken':
            raise LoadError('its files are not there')
        return self.models[model_id]


class Rig:
    """A loop with its model `one` loaded, which stands still until it is let go."""

    def __init__(self, options: EmbeddingOptions = EmbeddingOptions(), idle_unload_s: float | None = None) -> None:
        self.loader = Loader()
        self.model = self.loader.models['one']
        infos = [ModelInfo(name, name, 'x', 1, ModelStatus.AVAILABLE, CAPABILITIES, idle_unload_s=idle_unload_s)
                 for name in ('one', 'two', 'broken')]
        self.loop = EmbeddingLoop(infos, self.loader, 'one', options)
        self.until(self.loop.is_ready)

    def submit(self, *texts: str | tuple[int, ...], user: str | None = None, model: str = 'one',
               prompt_name: str | None = None, max_tokens: int | None = None) -> RequestHandle:
        return self.loop.submit(EmbeddingRequest(model, texts, prompt_name, max_tokens, user))

    def hold(self) -> RequestHandle:
        """Has the model work on a text until `gate` is opened."""
        self.model.gate.clear()
        self.model.begun.clear()
        handle = self.submit('held')
        assert self.model.begun.wait(WAIT_S)
        return handle

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        waiting = threading.Event()
        for _ in range(2000):
            if condition():
                return
            waiting.wait(0.01)  # between two looks
        raise AssertionError('it did not come about')


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(options: EmbeddingOptions = EmbeddingOptions(), idle_unload_s: float | None = None) -> Rig:
        made.append(Rig(options, idle_unload_s))
        return made[-1]

    yield make
    for rig in made:
        for model in rig.loader.models.values():
            model.gate.set()
        rig.loop.shutdown()


def vectors(handle: RequestHandle) -> list[list[float]]:
    return [vector.tolist() for vector in handle.get(WAIT_S)]


def test_vectors_come_in_the_order_of_the_texts(make_rig: Callable[..., Rig]) -> None:
    handle = make_rig().submit('long text', 'a', (98, 99))
    assert vectors(handle) == [[9, ord('l')], [1, ord('a')], [2, 98]]
    assert (handle.size, handle.prompt_tokens, handle.cancel().prompt_tokens) == (2, 12, 12)


def test_requests_at_once_are_computed_together_by_length(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(EmbeddingOptions(max_batch_tokens=40))
    rig.hold()
    handles = [rig.submit(text) for text in ('x' * 20, 'ab', 'y' * 20, 'cd', 'efg')]
    rig.model.gate.set()
    assert [vectors(handle)[0][0] for handle in handles] == [20, 2, 20, 2, 3]
    assert rig.model.batches[1:] == [[2, 2, 3], [20, 20]]


def test_keys_take_turns(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(EmbeddingOptions(max_batch_tokens=10))
    rig.hold()
    many = rig.submit(*['m' * 10] * 50, user='alice')
    few = rig.submit('f' * 10, user='bob')
    rig.model.gate.set()
    assert vectors(few) and vectors(many)
    assert rig.model.order.index('f') < 8


def test_a_client_that_leaves_is_not_worked_on(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.hold()
    left, stays = rig.submit('gone'), rig.submit('there')
    assert left.cancel().prompt_tokens == 0
    rig.model.gate.set()
    assert vectors(stays) == [[5, ord('t')]]
    assert rig.model.batches == [[4], [5]]
    with pytest.raises(TimeoutError):
        left.get(0.0)


def test_no_more_texts_wait_than_may(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(EmbeddingOptions(max_queue=3))
    assert len(vectors(rig.submit(*'abcdef'))) == 6  # alone, a request may be of any size
    rig.hold()
    rig.submit('a', 'b')
    with pytest.raises(errors.QueueFullError) as raised:
        rig.submit('c')
    assert raised.value.retry_after_s == 1
    rig.model.gate.set()
    rig.until(lambda: rig.loop._active == 0)
    assert vectors(rig.submit('c', 'd', 'e', 'f'))


def test_a_batch_that_fails_ends_its_requests_and_no_others(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(EmbeddingOptions(max_batch_tokens=8))
    rig.hold()
    bad, good = rig.submit('!', 'never computed'), rig.submit('good text here')
    rig.model.gate.set()
    with pytest.raises(errors.InternalError):
        bad.get(WAIT_S)
    assert vectors(good) == [[14, ord('g')]]
    assert vectors(rig.submit('more')) == [[4, ord('m')]]


def test_another_model_is_loaded_when_the_running_requests_have_ended(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    held = rig.hold()
    with pytest.raises(errors.ModelLoadingError):
        rig.submit('x', model='two')
    with pytest.raises(errors.ModelLoadingError):
        rig.submit('x')  # the other one's turn has come
    rig.model.gate.set()
    assert vectors(held)
    rig.until(lambda: next(info for info in rig.loop.models() if info.id == 'two').status is ModelStatus.READY)
    assert rig.model.is_released
    assert vectors(rig.submit('x', model='two')) == [[1, ord('x')]]


def test_a_model_that_nobody_asks_for_rests_and_comes_back(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(idle_unload_s=0.01)
    rig.until(lambda: rig.model.is_released)
    with pytest.raises(errors.ModelLoadingError):
        rig.submit('x')

    def is_answered() -> bool:
        try:
            return vectors(rig.submit('x')) == [[1, ord('x')]]
        except errors.UnavailableError:  # still on its way, or resting again
            return False

    rig.until(is_answered)


def test_a_model_that_cannot_be_loaded_says_why(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    with pytest.raises(errors.ModelLoadingError):
        rig.submit('x', model='broken')

    def is_broken() -> bool:
        return any(info.detail == 'its files are not there' for info in rig.loop.models())

    rig.until(is_broken)
    with pytest.raises(errors.UnavailableError, match='its files are not there'):
        rig.submit('x', model='broken')
    rig.until(rig.loop.is_ready)  # the one before it is back


@pytest.mark.parametrize(('texts', 'fields', 'error', 'param'), [
    (('x' * 33,), {}, errors.ContextLengthExceededError, 'input'),
    (((5,) * 33,), {}, errors.ContextLengthExceededError, 'input'),
    (((127,),), {}, errors.InvalidRequestError, 'input'),
    (('x',), {'prompt_name': 'no'}, errors.InvalidRequestError, 'prompt_name'),
    (((5,),), {'prompt_name': 'query'}, errors.InvalidRequestError, 'prompt_name'),
    (('x',), {'model': 'nobody'}, errors.ModelNotFoundError, 'model')])
def test_refusals_name_the_field(make_rig: Callable[..., Rig], texts: tuple[str | tuple[int, ...], ...],
                                 fields: dict[str, str], error: type[errors.ApiError], param: str) -> None:
    with pytest.raises(error) as raised:
        make_rig().submit(*texts, model=fields.get('model', 'one'), prompt_name=fields.get('prompt_name'))
    assert raised.value.param == param


def test_texts_are_cut_where_that_is_asked_for(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    assert vectors(rig.submit('x' * 50, 'y', (9,) * 50, max_tokens=-1)) == [[32, ord('x')], [1, ord('y')], [32, 9]]
    assert vectors(rig.submit('x' * 50, max_tokens=4)) == vectors(rig.submit('xxxx'))
    assert vectors(rig.submit('x', prompt_name='query')) == [[3, ord('q')]]


def test_shutdown_ends_every_request(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    held = rig.hold()
    waiting = rig.submit('x')
    ending = threading.Thread(target=rig.loop.shutdown)
    ending.start()
    rig.until(lambda: not rig.loop.is_ready())
    with pytest.raises(errors.ShuttingDownError):
        rig.submit('y')
    rig.model.gate.set()
    assert vectors(held)
    with pytest.raises(errors.ShuttingDownError):
        waiting.get(WAIT_S)
    ending.join()
    assert rig.model.is_released


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_batches_hold_every_text_once_and_no_more_tokens_than_they_may(lengths: list[int], most: int) -> None:
    handle = RequestHandle(Model(), [EncodedText((0,) * length) for length in lengths])
    found = list(batches(handle.texts, most))
    assert sorted(len(text.encoded.ids) for batch in found for text in batch) == sorted(lengths)
    for batch in found:
        longest = max(len(text.encoded.ids) for text in batch)
        assert len(batch) == 1 or len(batch) * longest <= most


def test_operator_loads_and_unloads(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    handle = rig.hold()
    rig.loop.unload('one')
    with pytest.raises(errors.ModelLoadingError):
        rig.submit('late')
    rig.model.gate.set()
    handle.get(WAIT_S)
    rig.until(lambda: rig.model.is_released)
    rig.loop.load('two')
    rig.until(lambda: [info.status for info in rig.loop.models()][:2] == [ModelStatus.AVAILABLE, ModelStatus.READY])
    rig.submit('text', model='two').get(WAIT_S)
