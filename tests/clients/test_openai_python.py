"""openai-python: completions, chat and embeddings, at once, streamed and asynchronously."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from tests.clients.asked import CAPITAL, CAPITAL_SAID, EMBEDDING_MODEL, EMBEDDING_SIZE, MODEL, QUESTION, QUESTION_SAID
from tests.end_to_end.rig import KEY, Server

MESSAGES: list[ChatCompletionUserMessageParam] = [{'role': 'user', 'content': QUESTION}]


@pytest.fixture(scope='module')
def tiny(tiny_stack: Server) -> Iterator[openai.OpenAI]:
    """A client of the wrapper with sandle-tiny."""
    with openai.OpenAI(base_url=f'{tiny_stack.url}/v1', api_key=KEY, max_retries=0) as client:
        yield client


def test_chat(tiny: openai.OpenAI) -> None:
    answer = tiny.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0, logprobs=True, top_logprobs=2)
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ('assistant', QUESTION_SAID)
    assert choice.finish_reason == 'stop' and answer.usage is not None and answer.usage.completion_tokens > 0
    assert choice.logprobs is not None and choice.logprobs.content is not None
    assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)


def test_chat_stream_as_its_helper_puts_it_together(tiny: openai.OpenAI) -> None:
    with tiny.chat.completions.stream(model=MODEL, messages=MESSAGES, temperature=0,
                                      stream_options={'include_usage': True}) as stream:
        deltas = [event.delta for event in stream if event.type == 'content.delta']
        answer = stream.get_final_completion()
    assert ''.join(deltas) == answer.choices[0].message.content == QUESTION_SAID and len(deltas) > 3
    assert answer.usage is not None and answer.usage.total_tokens > 0


def test_async_client_asks_many_things_at_once(tiny_stack: Server) -> None:
    async def ask() -> tuple[list[str], str, str | None, int]:
        async with openai.AsyncOpenAI(base_url=f'{tiny_stack.url}/v1', api_key=KEY, max_retries=0) as api:
            async def complete() -> str:
                answer = await api.completions.create(model=MODEL, prompt=CAPITAL, temperature=0, max_tokens=8)
                return answer.choices[0].text

            texts = await asyncio.gather(*(complete() for _ in range(5)))
            stream = await api.completions.create(model=MODEL, prompt=CAPITAL, temperature=0, max_tokens=8, stream=True)
            streamed = ''.join([choice.text async for chunk in stream for choice in chunk.choices])
            chat = await api.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0)
            embeddings = await api.embeddings.create(model=EMBEDDING_MODEL, input=['a ship'])
            return texts, streamed, chat.choices[0].message.content, len(embeddings.data[0].embedding)

    assert asyncio.run(ask()) == ([CAPITAL_SAID] * 5, CAPITAL_SAID, QUESTION_SAID, EMBEDDING_SIZE)
