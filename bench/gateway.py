"""Measures the wrapper beside other gateways, in one run on one machine, and prints tables of figures and ratios.

    python bench/gateway.py --litellm-venv ~/venvs/litellm --report gateway.md

Three parts: small unstreamed requests through each gateway (needs wrk); many streams at once through nginx and the
wrapper; and the most events a second that one process of the wrapper passes on. See bench/README.md.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import gateway_servers as servers
from bench.gateway_backend import MODEL
from bench.gateway_report import Small, render
from bench.gateway_servers import KEY, LITELLM, Gateway
from bench.gateway_streams import Load, StreamsResult, measure_streams
from bench.servers import ServerError

CLIENTS = (1, 16, 64)
SCRIPT = Path(__file__).with_suffix('.lua')
# With what the wrapper takes so many: 500 as it is.
STREAMS: Mapping[int, tuple[str, ...]] = {
    500: (), 1000: ('--threads', '1280', '--max-running', '1000', '--max-queue', '100')}
STREAM_TOKENS, STREAM_TOKENS_PER_S = 40, 4.0
CHUNK_STREAMS, CHUNK_SECONDS = 100, 4.0
CHUNK_RATES = (20, 40, 60, 80, 100, 120, 140, 160, 200, 240, 300)  # tokens a second of each stream
PARTS = ('small', 'streams', 'chunks')


def measure_small(litellm_venv: Path | None, rounds: int, seconds: float, options: Sequence[str]) -> list[Small]:
    """Measures every gateway that is installed with every number of clients, in turn, round after round."""
    wrk = shutil.which('wrk')
    if wrk is None:
        raise ServerError('wrk is not installed (Debian: apt install wrk); leave out the part "small"')
    found = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='sandle-gateway-')))
        backend = stack.enter_context(servers.small_backend(folder))
        gateways = [backend, stack.enter_context(servers.plain_nginx(backend, folder)),
                    stack.enter_context(servers.wrapper(backend, folder, *options)),
                    stack.enter_context(servers.plain_flask(backend, folder))]
        if litellm_venv is None:
            say(f'{LITELLM} is left out: no --litellm-venv')
        else:
            gateways.append(stack.enter_context(servers.litellm(litellm_venv, backend, folder)))
        for gateway in gateways:
            ask(wrk, gateway, 16, 1.0)  # warm
        for number in range(rounds):
            for clients in CLIENTS:
                for gateway in gateways:
                    found.append(small(wrk, gateway, clients, seconds, number))
    return found


def small(wrk: str, gateway: Gateway, clients: int, seconds: float, number: int) -> Small:
    """Measures one gateway once. Raises ServerError."""
    cpu_s = gateway.processes.cpu_s()
    answer = ask(wrk, gateway, clients, seconds)
    cpu_s = gateway.processes.cpu_s() - cpu_s
    if answer['errors'] or not answer['requests']:
        raise ServerError(f'{gateway.name}, {clients} clients: {answer}')
    result = Small(gateway.name, clients, number, answer['requests'] / answer['duration_us'] * 1e6,
                   answer['p50_us'] / 1e3, answer['p99_us'] / 1e3, cpu_s / answer['requests'] * 1e6)
    say(f'round {number + 1}, {clients} clients, {gateway.name}: {result.requests_per_s:.0f} requests/s, '
        f'p50 {result.p50_ms:.2f} ms, {result.cpu_us:.0f} µs of CPU a request')
    return result


def ask(wrk: str, gateway: Gateway, clients: int, seconds: float) -> dict[str, int]:
    """Lets wrk ask for completions and returns what gateway.lua prints."""
    done = subprocess.run([wrk, '-t1', f'-c{clients}', f'-d{seconds:g}s', '--timeout', '30s', '-s', str(SCRIPT),
                           f'{gateway.url}/v1/completions', MODEL, KEY],
                          capture_output=True, text=True, check=True, timeout=seconds + 60)
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure_through_nginx(load: Load, options: Sequence[str]) -> tuple[StreamsResult, int]:
    """Runs a load through nginx and the wrapper; returns what became of it, and the wrapper's peak of memory."""
    with tempfile.TemporaryDirectory(prefix='sandle-gateway-') as name, \
            servers.stream_backend(Path(name), load.tokens, load.interval_s) as backend, \
            servers.wrapper(backend, Path(name), *options) as wrapper, \
            servers.demo_nginx(wrapper, Path(name)) as nginx:
        result = measure_streams(nginx.url, KEY, load)
        memory = wrapper.processes.peak_rss_bytes()
    say(f'{load.streams} streams: {result}, {memory / 1e6:.0f} MB')
    return result, memory


def measure_chunks(options: Sequence[str]) -> list[StreamsResult]:
    """Raises the rate of many streams through one process of the wrapper until it does not keep up."""
    found: list[StreamsResult] = []
    for rate in CHUNK_RATES:
        load = Load(CHUNK_STREAMS, round(rate * CHUNK_SECONDS), rate)
        with tempfile.TemporaryDirectory(prefix='sandle-gateway-') as name, \
                servers.stream_backend(Path(name), load.tokens, load.interval_s) as backend, \
                servers.wrapper(backend, Path(name), *options) as wrapper:
            cpu_s = wrapper.processes.cpu_s()
            found.append(measure_streams(wrapper.url, KEY, load))
            cpu_s = wrapper.processes.cpu_s() - cpu_s
        say(f'{load.streams * rate} events/s: {found[-1]}, '
            f'{cpu_s / load.streams / load.tokens * 1e6:.0f} µs of CPU each')
        if not found[-1].keeps_up:
            break
    return found


def say(text: str) -> None:
    """Tells how far the run is, apart from its result."""
    click.echo(text, err=True)


@click.command(help=__doc__, context_settings={'show_default': True})
@click.option('--litellm-venv', type=click.Path(exists=True, path_type=Path), envvar='SANDLE_BENCH_LITELLM_VENV',
              help='Virtual environment of LiteLLM; without one it is left out.')
@click.option('--part', 'parts', multiple=True, type=click.Choice(PARTS), default=PARTS,
              help='Measure this part only; may be repeated.')
@click.option('--rounds', type=click.IntRange(1), default=3, help='Times that small requests are measured.')
@click.option('--seconds', type=click.IntRange(1), default=3, help='Seconds of each measurement of small requests.')
@click.option('--wrapper-option', 'options', multiple=True, help='Another argument for the wrapper; may be repeated.')
@click.option('--report', type=click.Path(path_type=Path, dir_okay=False), help='File for the tables, in Markdown.')
@click.option('--output', type=click.Path(path_type=Path, dir_okay=False), help='JSON file for everything found.')
def main(litellm_venv: Path | None, parts: Sequence[str], rounds: int, seconds: int, options: tuple[str, ...],
         report: Path | None, output: Path | None) -> None:
    """Measures, and prints the tables."""
    small_found = measure_small(litellm_venv, rounds, seconds, options) if 'small' in parts else []
    streams = [measure_through_nginx(Load(count, STREAM_TOKENS, STREAM_TOKENS_PER_S), (*needed, *options))
               for count, needed in STREAMS.items()] if 'streams' in parts else []
    chunks = measure_chunks(options) if 'chunks' in parts else []
    text = render(small_found, streams, chunks)
    click.echo(text)
    if report is not None:
        report.write_text(text, 'utf-8')
    if output is not None:
        output.write_text(json.dumps({'small': [asdict(one) for one in small_found],
                                      'streams': [{**asdict(one), 'memory': memory} for one, memory in streams],
                                      'chunks': [asdict(one) for one in chunks]}, indent=1), 'utf-8')


if __name__ == '__main__':
    main()
