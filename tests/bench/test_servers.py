"""Servers are started, known to be ready, measured, and ended with everything that they started."""

import os
import sys
import time
from pathlib import Path

import pytest

from bench.load import Case, measure
from bench.processes import ProcessTree
from bench.servers import ROOT, Launch, Places, ServerError, ServerKind, kinds, llama_kinds, serve
from tests.end_to_end.rig import wait_for

STUB = ServerKind(
    'stub', Path(sys.executable), lambda launch: [str(ROOT / 'backend-stub/serve-backend-stub.py'), '--port',
                                                  str(launch.port), '--model', str(launch.model)], '/ready')
PARENT = """
import subprocess, sys, time
child = 'import time; block = bytearray(50_000_000); time.sleep(600)'
print(subprocess.Popen([sys.executable, '-c', child]).pid, flush=True)
time.sleep(600)
"""


def test_serve_yields_a_server_that_answers(tmp_path: Path) -> None:
    with serve(STUB, Path('some-model'), slots=4) as running:
        result = measure(running.url, Case('x', 2, 4, max_tokens=1), STUB.dialect(Path('some-model'), 100), 'seed')
        assert result.completion_tokens == 4
        assert 0.1 < running.ready_s < 60 and running.processes.peak_rss_bytes() > 20e6
    assert running.processes.has_ended()


def test_serve_says_why_a_server_does_not_start() -> None:
    broken = ServerKind('broken', Path(sys.executable), lambda launch: ['-c', 'raise SystemExit("no such luck")'], '/')
    with pytest.raises(ServerError, match='no such luck'), serve(broken, Path('m'), slots=1):
        pytest.fail('it did start')


def test_serve_says_that_a_server_has_ended_under_load() -> None:
    with pytest.raises(ServerError, match=r'(?s)ConnectionRefused.*the server has ended.*stopped'):
        with serve(STUB, Path('some-model'), slots=4) as running:
            running.processes.stop()
            measure(running.url, Case('x', 1, 1), STUB.dialect(Path('some-model'), 100), 'seed')


def test_a_tree_is_measured_and_ended_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / 'log'
    tree = ProcessTree([sys.executable, '-c', PARENT], os.environ, log)
    try:
        wait_for(lambda: tree.rss_bytes() > 55e6, 20)
        child = int(log.read_text('utf-8'))
        now = tree.rss_bytes()
        assert tree.peak_rss_bytes() >= now and tree.cpu_s() > 0
        assert tree.wait_until_idle(10, interval_s=0.5) < 9
    finally:
        tree.stop()
    assert tree.has_ended() and tree.rss_bytes() == 0
    wait_for(lambda: not Path(f'/proc/{child}').exists() or 'Z' in Path(f'/proc/{child}/stat').read_text('utf-8'))


def test_a_busy_tree_is_waited_for_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ProcessTree([sys.executable, '-c', ''], os.environ, tmp_path / 'log')
    tree.stop()
    used_s = iter([0.0, 0.1, 0.1, 0.2, 0.2, 0.2])  # busy, busy, idle: two looks each
    monkeypatch.setattr(ProcessTree, 'cpu_s', lambda tree: next(used_s))
    tree.wait_until_idle(60, interval_s=0.02)
    assert next(used_s, None) is None
    monkeypatch.setattr(ProcessTree, 'cpu_s', lambda tree: time.monotonic())
    assert 0.1 <= tree.wait_until_idle(0.1, interval_s=0.02) < 10


def test_kinds_know_what_is_not_installed(tmp_path: Path) -> None:
    places = Places(tmp_path / 'no-vllm', tmp_path / 'no-transformers', tmp_path / 'no-llama', ('--max-queue', '7'))
    offered = kinds(places)
    assert [kind.name for kind in offered if kind.is_installed] == ['backend-hf', 'naive']
    assert offered[0].extra == ('--max-queue', '7')
    assert all(str(tmp_path / 'model') in kind.arguments(Launch(tmp_path / 'model', 1, 2)) for kind in offered)
    assert [kind.name for kind in llama_kinds(places) if kind.is_installed] == ['backend-llama', 'backend-hf']


def test_llama_server_gets_the_file_that_our_backend_has_made(tmp_path: Path) -> None:
    (tmp_path / 'model-bf16-0123.gguf').touch()
    (tmp_path / 'model-q8_0-4567.gguf').touch()
    ours, other, _ = llama_kinds(Places(Path(), Path(), Path(), quantize='q8_0'))
    launch = Launch(tmp_path, 1, 2)
    assert str(tmp_path / 'model-q8_0-4567.gguf') in other.arguments(launch) and 'q8_0' in ours.arguments(launch)
