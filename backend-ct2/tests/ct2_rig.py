"""Models in CTranslate2's format, made on the spot, and the real script that serves them without PyTorch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctranslate2

from tests.end_to_end.rig import ROOT, Client, Server, serve, wait_for

SCRIPT = 'backend-ct2/serve-backend-ct2.py'
SANDLE_TINY = ROOT / 'models/sandle-tiny'


def convert(source: Path, target: Path) -> Path:
    """Converts a folder in the Hugging Face format, in float32, and returns the new one."""
    files = [name for name in ('tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja')
             if (source / name).is_file()]
    converter = ctranslate2.converters.TransformersConverter(str(source), copy_files=files)
    return Path(converter.convert(str(target), quantization='float32'))


@contextlib.contextmanager
def serving(folder: Path | None, without_torch: Path, *arguments: str, compute_type: str = 'float32'
            ) -> Iterator[tuple[Server, Client]]:
    """Runs the backend, ready, on one thread a batch, and a client of it.

    `without_torch` is a folder, made here, that keeps Python from importing what the image does not have.
    """
    for name in ('torch', 'transformers'):
        (without_torch / name).mkdir(parents=True, exist_ok=True)
        (without_torch / name / '__init__.py').write_text(f'raise ImportError("{name} is not here")\n')
    folders = [] if folder is None else [str(folder)]
    with serve(SCRIPT, *folders, '--compute-type', compute_type, '--threads', '1', *arguments,
               environment={'PYTHONPATH': str(without_torch)}) as server:
        with contextlib.closing(Client(server.url, key=None)) as client:
            wait_for(lambda: client.get('/ready').status_code == 200, 60)
            yield server, client


def complete(client: Client, model: str, prompt: object, **fields: object) -> Any:
    """Returns a greedy answer unless told otherwise, once the model is in memory."""
    body = {'model': model, 'prompt': prompt, 'temperature': 0, 'max_tokens': 24, **fields}
    wait_for(lambda: client.post('/v1/completions', json={**body, 'max_tokens': 1}).status_code != 503, 60)
    response = client.post('/v1/completions', json=body)
    assert response.status_code == 200, response.text
    return response.json()


def texts(answer: Any) -> list[str]:
    """Returns the texts of all choices."""
    return [choice['text'] for choice in answer['choices']]
