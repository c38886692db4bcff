"""From requests to the library's batches and back: which sequences go together, and what becomes of their tokens.

The library takes no sequence into a batch under way, so those that come wait for the next one; several batches run
side by side. Runs on the engine thread alone, but for the counts.
"""

import queue
import time
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ct2_batch import Batch, Chosen, Ended, Event, Row, Scored
from ct2_checkpoint import Checkpoint
from ct2_library import Detail, Library, Settings

from sandle.engine.answer import Answer, RequestHandle, tell_positions
from sandle.engine.engine import Delta
from sandle.engine.sequence import Sequence, Status
from sandle.engine.statistics import Recorder
from sandle.errors import ApiError, InternalError
from sandle.fairness import FairLine

# A decoder reads at once as much of its prompts as the shortest has, and the rest of the longer ones a token a step.
MOST_UNEVEN_TOKENS = 32
WAIT_S = 0.02  # for an event of the library's, before new requests are looked at


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How many batches run side by side, and how many sequences each has at most."""

    batches: int
    max_batch_size: int


class BatchSteps:
    """See sandle.engine.stepping.Steps."""

    def __init__(self, checkpoint: Checkpoint, library: Library, pool: ThreadPoolExecutor, options: BatchOptions,
                 recorder: Recorder) -> None:
        """`pool` has a thread for each batch."""
        self._checkpoint = checkpoint
        self._library = library
        self._pool = pool
        self._options = options
        self._recorder = recorder
        self._line: FairLine[str | None, Sequence] = FairLine()
        self._answers: dict[Sequence, Answer] = {}
        self._rows: dict[Sequence, Row] = {}
        self._batches: set[Batch] = set()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    @property
    def active(self) -> int:
        """See Steps.active."""
        return len(self._answers)

    @property
    def waiting(self) -> int:
        """See Steps.waiting."""
        return len(self._line)

    @property
    def running(self) -> int:
        """See Steps.running."""
        return len(self._rows)

    def add(self, handle: RequestHandle) -> None:
        """See Steps.add."""
        for answer in handle.answers:
            self._answers[answer.sequence] = answer
            self._line.add(answer.sequence.user, answer.sequence, answer.sequence.max_length)

    def drop(self, handle: RequestHandle) -> None:
        """See Steps.drop."""
        for answer in handle.answers:
            if answer.sequence in self._answers:
                self._end(answer.sequence)

    def fail(self, error: ApiError) -> None:
        """See Steps.fail."""
        self._fail(list(self._answers.values()), error)

    def reset(self, error: ApiError) -> None:
        """See Steps.reset."""
        self._fail([row.answer for row in self._rows.values()], error)

    def step(self) -> None:
        """See Steps.step: starts the batches for which there is room, and takes in what running ones have brought."""
        started_s = time.monotonic()
        while self._line and len(self._batches) < self._options.batches:
            self._start()
        tell_positions(self._answers[sequence].handle for sequence in self._line.order())
        waits_s = time.monotonic()
        events = self._next_events()
        library_s = time.monotonic() - waits_s
        for event in events:
            self._take_in(event)
        if events:
            self._recorder.step(time.monotonic() - started_s, library_s)

    def _next_events(self) -> Many[Event]:
        """Returns what there is to take in, after a short wait if need be."""
        events = []
        try:
            events.append(self._events.get(timeout=WAIT_S))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events

    def _start(self) -> None:
        """Starts a batch of whose turn it is, and of those that can go with it."""
        order = self._line.order()
        chosen = [order[0]]
        for sequence in order[1:]:
            if len(chosen) < self._options.max_batch_size and self._go_together(chosen, sequence):
                chosen.append(sequence)
        rows = [self._row(sequence) for sequence in chosen]
        batch = Batch(rows, self._settings(chosen[0]), self._library, self._events)
        self._batches.add(batch)
        self._pool.submit(batch.run)

    def _go_together(self, chosen: Many[Sequence], sequence: Sequence) -> bool:
        first = chosen[0]
        settings = self._settings(first)
        if (settings, first.scores_prompt) != (self._settings(sequence), sequence.scores_prompt):
            return False
        if self._checkpoint.is_encoder_decoder:
            return True
        lengths = [each.prompt_length for each in (*chosen, sequence)]
        return max(lengths) - min(lengths) <= (0 if settings.detail is Detail.TOP else MOST_UNEVEN_TOKENS)

    def _settings(self, sequence: Sequence) -> Settings:
        params = sequence.params
        detail = Detail.NONE if params.logprobs is None else Detail.TOP if params.logprobs else Detail.CHOSEN
        if params.temperature == 0:  # what would choose among several tokens chooses nothing then
            return Settings(0.0, 0, 1.0, params.ignore_eos, detail)
        top_k = min(params.top_k, len(self._checkpoint.target))  # the library refuses more
        return Settings(params.temperature, top_k, params.top_p, params.ignore_eos, detail)

    def _row(self, sequence: Sequence) -> Row:
        """Gives a waiting sequence its place in a batch."""
        self._line.take_along(sequence.user, sequence)
        sequence.status = Status.ADMITTED
        answer = self._answers[sequence]
        answer.record_start(self._recorder, time.monotonic())
        self._rows[sequence] = row = Row(answer, [self._checkpoint.source[token] for token in sequence.tokens])
        if not sequence.scores_prompt:
            self._begin(row)
        return row

    def _begin(self, row: Row) -> None:
        """Hands on what comes before the first token."""
        answer = row.answer
        if answer.request.echo:
            answer.handle.put(answer.prompt_delta())
        if answer.request.params.max_tokens == 0:
            self._hand_on(answer, answer.add_nothing())

    def _take_in(self, event: Event) -> None:
        match event:
            case Chosen(row, token, logprob, top) if not row.is_over:
                answer = row.answer
                answer.sequence.tokens.append(token)
                answer.record_token(self._recorder, time.monotonic())
                self._hand_on(answer, answer.add_token(token, logprob, top))
            case Scored(row, scores) if not row.is_over:
                tokens = row.answer.sequence.tokens
                row.answer.add_prompt_token(tokens[0], None, ())
                for prompt_token, score in zip(tokens[1:], scores):
                    row.answer.add_prompt_token(prompt_token, *score)
                self._begin(row)
            case Ended(batch):
                self._batches.remove(batch)
                # With an answer that the library has ended before the engine did, something is wrong, too.
                self._fail([row.answer for row in batch.rows if not row.is_over],
                           InternalError('The model failed while it was working on this request.'))

    def _hand_on(self, answer: Answer, delta: Delta) -> None:
        """Gives a delta to who waits for it; one that is the last frees its place first."""
        if answer.finish_reason is not None:
            self._end(answer.sequence)
        answer.handle.put(delta)

    def _fail(self, answers: Many[Answer], error: ApiError) -> None:
        for handle in {answer.handle for answer in answers}:
            self.drop(handle)
            handle.fail(error)

    def _end(self, sequence: Sequence) -> None:
        if sequence.status is Status.WAITING:
            self._line.remove(sequence.user, sequence)
        else:
            self._rows.pop(sequence).is_over = True
        self._line.settle(sequence, len(sequence.tokens))
        sequence.status = Status.ENDED
        del self._answers[sequence]
