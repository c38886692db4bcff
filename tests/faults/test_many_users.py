"""More at once than is usual."""

import time
from pathlib import Path

import pytest

from tests.end_to_end.rig import wait_for
from tests.faults.asking import ask_all, percentile
from tests.faults.conftest import Stack
from tests.faults.figures import Figures

STREAMS = 500


def descriptors(pid: int) -> int:
    return len(list(Path(f'/proc/{pid}/fd').iterdir()))


@pytest.mark.fault('500 streams at once')
def test_many_streams(stack: Stack, figures: Figures) -> None:
    for _ in range(5):
        assert stack.client.complete().status_code == 200
    before = descriptors(stack.wrapper.process.pid)
    started_s = time.monotonic()
    request = {'prompt': '!fault tokens=8 delay=0.25', 'max_tokens': 8, 'stream': True}
    answers = ask_all(stack.front, [request] * STREAMS)
    assert time.monotonic() - started_s < 30, 'one after the other'
    figures.exactly('streams that end with [DONE]', sum(answer.is_done for answer in answers), STREAMS)
    figures.below('first token, 99 in 100', percentile((answer.first_token_s for answer in answers), 0.99), 3.0)
    wait_for(lambda: abs(descriptors(stack.wrapper.process.pid) - before) <= 5, 10.0)
    figures.below("the wrapper's descriptors afterwards differ by", abs(
        descriptors(stack.wrapper.process.pid) - before), 6, 'of them')
