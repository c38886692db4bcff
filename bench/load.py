"""Drives an OpenAI-style server with completions and says how fast they were.

    python bench/load.py --url http://127.0.0.1:8000 --model M --vocabulary 49152 --concurrency 16

A closed loop: so many clients, each of which sends its next request when its last one has ended.
"""

import asyncio
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.client import Answer, AnswerError, complete

FIRST_WORD = 257  # of bench/models.py's tokenizer: ids below are the end of text and single bytes
LETTERS = 'abcdefghijklmnopqrstuvwxyz '


class LoadError(Exception):
    """A request failed, so that there are no figures."""


@dataclass(frozen=True, slots=True)
class Case:
    """What to ask for: `requests` completions by `concurrency` clients, of prompts that begin with the same
    `shared_tokens` and go on with `own_tokens` of their own."""

    name: str
    concurrency: int
    requests: int
    own_tokens: int = 128
    shared_tokens: int = 0
    max_tokens: int = 128
    is_sampled: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server wants to be asked. With `takes_ids` a prompt is token ids, else text of a known length;
    `greedy` and `sampled` are the fields that ask for it, a `seed` being added to the latter if it `takes_seeds`."""

    model: str
    vocabulary: int
    takes_ids: bool = True
    takes_seeds: bool = True
    greedy: tuple[tuple[str, object], ...] = (('temperature', 0), ('ignore_eos', True))
    sampled: tuple[tuple[str, object], ...] = (('temperature', 0.8), ('top_p', 0.95), ('ignore_eos', True))


@dataclass(frozen=True, slots=True)
class Result:
    """What a case came to. Inter-token times are between pieces of text, which are tokens but for a few."""

    case: str
    concurrency: int
    requests: int
    completion_tokens: int
    wall_s: float
    tokens_per_s: float
    first_token_p50_ms: float
    first_token_p99_ms: float
    inter_token_p50_ms: float
    inter_token_p99_ms: float
    inter_token_max_ms: float
    client_cpu_share: float
    short_answers: int


def bodies(case: Case, dialect: Dialect, seed: str) -> Iterator[dict[str, object]]:
    """Yields the requests of a case. Another `seed` gives other prompts, which no cache has seen."""
    source = random.Random(seed)
    shared = _prompt(source, case.shared_tokens, dialect)
    for number in range(case.requests):
        own = _prompt(source, case.own_tokens, dialect)
        prompt = shared + own if isinstance(shared, str) and isinstance(own, str) else [*shared, *own]
        body = {'model': dialect.model, 'prompt': prompt, 'max_tokens': case.max_tokens, 'stream': True,
                'stream_options': {'include_usage': True}, **dict(dialect.sampled if case.is_sampled
                                                                  else dialect.greedy)}
        if case.is_sampled and dialect.takes_seeds:
            body['seed'] = number
        yield body


def _prompt(source: random.Random, tokens: int, dialect: Dialect) -> str | list[int]:
    if dialect.takes_ids:
        return [source.randrange(min(FIRST_WORD, dialect.vocabulary - 1), dialect.vocabulary) for _ in range(tokens)]
    return ''.join(source.choice(LETTERS) for _ in range(tokens))  # a token each: the tokenizer has no merges


async def drive(url: str, requests: Sequence[Mapping[str, object]], concurrency: int) -> list[Answer]:
    """Sends requests, `concurrency` at a time, and returns the answers.

    Raises an ExceptionGroup of what `complete` raises.
    """
    waiting = iter(requests)
    answers: list[Answer] = []

    async def client() -> None:
        for body in waiting:
            answers.append(await complete(url, body))

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(client())
    return answers


def measure(url: str, case: Case, dialect: Dialect, seed: str) -> Result:
    """Runs a case. Raises LoadError."""
    requests = list(bodies(case, dialect, seed))
    cpu_s = time.process_time()
    try:
        answers = asyncio.run(drive(url, requests, case.concurrency))
    except* (AnswerError, OSError) as group:  # a TimeoutError is an OSError
        raise LoadError(f'{case.name}, {case.concurrency} clients: {group.exceptions[0]!r}') from None
    cpu_s = time.process_time() - cpu_s
    return summarise(case, answers, cpu_s)


def summarise(case: Case, answers: Sequence[Answer], cpu_s: float = 0.0) -> Result:
    """Returns the figures of a case from its answers. Tokens are the server's count, else pieces of text."""
    wall_s = max(answer.ended_s for answer in answers) - min(answer.sent_s for answer in answers)
    counts = [len(answer.arrivals) if answer.completion_tokens is None else answer.completion_tokens
              for answer in answers]
    first_ms = [1000 * answer.first_token_s for answer in answers]
    gaps_ms = [1000 * gap for answer in answers for gap in answer.gaps_s] or [0.0]
    return Result(
        case.name, case.concurrency, len(answers), sum(counts), wall_s, sum(counts) / wall_s,
        statistics.median(first_ms), percentile(first_ms, 99), statistics.median(gaps_ms), percentile(gaps_ms, 99),
        max(gaps_ms), cpu_s / wall_s, sum(count < case.max_tokens for count in counts))


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that at least so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@click.command(help=__doc__, context_settings={'show_default': True})
@click.option('--url', default='http://127.0.0.1:8000', help='Server, without /v1.')
@click.option('--model', required=True, help='Model to ask for.')
@click.option('--vocabulary', type=click.IntRange(2), required=True, help='Ids that prompts are drawn from.')
@click.option('--concurrency', type=click.IntRange(1), default=1, help='Clients.')
@click.option('--requests', type=click.IntRange(1), default=16, help='Requests of all clients together.')
@click.option('--prompt-tokens', type=click.IntRange(1), default=128, help='Tokens of each prompt.')
@click.option('--shared-tokens', type=click.IntRange(0), default=0, help='Tokens that all prompts begin with.')
@click.option('--max-tokens', type=click.IntRange(1), default=128, help='Tokens of each answer.')
@click.option('--sampled', is_flag=True, help='Sample (temperature 0.8, top_p 0.95) instead of greedy decoding.')
@click.option('--text', is_flag=True, help='Send prompts as text of as many characters, for models of models.py.')
@click.option('--seed', default='0', help='Another one gives other prompts.')
def main(url: str, model: str, vocabulary: int, concurrency: int, requests: int, prompt_tokens: int, shared_tokens: int,
         max_tokens: int, sampled: bool, text: bool, seed: str) -> None:
    """Measures once and prints the figures."""
    case = Case('load', concurrency, requests, prompt_tokens, shared_tokens, max_tokens, sampled)
    for name, value in asdict(measure(url, case, Dialect(model, vocabulary, not text), seed)).items():
        click.echo(f'{name:20} {value:.2f}' if isinstance(value, float) else f'{name:20} {value}')


if __name__ == '__main__':
    main()
