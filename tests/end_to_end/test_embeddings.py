"""Embeddings through the wrapper: OpenAI's own client, keys, limits, accounting, and what a backend may be."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, error_of, manage_keys, serve, wait_for


@pytest.fixture(scope='module')
def finder() -> Iterator[Server]:
    """A stub that makes completions and embeddings."""
    with serve(STUB, '--model', 'stub', '--embedding-model', 'finder', '--context-length', '64') as server:
        yield server


@pytest.fixture(scope='module')
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrapper's folder."""
    return tmp_path_factory.mktemp('state')


@pytest.fixture(scope='module')
def wrapper(finder: Server, state_dir: Path) -> Iterator[Server]:
    """A wrapper in front of it, with a key store."""
    with serve(WRAPPER, '--backend-stub', finder.url, '-t', KEY, '--state-dir', str(state_dir)) as server:
        yield server


@pytest.fixture(scope='module')
def api(wrapper: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f'{wrapper.url}/v1', api_key=KEY, max_retries=0) as client:
        yield client


def test_base64_and_float_are_the_same_vectors(api: openai.OpenAI) -> None:
    texts = ['the sea is wide', 'a ship']
    packed = api.embeddings.create(model='finder', input=texts)  # the client asks for base64 by itself
    plain = api.embeddings.create(model='finder', input=texts, encoding_format='float')
    assert [item.index for item in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data):
        assert one.embedding == other.embedding and len(one.embedding) == 64
    assert packed.usage == plain.usage and packed.usage.prompt_tokens == packed.usage.total_tokens > 0
    assert packed.model == 'finder' and packed.object == 'list'


def test_token_ids_and_dimensions(api: openai.OpenAI) -> None:
    [whole] = api.embeddings.create(model='finder', input=[300, 301]).data
    [same, other] = api.embeddings.create(model='finder', input=[[300, 301], [302]]).data
    assert whole.embedding == same.embedding != other.embedding
    [short] = api.embeddings.create(model='finder', input=[300, 301], dimensions=8).data
    assert len(short.embedding) == 8 and sum(x * x for x in short.embedding) == pytest.approx(1.0, abs=1e-5)


def test_async_client(wrapper: Server) -> None:
    async def ask() -> list[openai.types.CreateEmbeddingResponse]:
        async with openai.AsyncOpenAI(base_url=f'{wrapper.url}/v1', api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(client.embeddings.create(model='finder', input=f'text {number}')
                                          for number in range(8)))

    answers = asyncio.run(ask())
    assert len({tuple(answer.data[0].embedding) for answer in answers}) == 8


@pytest.mark.parametrize(('fields', 'error', 'param'), [
    ({'input': ''}, openai.BadRequestError, 'input'), ({'input': 'sea ' * 80}, openai.BadRequestError, 'input'),
    ({'dimensions': 65}, openai.BadRequestError, 'dimensions'), ({'model': 'stub'}, openai.BadRequestError, 'model'),
    ({'model': 'nobody'}, openai.NotFoundError, 'model'), ({'input': [10 ** 9]}, openai.BadRequestError, 'input')])
def test_errors_are_its_own_classes(api: openai.OpenAI, fields: dict[str, object], error: type[openai.APIStatusError],
                                    param: str) -> None:
    with pytest.raises(error) as raised:
        api.embeddings.create(**{'model': 'finder', 'input': 'x', **fields})  # type: ignore[arg-type]  # wrong
    assert raised.value.param == param


def test_too_long_is_told_in_openais_words_and_may_be_cut(api: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length is 64 tokens, however you requested"):
        api.embeddings.create(model='finder', input='sea ' * 80)
    answer = api.embeddings.create(model='finder', input='sea ' * 80, extra_body={'truncate_prompt_tokens': -1})
    assert answer.usage.prompt_tokens == 64


def test_completions_of_an_embedding_model_are_refused(api: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match='/v1/embeddings'):
        api.completions.create(model='finder', prompt='x')
    assert 'embeddings' in api.models.retrieve('finder').capabilities  # type: ignore[attr-defined]  # Sandle's own
    assert 'embeddings' not in api.models.retrieve('stub').capabilities  # type: ignore[attr-defined]  # as above


def test_a_key_pays_in_prompt_tokens_and_has_its_models_and_limits(wrapper: Server, state_dir: Path,
                                                                   client_of: Callable[..., Client]) -> None:
    client = client_of(wrapper, manage_keys(state_dir, 'create', '--name', 'searcher', '--models', 'finder',
                                            '--daily-tokens', '12'))
    wait_for(lambda: client.get('/v1/usage').status_code == 200)
    used = 0
    while used < 12:
        response = client.post('/v1/embeddings', json={'model': 'finder', 'input': ['the sea is wide', 'a ship']})
        used += response.json()['usage']['prompt_tokens']
    assert client.post('/v1/embeddings', json={'model': 'finder', 'input': 'x'}).status_code == 429
    report = client.get('/v1/usage').json()
    assert report['tokens_today'] == used
    assert [(day['model'], day['prompt_tokens'], day['completion_tokens']) for day in report['data']] == [
        ('finder', used, 0)]
    other = client_of(wrapper, manage_keys(state_dir, 'create', '--name', 'writer', '--models', 'stub'))
    wait_for(lambda: other.get('/v1/usage').status_code == 200)
    assert other.post('/v1/embeddings', json={'model': 'finder', 'input': 'x'}).status_code == 403


def test_without_a_key_nothing_is_embedded(wrapper: Server, client_of: Callable[..., Client]) -> None:
    response = client_of(wrapper, None).post('/v1/embeddings', json={'model': 'finder', 'input': 'x'})
    assert response.status_code == 401 and error_of(response)['code'] == 'invalid_api_key'


def test_a_tokenizer_request_without_a_model_still_means_the_one_that_writes(wrapper: Server,
                                                                             client_of: Callable[..., Client]) -> None:
    assert client_of(wrapper).get('/tokenizer_info').json()['model'] == 'stub'
