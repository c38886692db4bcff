"""Computations that are recorded once and then replayed: CUDA graphs, behind a seam that needs no GPU.

A GPU computes one token a sequence faster than Python can ask for it, operation by operation; a replay asks once.
Runs on the engine thread alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

logger = logging.getLogger(__name__)

Compute = Callable[[], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Recording:
    """`replay` repeats the computation on what its tensors hold now; `output` then holds the result."""

    replay: Callable[[], None]
    output: torch.Tensor


class Recorder(Protocol):
    """Something that records what is asked of a device."""

    def record(self, compute: Compute) -> Recording:
        """Records a computation, which it may run. The output is of no use before the first replay.

        `compute` reads and writes tensors that stay where they are, and never waits for the device. Raises
        RuntimeError.
        """
        ...


class Replayed:
    """A computation that depends on a number, such as a length: recorded at its first use for each one.

    Without a recorder, and after a recording that failed, it is computed every time.
    """

    def __init__(self, compute: Callable[[int], torch.Tensor], recorder: Recorder | None) -> None:
        self._compute = compute
        self._recorder = recorder
        self._recordings: dict[int, Recording] = {}

    def __call__(self, number: int) -> torch.Tensor:
        """Returns the result, which the next call may overwrite."""
        if number not in self._recordings and self._recorder is not None:
            try:
                self._recordings[number] = self._recorder.record(lambda: self._compute(number))
            except RuntimeError as error:
                logger.warning('runner: steps are not recorded as CUDA graphs, which costs speed: %s',
                               str(error).partition('\n')[0])
                self._recorder = None
                self._recordings.clear()
        recording = self._recordings.get(number)
        if recording is None:
            return self._compute(number)
        recording.replay()
        return recording.output


class CudaGraphs:
    """A recorder for one CUDA device. What is computed between inputs and outputs shares one pool of memory.

    A later recording may use memory that an earlier one writes to when it is replayed: outputs must be copied at once.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # it has no types
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, compute: Compute) -> Recording:
        """See Recorder.record. The computation runs once beforehand, so that libraries set themselves up."""
        with torch.cuda.device(self._device):
            usual = torch.cuda.current_stream()
            self._stream.wait_stream(usual)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.stream(self._stream):
                    compute()
                # Other threads may use the device meanwhile.
                with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode='thread_local'):
                    output = compute()
            finally:
                torch.cuda.set_stream(usual)  # a recording that fails leaves its own one in place
            usual.wait_stream(self._stream)
        return Recording(graph.replay, output)
