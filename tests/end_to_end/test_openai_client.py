"""OpenAI's own client against the wrapper."""

from collections.abc import Callable, Iterator

import openai
import pytest

from tests.end_to_end.rig import KEY, WRAPPER, Server


def client_of(wrapper: Server, key: str = KEY) -> openai.OpenAI:
    """A client that asks once."""
    return openai.OpenAI(base_url=f'{wrapper.url}/v1', api_key=key, max_retries=0)


@pytest.fixture(scope='module')
def api(wrapper: Server) -> Iterator[openai.OpenAI]:
    with client_of(wrapper) as client:
        yield client


def test_models_are_listed_and_retrieved(api: openai.OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ['stub', 'org/name']
    assert api.models.retrieve('org/name').id == 'org/name'  # the client sends org%2Fname


def test_completion(api: openai.OpenAI) -> None:
    completion = api.completions.create(model='stub', prompt='Hello', n=2, user='someone')
    assert [choice.text for choice in completion.choices] == [' world!', ' world!']
    assert completion.choices[0].finish_reason == 'stop'
    assert completion.usage is not None and completion.usage.completion_tokens > 0
    assert completion._request_id


def test_stream_with_usage(api: openai.OpenAI) -> None:
    chunks = list(api.completions.create(model='stub', prompt='Hello', stream=True,
                                         stream_options={'include_usage': True}))
    assert ''.join(choice.text for chunk in chunks for choice in chunk.choices) == ' world!'
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0


def test_stream_may_be_left(api: openai.OpenAI) -> None:
    with api.completions.create(model='stub', prompt='!fault tokens=1000 delay=0.05', max_tokens=1000,
                                stream=True) as stream:
        next(iter(stream))


@pytest.mark.parametrize('fields, error', [
    ({'model': 'nope'}, openai.NotFoundError), ({'temperature': 9}, openai.BadRequestError),
    ({'max_tokens': 10 ** 6}, openai.BadRequestError), ({'prompt': '!fault status=429'}, openai.RateLimitError),
    ({'prompt': '!fault status=500'}, openai.InternalServerError),
    ({'prompt': '!fault garbage'}, openai.InternalServerError)])
def test_errors_are_its_own_classes(api: openai.OpenAI, fields: dict[str, object],
                                    error: type[openai.APIStatusError]) -> None:
    request: dict[str, object] = {'model': 'stub', 'prompt': 'Hello', **fields}
    with pytest.raises(error) as raised:
        api.completions.create(**request)  # type: ignore[call-overload]  # wrong on purpose
    assert raised.value.request_id and raised.value.body is not None


def test_a_model_that_loads_for_too_long_is_a_server_error(own: Callable[..., Server], stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, '--max-wait-s', '1')
    with client_of(wrapper) as api, pytest.raises(openai.InternalServerError) as raised:
        api.completions.create(model='stub', prompt='!fault loading')
    assert raised.value.request_id and raised.value.code == 'model_loading'


def test_wrong_key_is_an_authentication_error(wrapper: Server) -> None:
    with client_of(wrapper, 'wrong') as api, pytest.raises(openai.AuthenticationError) as raised:
        api.models.list()
    assert raised.value.code == 'invalid_api_key'


def test_backend_lost_in_mid_stream_raises(api: openai.OpenAI) -> None:
    stream = api.completions.create(model='stub', prompt='!fault tokens=9 cut-after=2', stream=True)
    with pytest.raises(openai.APIError, match='broke off'):
        for _ in stream:
            pass
