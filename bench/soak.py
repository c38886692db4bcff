"""Loads backend-hf with a mixed crowd for minutes and says whether it came through whole.

    python bench/soak.py --minutes 10

Clients ask for completions of random lengths, with stop strings, seeds, penalties, several choices, streamed or not,
and some of them go away before the end. Afterwards no sequence may be left in the engine, no request may have failed,
memory must be where it was, and every unstreamed greedy answer must be what the same request gets when it is alone.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.checks import metrics
from bench.client import AnswerError, complete, exchange, understand
from bench.processes import ProcessTree
from bench.servers import Places, Running, kinds, serve

MODEL = 'sandle-tiny'
CONTEXT_TOKENS = 1024  # of that model
WORDS = ('the a one two seven red blue old small cat dog fox house river moon Anna Tom was went saw said and then of '
         'in to with Question: Answer: 3 + 4 = 12 once upon time . , ! ? " \n').split(' ')
STOPS = ('\n', '.', ' the', 'and', 'ing ', '?', 'zzz')
REQUEST_TIMEOUT_S = 180.0
DRAIN_S = 20.0
GROWTH_BYTES, GROWTH_SHARE = 32e6, 0.05  # memory may grow by the larger of them between 20 % of the time and its end
SHOWN = 5


@dataclass(slots=True)
class Diary:
    """What happened. `greedy` holds the unstreamed greedy requests with their answers."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    greedy: list[tuple[dict[str, object], str]] = field(default_factory=list)
    rss: list[tuple[float, int]] = field(default_factory=list)  # seconds since the beginning, bytes


def request(source: random.Random) -> dict[str, object]:
    """Returns a random request for the embedded model."""
    body: dict[str, object] = {
        'model': MODEL, 'prompt': ' '.join(source.choices(WORDS, k=source.choice((1, 8, 30, 100, 250)))),
        'max_tokens': source.choice((1, 8, 40, 120, 240)), 'stream': source.random() < 0.5}
    if source.random() < 0.5:
        body['temperature'] = 0
    else:
        body |= {'temperature': source.uniform(0.2, 1.5), 'top_p': source.choice((1, 0.95, 0.5)),
                 'seed': source.randrange(1000)}
    if source.random() < 0.4:
        body['stop'] = source.sample(STOPS, source.randint(1, 3))
    if source.random() < 0.15:
        body |= {'frequency_penalty': source.uniform(-1, 2), 'presence_penalty': source.uniform(-1, 2)}
    if source.random() < 0.1:
        body['n'] = 2
    if source.random() < 0.15:
        body['logprobs'] = source.randint(0, 5)
    if source.random() < 0.1:
        body['ignore_eos'] = True
    return body


async def client(url: str, source: random.Random, until_s: float, diary: Diary) -> None:
    """Asks, or asks and leaves, until the time is over."""
    while time.monotonic() < until_s:
        body = request(source)
        try:
            if source.random() < 0.2:
                await exchange(url, body, leave_after_s=source.uniform(0.01, 2))
                diary.counts['left early, or tried to'] += 1
                continue
            answer = understand(await exchange(url, body, REQUEST_TIMEOUT_S))
        except (AnswerError, OSError) as error:  # a TimeoutError is an OSError
            diary.failures.append(f'{error!r} for {str(body)[:200]}')
            await asyncio.sleep(0.5)
            continue
        diary.counts['streamed' if body['stream'] else 'unstreamed'] += 1
        diary.counts[f'ended with {answer.finish_reason}'] += 1
        if body['temperature'] == 0 and not body['stream']:
            diary.greedy.append((body, answer.text))


async def watch(processes: ProcessTree, duration_s: float, diary: Diary) -> None:
    """Notes the server's memory, a hundred times in all."""
    begun_s = time.monotonic()
    while (now_s := time.monotonic() - begun_s) < duration_s:
        diary.rss.append((now_s, processes.rss_bytes()))
        await asyncio.sleep(duration_s / 100)


async def fill(url: str, slots: int) -> None:
    """Fills every slot with a text of full length, so that its cache is in memory before memory is watched."""
    source = random.Random(0)
    prompts = [source.choices(range(100, 3000), k=CONTEXT_TOKENS - 1) for _ in range(slots)]
    await asyncio.gather(*(complete(url, {'model': MODEL, 'prompt': prompt, 'max_tokens': 1}) for prompt in prompts))


async def crowd(running: Running, clients: int, duration_s: float, seed: int) -> Diary:
    """Runs all clients for a time and returns what happened."""
    diary = Diary()
    until_s = time.monotonic() + duration_s
    await asyncio.gather(watch(running.processes, duration_s, diary),
                         *(client(running.url, random.Random(f'{seed} {number}'), until_s, diary)
                           for number in range(clients)))
    return diary


async def replay(url: str, diary: Diary) -> list[str]:
    """Asks every unstreamed greedy request again, one by one, and returns what came out differently."""
    different = []
    for body, text in diary.greedy:
        alone = (await complete(url, body)).text
        if alone != text:
            different.append(f'{text!r} in the crowd, {alone!r} alone, for {str(body)[:200]}')
    return different


def left_in_engine(url: str) -> float:
    """Returns the sequences that run or wait once every client is gone, after some time to notice it."""
    until_s = time.monotonic() + DRAIN_S
    while (left := metrics(url)['sandle_sequences']) and time.monotonic() < until_s:
        time.sleep(0.2)  # between two looks
    return left


def growth(rss: list[tuple[float, int]], duration_s: float) -> tuple[int, int]:
    """Returns the memory at 20 % of the time and at its end, each the largest within a tenth of the time."""
    def around(begin: float, end: float) -> int:
        return max((size for at_s, size in rss if begin * duration_s <= at_s <= end * duration_s), default=0)
    return around(0.15, 0.25), around(0.9, 1.1)


def verdict(diary: Diary, left: float, different: list[str], duration_s: float) -> list[str]:
    """Returns what is wrong; nothing if all is well."""
    early, late = growth(diary.rss, duration_s)
    wrong = []
    if not diary.greedy:
        wrong.append('no unstreamed greedy answer came: there is nothing to compare')
    if diary.failures:
        wrong.append(f'{len(diary.failures)} requests failed')
    if left:
        wrong.append(f'{left:.0f} sequences are stuck in the engine')
    if late > early + max(GROWTH_BYTES, GROWTH_SHARE * early):
        wrong.append(f'memory grew from {early / 1e6:.0f} to {late / 1e6:.0f} MB')
    if different:
        wrong.append(f'{len(different)} of {len(diary.greedy)} unstreamed greedy answers differ from their replay')
    return wrong


def show(diary: Diary, different: list[str], duration_s: float) -> None:
    """Prints what happened, and the first of what went wrong."""
    early, late = growth(diary.rss, duration_s)
    for name, count in sorted(diary.counts.items()):
        click.echo(f'{count:7} {name}')
    click.echo(f'memory: {early / 1e6:.0f} MB at 20 % of the time, {late / 1e6:.0f} MB at its end')
    click.echo(f'replayed alone: {len(diary.greedy)}, different: {len(different)}')
    for line in (*diary.failures[:SHOWN], *different[:SHOWN]):
        click.echo(f'  {line}')


@click.command(help=__doc__, context_settings={'show_default': True})
@click.option('--minutes', type=click.FloatRange(0.01), default=10.0, help='Time of the load, without the replays.')
@click.option('--clients', type=click.IntRange(1), default=64, help='Clients that ask at the same time.')
@click.option('--slots', type=click.IntRange(1), default=16, help='Sequences that backend-hf works on at once.')
@click.option('--seed', type=int, default=1, help='Another one gives other requests.')
@click.option('--backend-hf-option', 'own_options', multiple=True, help='Another argument for backend-hf.')
def main(minutes: float, clients: int, slots: int, seed: int, own_options: tuple[str, ...]) -> None:
    """Runs the crowd, then the replays; fails with what is wrong."""
    options = ('--dtype', 'float32', '--max-queue', str(4 * clients), *own_options)
    ours = kinds(Places(Path(), Path(), Path(), options))[0]
    with serve(ours, Path(MODEL), slots) as running:
        asyncio.run(fill(running.url, slots))
        diary = asyncio.run(crowd(running, clients, 60 * minutes, seed))
        left = left_in_engine(running.url)
        different = asyncio.run(replay(running.url, diary))
    show(diary, different, 60 * minutes)
    wrong = verdict(diary, left, different, 60 * minutes)
    click.echo('\n'.join(['FAILED:', *wrong] if wrong else ['passed']))
    raise SystemExit(bool(wrong))


if __name__ == '__main__':
    main()
