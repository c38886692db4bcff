"""The kernels: which build a processor gets, that all of them compute the same, and what goes wrong without one."""

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hf_kernels
import pytest
import torch
from hf_batched import BatchedRunner
from hf_readers import describe
from tests.hf_families import build

from sandle.engine.runner import Work

NEEDS_COMPILER = pytest.mark.skipif(shutil.which(hf_kernels.COMPILER) is None,
                                    reason='NO COMPILER HERE: kernels are NOT tested')
BUILDS = hf_kernels.BUILDS.get(platform.machine(), ())
RUNNABLE = [each for each in BUILDS if each.needs <= hf_kernels.processor_flags()]
TOKENS = [5, 9, 11, 3, 42, 17, 200, 7, 7, 7, 7, 99, 120, 33, 33, 250, 8, 19]


@pytest.mark.parametrize(('machine', 'flags', 'expected'), [
    ('x86_64', 'avx2 fma bmi2 avx512f avx512bw avx512dq avx512vl avx512_bf16', 'avx512-bf16'),
    ('x86_64', 'avx2 fma bmi2 avx512f avx512bw avx512dq avx512vl', 'avx512'),
    ('AMD64', 'avx2 fma bmi2', 'avx2'), ('arm64', 'fp asimd', 'neon')])
def test_processor_gets_the_best_build_it_can_run(machine: str, flags: str, expected: str) -> None:
    assert hf_kernels.choose(machine, frozenset(flags.split())).name == expected


@pytest.mark.parametrize(('machine', 'flags'), [('x86_64', 'sse4_2 avx'), ('riscv64', ''), ('x86_64', '')])
def test_processor_that_no_build_is_for_is_told(machine: str, flags: str) -> None:
    with pytest.raises(hf_kernels.KernelsError, match=machine):
        hf_kernels.choose(machine, frozenset(flags.split()))


@NEEDS_COMPILER
@pytest.mark.parametrize('build_of', RUNNABLE, ids=lambda each: each.name)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_every_build_gives_the_model(build_of: hf_kernels.Build, dtype: torch.dtype) -> None:
    path = hf_kernels.compile_build(build_of, hf_kernels._cache_folder())
    with torch.inference_mode():
        expected = build('llama', 0)(torch.tensor([TOKENS])).logits[0]
    runner = BatchedRunner(describe(build('llama', 0), 64), dtype, 2, hf_kernels.Kernels(path))
    found = runner.step([Work(1, 0, TOKENS, len(TOKENS))])
    deviation = float((found - expected).square().mean().sqrt() / expected.std())
    assert deviation < (1e-4 if dtype is torch.float32 else 0.05)


@NEEDS_COMPILER
def test_build_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = []
    real = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        runs.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(subprocess, 'run', counted)
    first = hf_kernels.compile_build(RUNNABLE[-1], tmp_path / 'cache')
    assert first.is_file() and len(runs) == 2
    assert hf_kernels.compile_build(RUNNABLE[-1], tmp_path / 'cache') == first and len(runs) == 2
    assert [file.name for file in (tmp_path / 'cache').iterdir()] == [first.name], 'scratch files are left'


@NEEDS_COMPILER
def test_source_that_does_not_compile_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / 'decoder.cpp'
    broken.write_text('this is no C++')
    monkeypatch.setattr(hf_kernels, 'SOURCE', broken)
    with pytest.raises(hf_kernels.KernelsError, match='failed: '):
        hf_kernels.compile_build(RUNNABLE[-1], tmp_path)


@pytest.mark.skipif(not RUNNABLE, reason='NO BUILD for this processor: kernels not tested')
def test_file_that_is_no_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_kernels, 'BUILT_FOLDER', tmp_path)
    (tmp_path / f'{RUNNABLE[0].name}.so').write_text('no library')
    with pytest.raises(hf_kernels.KernelsError, match='cannot be loaded'):
        hf_kernels.load()


@NEEDS_COMPILER
def test_threads_do_not_change_a_bit() -> None:
    runner = BatchedRunner(describe(build('llama', 0), 64), torch.float32, 2, hf_kernels.load())
    rows = []
    for threads in (1, 2, 3, 5):
        runner._threads = threads
        runner._parameters = 10 ** 9  # enough work for all of them
        rows.append(runner.step([Work(0, 0, TOKENS, len(TOKENS)), Work(1, 0, TOKENS[:5], 1)]))
    assert all(torch.equal(rows[0], other) for other in rows[1:])
