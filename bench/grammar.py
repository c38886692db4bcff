"""Measures libraries of constrained decoding beside each other: time, correctness, what hostile schemas do to them.

Each that is installed in the running Python is measured. llguidance is; to add xgrammar, install
it into a copy of .venv: pip install --no-deps xgrammar apache-tvm-ffi. Vocabularies are sandle-tiny's and larger ones
made of its tokens. Prints tables in Markdown. A hostile schema has a process of its own, which is ended when it takes
too much.

    .venv/bin/python bench/grammar.py
"""

import importlib.util
import json
import multiprocessing
import pathlib
import random
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click
import jsonschema_rs
import numpy
import tokenizers

from bench.grammar_libraries import LIBRARIES, Library, Walk
from bench.grammar_schemas import CASES, HOSTILE, Case

SIZES = (3072, 32_000, 128_000)
WALKS = 10  # random answers a schema
LONGEST = 300  # tokens of one
MOST_SECONDS, MOST_BYTES = 20, 4 << 30  # of a hostile schema


class Figures(NamedTuple):
    """What one library did with one vocabulary."""

    compile_ms: list[float]
    mask_us: list[float]
    refused: list[str]
    wrong: list[str]
    finished: int


def vocabulary(size: int) -> tuple[list[bytes], int]:
    """Returns the bytes of `size` tokens, the single bytes first, and the id of the one that ends an answer."""
    names = tokenizers.Tokenizer.from_file(str(ROOT / 'models/sandle-tiny/tokenizer.json')).get_vocab()
    words = [name.replace('Ġ', ' ').encode() for name in sorted(names) if name.isascii() or name.startswith('Ġ')]
    tokens = dict.fromkeys([bytes([byte]) for byte in range(256)] + words)
    pick = random.Random(0)
    while len(tokens) < size - 1:
        tokens[pick.choice(words) + pick.choice(words)] = None
    return [*list(tokens)[:size - 1], b'</s>'], size - 1


def measure(library: Library, tokens: Sequence[bytes], end: int) -> Figures:
    """Has a library take all ordinary schemas."""
    figures = Figures([], [], [], [], 0)
    finished = 0
    for name, case in CASES.items():
        started_s = time.perf_counter()
        try:
            begin = library.compile(json.dumps(case.schema))
        except ValueError:
            figures.refused.append(name)
            continue
        figures.compile_ms.append(1000 * (time.perf_counter() - started_s))
        finished += sum(_walk(name, case, begin(), tokens, end, seed, figures) for seed in range(WALKS))
        figures.wrong.extend(name for _ in range(_misjudged(case, begin, end)))
    return figures._replace(finished=finished)


def _walk(name: str, case: Case, walk: Walk, tokens: Sequence[bytes], end: int, seed: int, figures: Figures) -> bool:
    """Writes a random answer, ended as soon as it may be; returns whether it ended. It must fit its schema then."""
    pick, text = random.Random(seed), b''
    for _ in range(LONGEST):
        started_s = time.perf_counter()
        mask = walk.mask()
        figures.mask_us.append(1e6 * (time.perf_counter() - started_s))
        allowed = numpy.unpackbits(numpy.frombuffer(mask, numpy.uint8), count=len(tokens), bitorder='little')
        if allowed[end]:
            if not _fits(case, text):
                figures.wrong.append(name)
            return True
        ids = numpy.flatnonzero(allowed)
        closing = ids[:numpy.searchsorted(ids, 256)]  # single bytes, which the vocabulary begins with
        token = int(pick.choice(closing if len(closing) and pick.random() < 0.5 else ids))
        assert walk.accept(token), 'the mask promised it'
        text += tokens[token]
    return False


def _fits(case: Case, text: bytes) -> bool:
    try:
        return jsonschema_rs.is_valid(dict(case.schema), json.loads(text, parse_float=_finite), validate_formats=True)
    except ValueError:  # no JSON, or no UTF-8
        return False


def _finite(digits: str) -> float:
    """Reads a number that JSON allows and Python has no float for as the largest that it has."""
    return max(-sys.float_info.max, min(sys.float_info.max, float(digits)))


def _misjudged(case: Case, begin: Callable[[], Walk], end: int) -> int:
    """Returns how many documents are let through or kept out against the schema."""
    return sum(_takes(begin(), json.dumps(document, ensure_ascii=False), end) != fits
               for documents, fits in ((case.fitting, True), (case.other, False)) for document in documents)


def _takes(walk: Walk, text: str, end: int) -> bool:
    return all(walk.accept(token) for token in (*text.encode(), end))


def _counted(names: Sequence[str]) -> str:
    return ', '.join(f'{name} {count}' for name, count in Counter(names).most_common()) or '–'


def hostile(name: str, schema: str, told: 'multiprocessing.queues.Queue[str]') -> None:
    """Compiles a schema and takes one mask, in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    library = LIBRARIES[name]([*(bytes([byte]) for byte in range(256)), b'</s>'], 256)
    started_s = time.perf_counter()
    try:
        library.compile(schema)().mask()
        outcome = 'taken'
    except (ValueError, RuntimeError):
        outcome = 'refused'
    told.put(f'{outcome}, {time.perf_counter() - started_s:.2f} s')


def try_hostile(name: str, schema: str) -> str:
    """Returns what became of a hostile schema."""
    processes = multiprocessing.get_context('spawn')
    told = processes.Queue()
    process = processes.Process(target=hostile, args=(name, schema, told), daemon=True)
    process.start()
    process.join(MOST_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return f'not done after {MOST_SECONDS} s'
    return told.get() if process.exitcode == 0 else f'**the process dies** of {MOST_BYTES >> 30} GiB'


@click.command(help=__doc__)
def main() -> None:
    """Prints the tables."""
    installed = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    print('| library | vocabulary | told the vocabulary | compile: median, most | mask: median, 99 %, most | answers '
          'that ended, of | refused | wrong |\n|---|---|---|---|---|---|---|---|')
    for name in installed:
        for size in SIZES:
            tokens, end = vocabulary(size)
            started_s = time.perf_counter()
            library = LIBRARIES[name](tokens, end)
            told_ms = 1000 * (time.perf_counter() - started_s)
            found = measure(library, tokens, end)
            masks = statistics.quantiles(found.mask_us, n=100)
            print(f'| {name} | {size} | {told_ms:.0f} ms | {statistics.median(found.compile_ms):.1f}, '
                  f'{max(found.compile_ms):.1f} ms | {masks[49]:.0f}, {masks[98]:.0f}, {max(found.mask_us):.0f} µs | '
                  f'{found.finished}, {WALKS * len(found.compile_ms)} | {", ".join(found.refused) or "–"} | '
                  f'{_counted(found.wrong)} |', flush=True)
    print(f'\n| hostile schema | {" | ".join(installed)} |\n|---{"|---" * len(installed)}|')
    for title, schema in HOSTILE.items():
        outcomes = [try_hostile(name, json.dumps(schema)) for name in installed]
        print(f'| {title} | {" | ".join(outcomes)} |', flush=True)


if __name__ == '__main__':
    main()
