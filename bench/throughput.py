"""Measures one of this repository's backends and what it competes with, and prints tables of figures and ratios.

    python bench/throughput.py --vllm-venv ~/venvs/vllm
    python bench/throughput.py --ours backend-llama --llama-server llama-server/bin/llama-server --shape A --shape B

Each server is started in turn, with the same model and the same load over HTTP, several rounds long; a ratio is of two
measurements of the same round. With --together all of them stay up and are measured alternately, seconds apart: then a
machine whose speed changes meanwhile hardly matters. Servers that are not installed are left out. See bench/README.md.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import checks, models
from bench.checks import Place
from bench.load import Case, Dialect, measure
from bench.measurements import OURS, OURS_LLAMA, Failure, Measured, Run, Start, new_run
from bench.report import render
from bench.servers import Places, Running, ServerError, ServerKind, kinds, llama_kinds, serve

SETTLE_S = 240.0  # for what a server compiles in the background
MANY_CLIENTS = 64
SHARED_TOKENS, OWN_TOKENS = 512, 16
# Tokens of an answer to prompts that share a prefix. llama-server computes the prefix once for each, whatever follows.
SHARED_ANSWERS = {OURS: 128, OURS_LLAMA: 32}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    is_quick: bool
    slots: int
    has_checks: bool
    is_together: bool = False
    shared_answer: int = SHARED_ANSWERS[OURS]

    def cases(self, kind: ServerKind) -> Iterator[Case]:
        """Yields the cases for a server, the quickest ones first."""
        waves = 1 if self.is_quick else 2  # of requests; one for many clients, which are enough
        for is_sampled in (False,) if self.is_quick else (False, True):
            for clients in (1, 4, 16) if self.is_quick else (1, 4, 16, MANY_CLIENTS):
                if clients <= kind.most_clients and (clients < MANY_CLIENTS or kind.name == OURS and not is_sampled):
                    requests = clients if clients == MANY_CLIENTS else max(3, waves * clients)
                    yield Case('sampled' if is_sampled else 'greedy', clients, requests, is_sampled=is_sampled)
        if kind.most_clients >= 16:
            yield Case('shared', 16, 16, OWN_TOKENS, SHARED_TOKENS, self.shared_answer)


def warm_up(running: Running, dialect: Dialect) -> None:
    """Lets a server see every batch size once, and waits until it has made ready for them."""
    for clients in (1, 4, 16):
        if clients <= running.kind.most_clients:
            measure(running.url, Case('warm-up', clients, clients, max_tokens=16), dialect, f'warm-up {clients}')
    waited_s = running.processes.wait_until_idle(SETTLE_S)
    say(f'{running.kind.name}: ready after {running.ready_s:.1f} s, idle {waited_s:.0f} s later')


def measure_server(kind: ServerKind, shape: str, folder: Path, number: int, plan: Plan, run: Run) -> None:
    """Starts a server, measures it, adds what was found to the run, and ends it."""
    dialect = kind.dialect(folder, models.SHAPES[shape].vocabulary)
    with serve(kind, folder, plan.slots) as running:
        warm_up(running, dialect)
        for case in plan.cases(kind):
            measure_case(running, case, dialect, Place(shape, number), run)
        if kind.name == run.ours == OURS and plan.has_checks and number == 0:
            place = Place(shape, number)
            for check in (*checks.run_checks(running, dialect, place, plan.slots),
                          checks.many_clients(run, OURS, place)):
                run.checks.append(check)
                say(f'{check.name}: {check.value} ({check.limit})')
        run.starts.append(Start(shape, kind.name, number, running.ready_s, running.processes.peak_rss_bytes(),
                                running.processes.rss_bytes()))


def measure_case(running: Running, case: Case, dialect: Dialect, place: Place, run: Run) -> None:
    """Measures one case on a server, and adds what was found to the run."""
    result = measure(running.url, case, dialect, f'{place.round} {case}')
    run.measured.append(Measured(place.shape, running.kind.name, place.round, result))
    say(f'{running.kind.name}, {place.shape}, round {place.round + 1}: {case.name} {case.concurrency}: '
        f'{result.tokens_per_s:.1f} tokens/s, first token {result.first_token_p50_ms:.0f} ms')


def measure_together(chosen: Sequence[ServerKind], shape: str, folder: Path, rounds: int, plan: Plan, run: Run) -> None:
    """Starts all servers, measures each case on one after the other, every second round in the opposite order."""
    vocabulary = models.SHAPES[shape].vocabulary
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serve(kind, folder, plan.slots)) for kind in chosen]
        for running in servers:
            warm_up(running, running.kind.dialect(folder, vocabulary))
        for number in range(rounds):
            for case in dict.fromkeys(case for kind in chosen for case in plan.cases(kind)):
                for running in servers if number % 2 == 0 else reversed(servers):
                    if case in plan.cases(running.kind):
                        dialect = running.kind.dialect(folder, vocabulary)
                        measure_case(running, case, dialect, Place(shape, number), run)
        for running in servers:
            run.starts.append(Start(shape, running.kind.name, 0, running.ready_s, running.processes.peak_rss_bytes(),
                                    running.processes.rss_bytes()))


def measure_all(shapes: Sequence[str], servers: Sequence[ServerKind], folder: Path, rounds: int, plan: Plan,
                output: Path | None, ours: str = OURS) -> Run:
    """Measures every server with every shape; what fails is noted, and the rest goes on."""
    run = new_run(ours)
    for shape in shapes:
        model = models.ensure(shape, folder)
        if plan.is_together:
            try:
                measure_together(servers, shape, model, rounds, plan, run)
            except ServerError as error:  # the others end with the one that failed
                run.failures.append(Failure(shape, ours, 0, str(error)))
                say(f'a server failed: {error}')
            if output is not None:
                run.save(output)
            continue
        for number in range(rounds):
            for kind in servers:
                try:
                    measure_server(kind, shape, model, number, plan, run)
                except ServerError as error:
                    run.failures.append(Failure(shape, kind.name, number, str(error)))
                    say(f'{kind.name} failed: {error}')
                if output is not None:
                    run.save(output)
    return run


def choose(offered: Sequence[ServerKind], wanted: Sequence[str]) -> list[ServerKind]:
    """Returns the servers to measure, and says which of them are not there. Raises click.BadParameter."""
    if unknown := set(wanted) - {kind.name for kind in offered}:
        raise click.BadParameter(f'{", ".join(sorted(unknown))}: there are {", ".join(kind.name for kind in offered)}',
                                 param_hint='--server')
    chosen = [kind for kind in offered if not wanted or kind.name in wanted]
    for kind in chosen:
        if not kind.is_installed:
            say(f'{kind.name} is left out: {kind.program.name} is not installed where it was looked for')
    return [kind for kind in chosen if kind.is_installed]


def say(text: str) -> None:
    """Tells how far the run is, apart from its result."""
    click.echo(text, err=True)


@click.command(help=__doc__, context_settings={'show_default': True})
@click.option('--shape', 'shapes', multiple=True, type=click.Choice(list(models.SHAPES)), default=('A', 'B', 'C'),
              help='Model to measure with; may be repeated.')
@click.option('--server', 'wanted', multiple=True, help='Measure this server only; may be repeated.')
@click.option('--rounds', type=click.IntRange(1), default=3, help='Times that everything is measured.')
@click.option('--quick', is_flag=True, help='Greedy, at concurrency 1, 4 and 16, one wave each.')
@click.option('--together', is_flag=True, help='Keep all servers up, and measure them alternately.')
@click.option('--ours', type=click.Choice([OURS, OURS_LLAMA]), default=OURS, help='The backend to measure.')
@click.option('--slots', type=click.IntRange(1), default=16, help='Sequences that it works on at once.')
@click.option('--checks/--no-checks', 'has_checks', default=True, help='Also check what is asked of backend-hf alone.')
@click.option('--vllm-venv', type=click.Path(path_type=Path), envvar='SANDLE_BENCH_VLLM_VENV',
              default=Path('~/.venv-vllm'), help='Virtual environment of vLLM.')
@click.option('--transformers-venv', type=click.Path(path_type=Path), envvar='SANDLE_BENCH_TRANSFORMERS_VENV',
              default=Path('~/.venv-transformers'), help='Virtual environment of `transformers serve`.')
@click.option('--llama-server', type=click.Path(path_type=Path), envvar='SANDLE_BENCH_LLAMA_SERVER',
              default=Path('~/llama.cpp/build/bin/llama-server'), help="llama.cpp's own server.")
@click.option('--quantize', default='bf16', help="backend-llama's number format.")
@click.option('--shared-answer', type=click.IntRange(1), default=None, show_default='128, and 32 for backend-llama',
              help='Tokens of an answer to prompts that share a prefix.')
@click.option('--backend-hf-option', 'own_options', multiple=True,
              help='Another argument for backend-hf; may be repeated.')
@click.option('--models-folder', type=click.Path(path_type=Path), default=models.default_folder,
              show_default="in the user's cache", help='Where the models are, or are made.')
@click.option('--output', type=click.Path(path_type=Path, dir_okay=False),
              help='JSON file for everything that was found; written after every server.')
def main(shapes: tuple[str, ...], wanted: tuple[str, ...], rounds: int, quick: bool, together: bool, ours: str,
         slots: int, has_checks: bool, vllm_venv: Path, transformers_venv: Path, llama_server: Path, quantize: str,
         shared_answer: int | None, own_options: tuple[str, ...], models_folder: Path, output: Path | None) -> None:
    """Measures, prints the tables, and fails when our own server failed."""
    places = Places(vllm_venv.expanduser(), transformers_venv.expanduser(), llama_server.expanduser(), own_options,
                    quantize)
    offered = kinds(places) if ours == OURS else llama_kinds(places)
    plan = Plan(quick, slots, has_checks and not together, together, shared_answer or SHARED_ANSWERS[ours])
    run = measure_all(shapes, choose(offered, wanted), models_folder, rounds, plan, output, ours)
    click.echo(render(run))
    if any(failure.server == ours for failure in run.failures):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
