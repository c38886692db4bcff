"""What CudaGraphs asks of torch.cuda, whose place is taken by a list of what was asked for: no GPU is needed."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hf_replay import CudaGraphs

DEVICE = torch.device('cuda:1')


class FakeCuda:
    """The parts of torch.cuda that recording uses. Streams are strings, and `asked` tells what happened in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[object] = []
        self.stream_now = 'usual'
        self.is_capture_lost = False
        fakes = {'device': self.device, 'stream': self.stream, 'graph': self.graph, 'set_stream': self.set_stream,
                 'current_stream': lambda: FakeStream(self, self.stream_now), 'CUDAGraph': FakeGraph,
                 'Stream': lambda device: FakeStream(self, 'side'), 'graph_pool_handle': lambda: 'pool'}
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    @contextlib.contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        assert device == DEVICE
        yield

    @contextlib.contextmanager
    def stream(self, stream: 'FakeStream') -> Iterator[None]:
        before, self.stream_now = self.stream_now, stream.name
        yield
        self.stream_now = before

    @contextlib.contextmanager
    def graph(self, graph: 'FakeGraph', pool: str, stream: 'FakeStream', capture_error_mode: str) -> Iterator[None]:
        """As the real one, it leaves its own stream in place when a capture fails at its end."""
        self.asked.append(('begin', pool, stream.name, capture_error_mode))
        self.stream_now = stream.name
        yield
        if self.is_capture_lost:
            raise RuntimeError('operation failed due to a previous error during capture')
        self.asked.append('end')
        self.stream_now = 'usual'

    def set_stream(self, stream: 'FakeStream') -> None:
        self.stream_now = stream.name


class FakeStream:
    """A stream with a name."""

    def __init__(self, cuda: FakeCuda, name: str) -> None:
        self._cuda = cuda
        self.name = name

    def wait_stream(self, other: 'FakeStream') -> None:
        self._cuda.asked.append(f'{self.name} waits for {other.name}')


class FakeGraph:
    """A graph that can be replayed."""

    def replay(self) -> None:
        pass


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def computing(cuda: FakeCuda) -> Any:
    def compute() -> torch.Tensor:
        cuda.asked.append(f'computed on {cuda.stream_now}')
        return torch.zeros(1)

    return compute


def test_computation_is_warmed_up_and_recorded_on_one_stream(cuda: FakeCuda) -> None:
    recording = CudaGraphs(DEVICE).record(computing(cuda))
    assert cuda.asked == ['side waits for usual', 'computed on side', ('begin', 'pool', 'side', 'thread_local'),
                          'computed on side', 'end', 'usual waits for side']
    assert cuda.stream_now == 'usual' and recording.output.shape == (1,)


def test_recording_that_is_lost_leaves_the_usual_stream_in_place(cuda: FakeCuda) -> None:
    cuda.is_capture_lost = True
    with pytest.raises(RuntimeError, match='previous error'):
        CudaGraphs(DEVICE).record(computing(cuda))
    assert cuda.stream_now == 'usual'
