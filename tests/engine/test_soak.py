"""Many clients at once with requests of every kind: each gets the answer that it gets alone, and nothing is stuck."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandle import errors
from sandle.engine.engine import Delta, Finished, GenerationRequest
from sandle.engine.loop import EngineLoop, EngineOptions
from tests.engine.scripted import ScriptedLoader, ScriptedRunner
from tests.engine.serving import PATIENCE_S, Started, collect, eventually, ready, request

CLIENTS, REQUESTS = 10, 8
SHARED = 'a prefix that many requests share, '
KINDS: list[dict[str, Any]] = [
    {}, {'top_k': 20}, {'top_p': 0.8}, {'min_p': 0.05}, {'typical_p': 0.9}, {'temperature': 0.0}]
EXTRAS: list[dict[str, Any]] = [
    {}, {'stops': ('q', 'ab')}, {'presence_penalty': 1.0, 'repetition_penalty': 1.3}, {'logprobs': 2}, {'logprobs': 0},
    {'min_tokens': 5, 'logit_bias': ((256, 5.0), (97, 3.0))}]


def random_request(rng: random.Random) -> GenerationRequest:
    """A request of any kind."""
    prompt = rng.choice(['', SHARED, SHARED * 2]) + ''.join(rng.choices('abc', k=rng.randint(1, 40)))
    sampling: dict[str, Any] = {
        'temperature': rng.choice([0.4, 1.0]), 'max_tokens': rng.randint(1, 30), 'seed': rng.randrange(1000),
        **rng.choice(KINDS), **rng.choice(EXTRAS)}
    return request(prompt, candidates=rng.choice([1, 1, 1, 3]), echo=rng.random() < 0.2, **sampling)


def merged(deltas: Sequence[Delta]) -> list[tuple[object, ...]]:
    """Each choice's text, tokens with their logprobs, and reason."""
    choices = sorted({delta.choice for delta in deltas})
    return [(''.join(delta.text for delta in deltas if delta.choice == choice),
             [token for delta in deltas if delta.choice == choice for token in delta.tokens],
             [delta.finish_reason for delta in deltas if delta.choice == choice and delta.finish_reason])
            for choice in choices]


def answered(engine: EngineLoop, wanted: GenerationRequest) -> tuple[list[Delta], Finished]:
    """Asks until the queue has room."""
    while True:
        try:
            return collect(engine.submit(wanted))
        except errors.QueueFullError:
            threading.Event().wait(0.002)


def client(engine: EngineLoop, seed: int) -> list[tuple[GenerationRequest, list[Delta]]]:
    """Sends requests one after the other, and leaves some of them; returns the others with their answers."""
    rng = random.Random(seed)
    answers = []
    for _ in range(REQUESTS):
        wanted = random_request(rng)
        if rng.random() < 0.25:
            try:
                handle = engine.submit(wanted)
            except errors.QueueFullError:
                continue
            for _ in range(rng.randint(0, 3)):
                if isinstance(handle.get(PATIENCE_S), Finished):
                    break
            handle.cancel()
        else:
            answers.append((wanted, answered(engine, wanted)[0]))
    return answers


def test_a_mixed_load_gets_the_answers_that_each_request_gets_alone(start: Started) -> None:
    loader = ScriptedLoader(slots=5, context_length=256)
    engine = ready(start, loader, EngineOptions(max_batch_tokens=24, max_queue=16))
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for part in pool.map(client, [engine] * CLIENTS, range(CLIENTS)) for answer in part]
    eventually(lambda: engine.statistics().running == engine.statistics().waiting == 0)
    numbers = engine.statistics()
    assert numbers.requests['error'] == 0 and numbers.requests['cancelled'] > 0 and numbers.prefix_hit_tokens > 0
    assert numbers.requests['stop'] + numbers.requests['length'] >= len(answers) > CLIENTS * REQUESTS / 2
    assert batched(loader.runners['first']), 'requests were worked on together'
    alone = ready(start, ScriptedLoader(slots=5, context_length=256))
    for wanted, deltas in answers:
        assert merged(deltas) == merged(collect(alone.submit(wanted))[0]), wanted


def batched(runner: ScriptedRunner) -> bool:
    """Whether some step had work for every slot."""
    return any(len(batch) == runner.slots for batch in runner.steps)
