"""The bench as its user runs it, with the smallest model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.servers import ROOT

TIMEOUT_S = 240


@pytest.mark.slow
@pytest.mark.e2e
def test_throughput_prints_tables_without_the_peers(tiny: Path, tmp_path: Path) -> None:
    output = tmp_path / 'run.json'
    done = subprocess.run(
        [sys.executable, str(ROOT / 'bench/throughput.py'), '--shape', 'tiny', '--rounds', '1', '--quick',
         '--no-checks', '--server', 'backend-hf', '--server', 'vLLM', '--vllm-venv', str(tmp_path / 'none'),
         '--models-folder', str(tiny.parent), '--output', str(output)],
        capture_output=True, text=True, timeout=TIMEOUT_S, cwd=tmp_path, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert 'vLLM is left out' in done.stderr
    assert '| backend-hf |' in done.stdout and '### Not measured' not in done.stdout
    found = json.loads(output.read_text('utf-8'))
    assert [(one['result']['case'], one['result']['concurrency']) for one in found['measured']] == [
        ('greedy', 1), ('greedy', 4), ('greedy', 16), ('shared', 16)]
    assert all(one['result']['tokens_per_s'] > 0 and not one['result']['short_answers'] for one in found['measured'])
    assert found['starts'][0]['peak_rss_bytes'] > 100e6


def test_an_unknown_server_stops_the_start(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / 'bench/throughput.py'), '--server', 'nothing'],
                          capture_output=True, text=True, timeout=TIMEOUT_S, cwd=tmp_path, check=False)
    assert done.returncode == 2 and 'nothing: there are backend-hf, vLLM' in done.stderr
