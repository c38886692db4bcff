"""The compiled kernels of native/decoder.cpp: which build fits this processor, where it lies, and how it is called.

Builds that came with the image are taken first; else the compiler of this machine makes one, once, in the user's cache.
Where neither is there, models run without these kernels. Run as a script it makes every build for this architecture
(the Dockerfile does): `python hf_kernels.py`.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).resolve().parent / 'native/decoder.cpp'
BUILT_FOLDER = SOURCE.parent / 'built'
COMPILER = 'g++'  # not clang++: PyTorch brings GCC's OpenMP
FLAGS = ('-O3', '-std=c++17', '-fPIC', '-fopenmp', '-fno-math-errno', '-fno-trapping-math')
COMPILE_TIMEOUT_S = 120


class KernelsError(Exception):
    """There are no kernels for this machine. The message says why."""


@dataclass(frozen=True, slots=True)
class Build:
    """One compilation: the processor's flags that it needs, and the compiler's for them."""

    name: str
    needs: frozenset[str]
    flags: tuple[str, ...]


BUILDS = {  # by architecture, the best first
    'x86_64': (
        Build('avx512-bf16', frozenset({'avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'avx512_bf16', 'fma'}),
              ('-march=x86-64-v4', '-mavx512bf16', '-mprefer-vector-width=512')),
        Build('avx512', frozenset({'avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'fma'}),
              ('-march=x86-64-v4', '-mprefer-vector-width=512')),
        Build('avx2', frozenset({'avx2', 'fma', 'bmi2'}), ('-march=x86-64-v3',))),
    'aarch64': (Build('neon', frozenset({'asimd'}), ('-march=armv8-a',)),),
}


class Norm(ctypes.Structure):
    """As `Normalizer` in decoder.cpp; the structures below as theirs of the same name."""

    _fields_ = [('weight', ctypes.c_void_p), ('bias', ctypes.c_void_p), ('epsilon', ctypes.c_float),
                ('kind', ctypes.c_int32)]


class Linear(ctypes.Structure):
    """A packed matrix."""

    _fields_ = [('weight', ctypes.c_void_p), ('bias', ctypes.c_void_p), ('columns', ctypes.c_int64),
                ('depth', ctypes.c_int64), ('scales', ctypes.c_void_p), ('bits', ctypes.c_int32),
                ('unused', ctypes.c_int32)]


class Layer(ctypes.Structure):
    """One layer of the model."""

    _fields_ = [*((name, Norm) for name in ('attention_norm', 'mlp_norm', 'post_attention_norm', 'post_mlp_norm',
                                            'query_norm', 'key_norm')),
                *((name, Linear) for name in ('qkv', 'out', 'gate', 'up', 'down')),
                *((name, ctypes.c_void_p) for name in ('rotation', 'keys', 'values')),
                ('window', ctypes.c_int32), ('unused', ctypes.c_int32)]


class Decoder(ctypes.Structure):
    """A whole model."""

    _fields_ = [*((name, ctypes.c_int32) for name in (
                    'layers', 'hidden', 'heads', 'kv_heads', 'head_size', 'padded_head_size', 'positions', 'rotated',
                    'rotation_kind', 'activation', 'is_parallel', 'is_float32', 'threads', 'position_offset')),
                *((name, ctypes.c_float) for name in ('attention_scale', 'attention_cap', 'logit_cap',
                                                      'embedding_scale')),
                *((name, ctypes.c_void_p) for name in ('layer', 'embedding', 'position_embedding', 'alibi')),
                ('embedding_norm', Norm), ('final_norm', Norm), ('head', Linear)]


class LowRank(ctypes.Structure):
    """What an adapter adds to a product."""

    _fields_ = [('down', Linear), ('up', Linear)]


class LayerAdapter(ctypes.Structure):
    """What an adapter adds to a layer."""

    _fields_ = [(name, LowRank) for name in ('qkv', 'out', 'gate', 'up', 'down')]


class Group(ctypes.Structure):
    """The rows of those sequences of a step that have one adapter."""

    _fields_ = [('layer', ctypes.c_void_p), ('row', ctypes.c_int64), ('count', ctypes.c_int64)]


class Span(ctypes.Structure):
    """One sequence's share of a step."""

    _fields_ = [(name, ctypes.c_int32) for name in ('slot', 'start', 'row', 'count')]


class Kernels:
    """The loaded library. Its calls release Python's lock."""

    def __init__(self, path: Path) -> None:
        _load_openmp()
        library = ctypes.CDLL(str(path))
        self._step = library.sandle_step
        self._step.restype = ctypes.c_int
        self._step.argtypes = [ctypes.POINTER(Decoder), ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(Span),
                               ctypes.c_int, ctypes.POINTER(Group), ctypes.c_int, ctypes.c_void_p, ctypes.c_int64,
                               ctypes.c_void_p]

    def step(self, decoder: Decoder, tokens: int, rows: int, spans: 'ctypes.Array[Span]',
             groups: 'ctypes.Array[Group]', wanted: int, wanted_count: int, logits: int) -> None:
        """Runs a step; `tokens`, `wanted` and `logits` are addresses. Raises MemoryError."""
        if self._step(ctypes.byref(decoder), tokens, rows, spans, len(spans), groups, len(groups), wanted,
                      wanted_count, logits):
            raise MemoryError('not enough memory for a step of the model')


def load() -> Kernels:
    """Returns the kernels for this machine, compiled now if need be (some seconds). Raises KernelsError."""
    build = choose(platform.machine(), processor_flags())
    built = BUILT_FOLDER / f'{build.name}.so'
    path = built if built.is_file() else compile_build(build, _cache_folder())
    try:
        return Kernels(path)
    except OSError as error:
        raise KernelsError(f'{path} cannot be loaded: {error}') from error


def choose(machine: str, flags: frozenset[str]) -> Build:
    """Returns the best build for a processor. Raises KernelsError."""
    for build in BUILDS.get({'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine.lower(), machine), ()):
        if build.needs <= flags:
            return build
    raise KernelsError(f'there are none for this processor ({machine})')


def processor_flags() -> frozenset[str]:
    """Returns what this processor can do, as Linux names it; nothing where that cannot be read."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(':')[2].split() for line in lines
                           if line.lower().startswith(('flags', 'features'))), ()))


def compile_build(build: Build, folder: Path) -> Path:
    """Returns a build's file in a folder, compiled unless it is there from the same source. Raises KernelsError."""
    digest = hashlib.sha256(SOURCE.read_bytes() + repr((build.flags, FLAGS)).encode()).hexdigest()[:16]
    path = folder / f'{build.name}-{digest}.so'
    if path.is_file():
        return path
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise KernelsError(f'there is no compiler ({COMPILER}) to make them')
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = _compile(compiler, build, Path(scratch))
            os.replace(made, path)  # at once: another process may be doing the same
    except OSError as error:
        raise KernelsError(f'they cannot be made in {folder}: {error}') from error
    return path


def _compile(compiler: str, build: Build, scratch: Path) -> Path:
    """Compiles and links. The calls into OpenMP stay open: they are to meet PyTorch's own copy of it."""
    compiled, linked = scratch / 'decoder.o', scratch / 'decoder.so'
    for command in ([compiler, *FLAGS, *build.flags, '-c', str(SOURCE), '-o', str(compiled)],
                    [compiler, '-shared', str(compiled), '-o', str(linked)]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise KernelsError(f'{compiler} did not end within {COMPILE_TIMEOUT_S} s') from error
        if done.returncode:
            raise KernelsError(f'{compiler} failed: {(done.stderr.splitlines() or ["it says nothing"])[0]}')
    return linked


def _cache_folder() -> Path:
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'sandle/kernels'


def _load_openmp() -> None:
    """Makes OpenMP's functions known: PyTorch's copy, so that one set of threads serves both; else the system's."""
    import torch
    copies = sorted(Path(torch.__file__).parent.glob('lib/libgomp*')) + sorted(
        Path(torch.__file__).parent.parent.glob('torch.libs/libgomp*'))
    ctypes.CDLL(str(copies[0]) if copies else 'libgomp.so.1', mode=ctypes.RTLD_GLOBAL)


def main() -> None:
    """Makes every build of this architecture, for an image."""
    for build in BUILDS.get(platform.machine(), ()):
        BUILT_FOLDER.mkdir(exist_ok=True)
        made = compile_build(build, BUILT_FOLDER)
        made.rename(BUILT_FOLDER / f'{build.name}.so')
        print(build.name, file=sys.stderr)


if __name__ == '__main__':
    main()
