"""langchain-openai where answers have a form: tools, which the stub's template tells of, and objects."""

from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, SecretStr

from tests.clients.asked import MODEL
from tests.end_to_end.rig import KEY, Server

QUESTION = HumanMessage('What is the weather in Oslo?')


@tool
def weather(city: Annotated[str, Field(max_length=12)], days: Annotated[int, Field(ge=1, le=9)]) -> str:
    """Tells the weather of the next days."""
    return f'rain in {city} for {days} days'


class Person(BaseModel):
    """Somebody."""

    name: str = Field(max_length=12)
    age: int = Field(ge=0, le=120)


@pytest.fixture(scope='module')
def settings(tiny_stack: Server) -> dict[str, Any]:
    """What all of its models are told."""
    return {'base_url': f'{tiny_stack.url}/v1', 'api_key': SecretStr(KEY), 'max_retries': 0}


def test_tool_is_called_and_its_answer_told(settings: dict[str, Any]) -> None:
    chat = ChatOpenAI(**settings | {'model': 'stub'})
    answer = chat.bind_tools([weather], tool_choice='weather').invoke([QUESTION])
    assert isinstance(answer, AIMessage) and answer.invalid_tool_calls == []
    [call] = answer.tool_calls
    assert call['name'] == 'weather' and call['args'].keys() == {'city', 'days'}
    told = ToolMessage(weather.invoke(call['args']), tool_call_id=call['id'])
    assert chat.bind_tools([weather], tool_choice='none').invoke([QUESTION, answer, told]).content


def test_call_that_is_streamed_is_the_same(settings: dict[str, Any]) -> None:
    chat = ChatOpenAI(**settings | {'model': 'stub'}).bind_tools([weather], tool_choice='any')
    chunks = [chunk for chunk in chat.stream([QUESTION]) if isinstance(chunk, AIMessageChunk)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    [call], [unstreamed] = whole.tool_calls, chat.invoke([QUESTION]).tool_calls
    assert len(chunks) > 2 and (call['name'], call['args']) == (unstreamed['name'], unstreamed['args'])


@pytest.mark.parametrize('seed', range(5))
def test_object_is_one(settings: dict[str, Any], seed: int) -> None:
    chat = ChatOpenAI(**settings | {'model': MODEL, 'temperature': 1, 'seed': seed, 'max_tokens': 200})
    answer = chat.with_structured_output(Person, method='json_schema').invoke('Tell me of Anna.')
    assert isinstance(answer, Person)
