"""Users who ask again and again while something happens, and what they got."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.end_to_end.rig import KEY
from tests.faults.asking import Answer, ask


@contextlib.contextmanager
def load(url: str, requests: Sequence[Mapping[str, object]],
         key: Callable[[], str] = lambda: KEY) -> Iterator[list[Answer]]:
    """Has a user for each of the requests, who sends it again when it has been answered, until the block ends.

    `key` tells which key is to be used.

    Gives the list of answers, which grows, and which is whole after the block: running requests are waited for.
    """
    answers: list[Answer] = []
    is_over = threading.Event()

    async def use(request: Mapping[str, object]) -> None:
        while not is_over.is_set():
            answers.append(await ask(url, request, key()))

    async def use_all() -> None:
        await asyncio.gather(*map(use, requests))

    thread = threading.Thread(target=lambda: asyncio.run(use_all()))
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join()
