"""Models that cannot be loaded, and a model whose step fails: the real engine with the embedded model."""

import json
import re
import shutil
import signal
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, ROOT, STUB, WRAPPER, Client, Server, error_of, events_of, serve, wait_for
from tests.faults.failing_backend import POISON
from tests.faults.figures import Figures

TINY = ROOT / 'models/sandle-tiny'
FILES = ('config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json')
LOAD_S = 60.0  # at most; a busy machine takes long to import torch
FIRST_RETRY_S = 5.0
TOO_MANY = 10 ** 12  # parameters: more than any machine's memory


def copy_tiny(folder: Path) -> None:
    """Makes a folder of the embedded model, without its weights."""
    folder.mkdir()
    for name in FILES:
        shutil.copy(TINY / name, folder)


def make_models(folder: Path) -> Path:
    """Makes a models file: a model cut short, one that is not there, one too large, and one that is good."""
    for name in ('corrupt', 'huge'):
        copy_tiny(folder / name)
    (folder / 'corrupt/model.safetensors').write_bytes((TINY / 'model.safetensors').read_bytes()[:100_000])
    header = json.dumps({'w': {'dtype': 'BF16', 'shape': [TOO_MANY], 'data_offsets': [0, 2 * TOO_MANY]}}).encode()
    with (folder / 'huge/model.safetensors').open('wb') as file:
        file.write(struct.pack('<Q', len(header)) + header)
        file.truncate(8 + len(header) + 2 * TOO_MANY)  # a hole: it takes no room on the disk
    paths = {'corrupt': 'corrupt', 'missing': 'nowhere', 'huge': 'huge', 'good': str(TINY)}
    (folder / 'models.json').write_text(json.dumps([{'id': name, 'path': path} for name, path in paths.items()]))
    return folder / 'models.json'


@dataclass(frozen=True, slots=True)
class Models:
    """A backend-hf whose first model is corrupt, a wrapper in front of it and of a stub, and the models' folder."""

    backend: Server
    direct: Client
    client: Client
    folder: Path


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """The processes."""
    folder = tmp_path_factory.mktemp('models')
    with ExitStack() as stack:
        stub = stack.enter_context(serve(STUB))
        backend = stack.enter_context(serve('tests/faults/failing_backend.py', '--models-file',
                                            str(make_models(folder)), '--device', 'cpu'))
        wrapper = stack.enter_context(serve(WRAPPER, '--backend', backend.url, '--backend', stub.url, '-t', KEY))
        direct = stack.enter_context(closing(Client(backend.url, key=None)))
        client = stack.enter_context(closing(Client(wrapper.url)))
        yield Models(backend, direct, client, folder)


def complete(client: Client, model: str, **fields: object) -> int:
    return client.post('/v1/completions', json={'model': model, 'prompt': 'x', 'max_tokens': 2, **fields}).status_code


@pytest.mark.fault('model cannot load')
def test_first_model_is_corrupt(models: Models, figures: Figures) -> None:
    wait_for(lambda: models.direct.get('/v1/models/corrupt').json()['status'] == 'error', LOAD_S)
    told = models.direct.get('/v1/models/corrupt').json()
    figures.exactly('corrupt: status in the listing', told['status'], 'error')
    assert re.fullmatch(r'.*corrupt.*', told['status_message']), 'the cause, in one line'
    figures.exactly('/ready of the backend', models.direct.get('/ready').status_code, 503)
    figures.exactly('/health of the backend', models.direct.get('/health').status_code, 200)
    refused = models.direct.post('/v1/completions', json={'model': 'corrupt', 'prompt': 'x'})
    assert refused.status_code == 503 and 1 <= int(refused.headers['Retry-After']) <= FIRST_RETRY_S + 1
    assert told['status_message'] in str(error_of(refused)['message'])
    figures.exactly('another backend meanwhile, through the wrapper', complete(models.client, 'stub'), 200)
    assert 'next try in 5 s' in models.backend.output


@pytest.mark.fault('model cannot load')
@pytest.mark.parametrize(('name', 'cause'), [('missing', 'nowhere'), ('huge', 'memory')])
def test_another_model_cannot_be_loaded(models: Models, figures: Figures, name: str, cause: str) -> None:
    wait_for(lambda: complete(models.direct, 'good') == 200, LOAD_S)
    assert complete(models.direct, name) == 503
    wait_for(lambda: models.direct.get(f'/v1/models/{name}').json()['status'] == 'error', LOAD_S)
    told = models.direct.get(f'/v1/models/{name}').json()
    assert cause in told['status_message'] and '\n' not in told['status_message']
    figures.exactly(f'{name}: status in the listing', told['status'], 'error')
    seconds = wait_for(lambda: complete(models.direct, 'good') == 200, LOAD_S)
    figures.below('until the model that was there before is served again', seconds, 10.0)


@pytest.mark.fault('model cannot load')
def test_it_is_tried_again(models: Models, figures: Figures) -> None:
    shutil.copy(TINY / 'model.safetensors', models.folder / 'corrupt')
    seconds = wait_for(lambda: complete(models.direct, 'corrupt') == 200, LOAD_S)
    figures.below('corrupt: served after its files were put right', seconds, 45.0)


class LongStream(threading.Thread):
    """Reads a stream to its end."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        response = client.post('/v1/completions', stream=True, json={
            'model': 'good', 'prompt': 'Once', 'max_tokens': 300, 'ignore_eos': True, 'stream': True})
        self._pieces = response.iter_content(None)
        self.body = next(self._pieces)

    def run(self) -> None:
        """Reads."""
        self.body += b''.join(self._pieces)


@pytest.mark.fault('a step of the model fails')
def test_step_fails(models: Models, figures: Figures) -> None:
    wait_for(lambda: complete(models.client, 'good') == 200, LOAD_S)
    streams = [LongStream(models.client) for _ in range(3)]
    for stream in streams:
        stream.start()
    started_s = time.monotonic()
    with closing(Client(models.client.url)) as poisoned:
        refused = poisoned.post('/v1/completions', json={'model': 'good', 'prompt': [POISON] * 3, 'max_tokens': 2})
    assert refused.status_code == 500
    for stream in streams:
        stream.join()
    figures.below('its sequences get an error', time.monotonic() - started_s, 1.0)
    ends = [events_of(stream.body)[-1] for stream in streams]
    figures.exactly('streams that were in it: end with an error event', sum('error' in end for end in ends), 3)
    assert not any(b'[DONE]' in stream.body for stream in streams)
    figures.exactly('the next request', complete(models.client, 'good'), 200)
    assert 'a step of the model failed' in models.backend.output
    assert models.backend.process.poll() is None
    assert models.backend.stop(signal.SIGTERM) == 0
