"""Work is done by the thread that rested last, in the order in which it came, whatever it raises."""

import threading
from collections.abc import Callable

import pytest

from sandle.workers import Workers
from tests.end_to_end.rig import wait_for

PATIENCE_S = 10.0


class Job:
    """Work that says who does it, and waits until it may end."""

    def __init__(self, what: Callable[[], None] = lambda: None) -> None:
        self._what = what
        self.thread: threading.Thread | None = None
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def service(self) -> None:
        self.thread = threading.current_thread()
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE_S)
        self._what()


def resting(workers: Workers, count: int) -> None:
    wait_for(lambda: len(workers._resting) == count, PATIENCE_S)


def done(workers: Workers, job: Job, all_workers: int) -> threading.Thread:
    workers.add_task(job)
    job.may_end.set()
    assert job.has_begun.wait(PATIENCE_S) and job.thread is not None
    resting(workers, all_workers)
    return job.thread


def test_the_thread_that_rested_last_works_next() -> None:
    workers = Workers(8)
    resting(workers, 8)
    assert len({done(workers, Job(), 8) for _ in range(20)}) == 1


def test_work_waits_for_a_thread_in_the_order_in_which_it_came() -> None:
    workers = Workers(2)
    order: list[int] = []
    running = [Job(), Job()]
    for job in running:
        workers.add_task(job)
        assert job.has_begun.wait(PATIENCE_S)
    later = [Job(lambda number=number: order.append(number)) for number in range(5)]  # type: ignore[misc]
    for job in later:
        job.may_end.set()
        workers.add_task(job)
    assert not any(job.has_begun.is_set() for job in later)
    running[0].may_end.set()  # one thread does all the rest
    wait_for(lambda: len(order) == 5, PATIENCE_S)
    assert order == [0, 1, 2, 3, 4]
    running[1].may_end.set()


def test_a_thread_survives_what_it_does(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError('no')

    workers = Workers(1)
    first = done(workers, Job(fail), 1)
    assert done(workers, Job(), 1) is first
    assert 'beyond its own handling' in caplog.text


def test_no_work_is_lost_among_many_threads() -> None:
    workers = Workers(16)
    lock, count = threading.Lock(), [0]

    def add() -> None:
        with lock:
            count[0] += 1

    def give() -> None:
        for _ in range(500):
            job = Job(add)
            job.may_end.set()
            workers.add_task(job)

    givers = [threading.Thread(target=give) for _ in range(4)]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    wait_for(lambda: count[0] == 2000, PATIENCE_S)
    resting(workers, 16)
