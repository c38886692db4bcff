"""The servers that are measured: how each is started, how one knows that it is ready, and how it wants to be asked."""

import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from bench.load import Dialect, LoadError
from bench.processes import ProcessTree

ROOT = Path(__file__).resolve().parent.parent
CONTEXT_TOKENS = 2048
READY_TIMEOUT_S = 600.0
LOG_CHARACTERS = 3000
NO_END = ('ignore_eos', True)
SAMPLED = (('temperature', 0.8), ('top_p', 0.95))


class ServerError(Exception):
    """A server did not start, or failed; the first line says what happened, the others are the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a server's command line is made of."""

    model: Path
    port: int
    slots: int


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A server that can be measured. `program` must exist for it to be installed; `most_clients` is the concurrency
    beyond which measuring it tells nothing new."""

    name: str
    program: Path
    arguments: Callable[[Launch], list[str]]
    ready_path: str
    extra: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    greedy: tuple[tuple[str, object], ...] = (('temperature', 0), NO_END)
    sampled: tuple[tuple[str, object], ...] = (*SAMPLED, NO_END)
    takes_ids: bool = True
    takes_seeds: bool = True
    most_clients: int = 64

    @property
    def is_installed(self) -> bool:
        """Whether its program is on this machine."""
        return self.program.is_file()

    def dialect(self, model: Path, vocabulary: int) -> Dialect:
        """Returns how to ask it for completions of a model."""
        return Dialect(str(model), vocabulary, self.takes_ids, self.takes_seeds, self.greedy, self.sampled)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready. `ready_s` is the time from its start until it said so."""

    kind: ServerKind
    url: str
    processes: ProcessTree
    ready_s: float


@dataclass(frozen=True, slots=True)
class Places:
    """Where other servers are, and how ours are told to be; `quantize` is a number format of backend-llama."""

    vllm_venv: Path
    transformers_venv: Path
    llama_server: Path
    backend_hf_options: tuple[str, ...] = ()
    quantize: str = 'bf16'


def llama_kinds(places: Places) -> list[ServerKind]:
    """Returns backend-llama; llama.cpp's own server, which loads the file that the other has made; and backend-hf."""
    form = places.quantize
    return [
        ServerKind(
            'backend-llama', Path(sys.executable),
            lambda launch: [str(ROOT / 'backend-llama/serve-backend-llama.py'), '--model', str(launch.model),
                            '--model-id', str(launch.model), '--port', str(launch.port), '--slots', str(launch.slots),
                            '--quantize', form, '--max-seq-len', str(CONTEXT_TOKENS), '--log-level', 'WARNING'],
            '/ready'),
        ServerKind(
            'llama-server', places.llama_server,
            lambda launch: ['--model', str(max(launch.model.glob(f'*-{form}-*.gguf'))), '--host', '127.0.0.1',
                            '--port', str(launch.port), '--parallel', str(launch.slots), '--ctx-size',
                            str(CONTEXT_TOKENS * launch.slots), '--threads', str(os.cpu_count() or 1), '--no-webui'],
            '/health', most_clients=16),
        *(kind for kind in kinds(places) if kind.name == 'backend-hf'),
    ]


def kinds(places: Places) -> list[ServerKind]:
    """Returns every server, installed or not; this repository's own comes first."""
    return [
        ServerKind(
            'backend-hf', Path(sys.executable),
            lambda launch: [str(ROOT / 'backend-hf/serve-backend-hf.py'), '--single-model', str(launch.model),
                            '--port', str(launch.port), '--max-batch-size', str(launch.slots),
                            '--max-context-tokens', str(CONTEXT_TOKENS), '--log-level', 'WARNING'],
            '/ready', extra=places.backend_hf_options),
        ServerKind(
            'vLLM', places.vllm_venv / 'bin/vllm',
            lambda launch: ['serve', str(launch.model), '--host', '127.0.0.1', '--port', str(launch.port),
                            '--max-model-len', str(CONTEXT_TOKENS), '--dtype', 'bfloat16'],
            # GiB of cache: room for what is measured; left to itself it takes most of the memory. It computes on all
            # cores but one, which is its best: on two cores, both bound and none bound were slower.
            '/health', environment={'VLLM_CPU_KVCACHE_SPACE': '2'}),
        ServerKind(
            'transformers serve', places.transformers_venv / 'bin/transformers',
            # By default its cache is nine tenths of the free memory, and the kernel then kills it.
            lambda launch: ['serve', str(launch.model), '--continuous-batching', '--cb-max-memory-percent', '0.2',
                            '--host', '127.0.0.1', '--port', str(launch.port), '--device', 'cpu',
                            '--dtype', 'bfloat16'],
            # Its continuous batching does not survive a temperature of 0, and has one setting for all requests; the
            # models' own is greedy. The prompt must be text.
            '/health', greedy=(), sampled=SAMPLED, takes_ids=False, takes_seeds=False, most_clients=16),
        ServerKind(
            'naive', Path(sys.executable),
            lambda launch: [str(ROOT / 'bench/naive_server.py'), '--model', str(launch.model),
                            '--port', str(launch.port)],
            '/health', most_clients=4),
    ]


@contextlib.contextmanager
def serve(kind: ServerKind, model: Path, slots: int) -> Iterator[Running]:
    """Starts a server, waits until it is ready, and ends it with all its processes.

    Raises ServerError, also for a LoadError of what is done with it.
    """
    with tempfile.TemporaryDirectory(prefix='sandle-bench-') as folder:
        port = free_port()
        command = [str(kind.program), *kind.arguments(Launch(model, port, slots)), *kind.extra]
        processes = ProcessTree(command, _environment(kind), Path(folder) / 'log')
        try:
            url = f'http://127.0.0.1:{port}'
            _wait_until_ready(url + kind.ready_path, kind, processes)
            yield Running(kind, url, processes, time.perf_counter() - processes.started_s)
        except LoadError as error:
            remark = ' (the server has ended)' if processes.has_ended() else ''
            raise ServerError(f'{error}{remark}\n{_tail(processes)}') from None
        finally:
            processes.stop()


def free_port() -> int:
    """Returns a port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port: int = listener.getsockname()[1]
        return port


def _environment(kind: ServerKind) -> dict[str, str]:
    """Returns what a server has around it: no settings of this repository, no network; else what the user has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith('SANDLE_')}
    return {'VLLM_NO_USAGE_STATS': '1', **kind.environment, **kept, 'HF_HUB_OFFLINE': '1', 'PYTHONUNBUFFERED': '1'}


def _wait_until_ready(url: str, kind: ServerKind, processes: ProcessTree) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while time.perf_counter() - processes.started_s < READY_TIMEOUT_S:
            with contextlib.suppress(requests.RequestException):
                if session.get(url, timeout=5).status_code == 200:
                    return
            if processes.has_ended():
                break
            time.sleep(0.1)  # between two looks
    raise ServerError(f'it did not become ready\n{_tail(processes)}')


def _tail(processes: ProcessTree) -> str:
    return processes.log.read_text('utf-8', 'replace')[-LOG_CHARACTERS:]
