"""langchain-openai: models that write, models that chat, and embeddings."""

import asyncio
from typing import Any

import openai
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from tests.clients.asked import CAPITAL, CAPITAL_SAID, EMBEDDING_MODEL, EMBEDDING_SIZE, MODEL, QUESTION, QUESTION_SAID
from tests.end_to_end.rig import KEY, Server


@pytest.fixture(scope='module')
def settings(tiny_stack: Server) -> dict[str, Any]:
    """What all of its models are told."""
    return {'base_url': f'{tiny_stack.url}/v1', 'api_key': SecretStr(KEY), 'max_retries': 0, 'model': MODEL}


@pytest.fixture(scope='module')
def writer(settings: dict[str, Any]) -> OpenAI:
    return OpenAI(temperature=0, max_tokens=8, **settings)


@pytest.fixture(scope='module')
def chat(settings: dict[str, Any]) -> ChatOpenAI:
    return ChatOpenAI(temperature=0, **settings)


@pytest.fixture(scope='module')
def embeddings(settings: dict[str, Any]) -> OpenAIEmbeddings:
    # Otherwise it cuts texts with OpenAI's tokenizer, which it has to download, and sends that one's tokens.
    return OpenAIEmbeddings(check_embedding_ctx_length=False, **settings | {'model': EMBEDDING_MODEL})


def test_writer_answers_streams_and_batches(writer: OpenAI) -> None:
    assert writer.invoke(CAPITAL) == CAPITAL_SAID
    assert ''.join(writer.stream(CAPITAL)) == CAPITAL_SAID
    result = writer.generate([CAPITAL, '1, 2, 3, 4,'], stop=[' 6'])
    assert [choices[0].text for choices in result.generations] == [CAPITAL_SAID, ' 5,']
    assert result.llm_output is not None and result.llm_output['token_usage']['completion_tokens'] > 0


def test_chat_answers(chat: ChatOpenAI) -> None:
    answer = chat.invoke(QUESTION)
    assert isinstance(answer, AIMessage) and answer.content == QUESTION_SAID
    assert answer.response_metadata['finish_reason'] == 'stop' and answer.response_metadata['model_name'] == MODEL
    assert answer.usage_metadata is not None and answer.usage_metadata['output_tokens'] > 0
    assert [each.content for each in chat.batch([QUESTION] * 3)] == [QUESTION_SAID] * 3


def test_chat_streams(chat: ChatOpenAI) -> None:
    chunks = list(chat.stream(QUESTION, stream_usage=True))
    assert len(chunks) > 3 and ''.join(str(chunk.content) for chunk in chunks) == QUESTION_SAID
    [usage] = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata is not None]
    assert usage['total_tokens'] > 0


def test_all_of_it_asynchronously(settings: dict[str, Any]) -> None:
    async def ask() -> tuple[str, str, int]:
        async with openai.DefaultAsyncHttpxClient() as http:  # its own would be left open
            here = settings | {'http_async_client': http, 'temperature': 0}
            text = await OpenAI(max_tokens=8, **here).ainvoke(CAPITAL)
            said = ''.join([str(chunk.content) async for chunk in ChatOpenAI(**here).astream(QUESTION)])
            del here['temperature']
            embeddings = OpenAIEmbeddings(check_embedding_ctx_length=False, **here | {'model': EMBEDDING_MODEL})
            return text, said, len(await embeddings.aembed_query('a ship'))

    assert asyncio.run(ask()) == (CAPITAL_SAID, QUESTION_SAID, EMBEDDING_SIZE)


def test_chat_in_a_chain(chat: ChatOpenAI) -> None:
    prompt = ChatPromptTemplate.from_messages([('user', 'What is the capital of {country}?')])
    chain = prompt | chat | StrOutputParser()
    assert chain.invoke({'country': 'Italy'}) == 'The capital of Italy is Rome.'


def test_embeddings_find_a_document(embeddings: OpenAIEmbeddings) -> None:
    assert len(embeddings.embed_query('a ship')) == EMBEDDING_SIZE
    one, two = embeddings.embed_documents(['a ship', 'the sea'])
    assert one == embeddings.embed_query('a ship') != two
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document('the cat sleeps'), Document('the ship sails on the sea')])
    [found] = store.similarity_search('which ship sails', k=1)
    assert found.page_content == 'the ship sails on the sea'
