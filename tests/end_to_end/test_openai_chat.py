"""OpenAI's own client chats through the wrapper."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.end_to_end.rig import KEY, Client, Server, events_of

HI: Any = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hello'}]


@pytest.fixture(scope='module')
def openai_api(wrapper: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f'{wrapper.url}/v1', api_key=KEY, max_retries=0) as client:
        yield client


def fault(directive: str) -> Any:
    return [{'role': 'user', 'content': f'!fault {directive}'}]


def test_chat(openai_api: openai.OpenAI) -> None:
    answer = openai_api.chat.completions.create(model='stub', messages=HI, n=2, logprobs=True, top_logprobs=1)
    assert [choice.message.content for choice in answer.choices] == [' world!', ' world!']
    assert answer.choices[0].finish_reason == 'stop' and answer.choices[0].message.role == 'assistant'
    assert answer.choices[0].logprobs is not None and answer.choices[0].logprobs.content is not None
    assert answer.choices[0].logprobs.content[0].top_logprobs[0].token == ' world'
    assert answer.usage is not None and answer.usage.completion_tokens == 6 and answer._request_id


def test_stream_with_usage(openai_api: openai.OpenAI) -> None:
    chunks = list(openai_api.chat.completions.create(model='stub', messages=HI, stream=True,
                                                     stream_options={'include_usage': True}))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert choices[0].delta.role == 'assistant' and choices[-1].finish_reason == 'stop'
    assert ''.join(choice.delta.content or '' for choice in choices) == ' world!'
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0


def test_stream_helper_gathers_the_message(openai_api: openai.OpenAI) -> None:
    with openai_api.chat.completions.stream(model='stub', messages=HI) as stream:
        assert stream.get_final_completion().choices[0].message.content == ' world!'


def test_asynchronous_client(wrapper: Server) -> None:
    async def answer() -> str:
        async with openai.AsyncOpenAI(base_url=f'{wrapper.url}/v1', api_key=KEY, max_retries=0) as api:
            stream = await api.chat.completions.create(model='org/name', messages=HI, stream=True)
            return ''.join([chunk.choices[0].delta.content or '' async for chunk in stream])

    assert asyncio.run(answer()) == ' world!'


@pytest.mark.parametrize('fields, error', [
    ({'model': 'nope'}, openai.NotFoundError), ({'messages': []}, openai.BadRequestError),
    ({'max_completion_tokens': 10 ** 6}, openai.BadRequestError),
    ({'messages': fault('status=429')}, openai.RateLimitError),
    ({'messages': fault('status=500')}, openai.InternalServerError)])
def test_errors_are_its_own_classes(openai_api: openai.OpenAI, fields: dict[str, object],
                                    error: type[openai.APIStatusError]) -> None:
    request: dict[str, object] = {'model': 'stub', 'messages': HI, **fields}
    with pytest.raises(error) as raised:
        openai_api.chat.completions.create(**request)  # type: ignore[call-overload]  # wrong on purpose
    assert raised.value.request_id and raised.value.body is not None


@pytest.mark.parametrize(('directive', 'said'), [('tokens=9 cut-after=3', 'broke off'), ('error-after=2', 'failed')])
def test_backend_that_fails_in_mid_stream_raises(openai_api: openai.OpenAI, directive: str, said: str) -> None:
    stream = openai_api.chat.completions.create(model='stub', messages=fault(directive), stream=True)
    with pytest.raises(openai.APIError, match=said):
        for _ in stream:
            pass


def test_what_chats_cost_is_counted(client: Client) -> None:
    def used() -> tuple[int, int]:
        rows = client.get('/v1/usage').json()['data']
        return sum(row['requests'] for row in rows), sum(row['completion_tokens'] for row in rows)

    requests, tokens = used()
    body = {'model': 'stub', 'messages': HI}
    assert client.post('/v1/chat/completions', json=body).json()['usage']['completion_tokens'] == 3
    events = list(events_of(client.post('/m/stub/v1/chat/completions', json={'messages': HI, 'stream': True}).content))
    assert len(events) == 4 and client.post('/v1/chat/completions/render', json=body).json()['count'] > 0
    assert used() == (requests + 3, tokens + 6)  # rendering is a request, too, of no tokens
