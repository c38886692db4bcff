"""One step of the engine for one loaded model: schedule, run, choose, hand on. Runs on the engine thread alone."""

import time
from collections.abc import Sequence as Many
from typing import TYPE_CHECKING

from sandle.engine import sampling
from sandle.engine.answer import Answer, RequestHandle
from sandle.engine.runner import LoadedModel
from sandle.engine.scheduler import Scheduler
from sandle.engine.sequence import Sequence
from sandle.engine.statistics import Recorder
from sandle.errors import ApiError

if TYPE_CHECKING:
    import torch


class Stepper:
    """The sequences of one loaded model, from their admission to their last token."""

    def __init__(self, model: LoadedModel, max_batch_tokens: int, recorder: Recorder) -> None:
        self.model = model
        self._recorder = recorder
        self.scheduler = Scheduler(model.runner.slots, max_batch_tokens)
        self._answers: dict[Sequence, Answer] = {}

    @property
    def active(self) -> int:
        """The number of sequences that wait or run. Any thread."""
        return len(self._answers)

    def add(self, handle: RequestHandle) -> None:
        """Queues a request's sequences."""
        for answer in handle.answers:
            self._answers[answer.sequence] = answer
            self.scheduler.add(answer.sequence)

    def drop(self, handle: RequestHandle) -> None:
        """Takes a request's sequences out: their slots are free for the next step."""
        for answer in handle.answers:
            if answer.sequence in self._answers:
                self._end(answer.sequence)

    def fail(self, error: ApiError) -> None:
        """Ends every request with an error."""
        for handle in {answer.handle for answer in self._answers.values()}:
            self.drop(handle)
            handle.fail(error)

    def reset(self, error: ApiError) -> None:
        """Ends the requests in the step that failed, and trusts no slot's contents. Those that wait go on waiting."""
        for handle in {self._answers[sequence].handle for sequence in self.scheduler.running}:
            self.drop(handle)
            handle.fail(error)
        self.scheduler.forget()

    def step(self) -> None:
        """Computes at most one token more for every running sequence."""
        started_s = time.monotonic()
        plan = self.scheduler.schedule()
        for sequence in plan.placed:
            queued_s = started_s - self._answers[sequence].handle.arrived_s
            self._recorder.admitted(sequence.prompt_length, sequence.computed_at_start, queued_s)
        model_started_s = time.monotonic()
        for copy in plan.copies:
            self.model.runner.copy_prefix(copy.source, copy.target, copy.length)
        logits = self.model.runner.step(plan.work)  # [sum of work.logits, V]
        model_s = time.monotonic() - model_started_s
        row = 0
        for sequence, work in zip(plan.sequences, plan.work):
            if work.logits:
                self._advance(self._answers[sequence], work.start, logits[row:row + work.logits])
                row += work.logits
        self._recorder.step(time.monotonic() - started_s, model_s)

    def _advance(self, answer: Answer, start: int, logits: 'torch.Tensor') -> None:
        """Takes in a sequence's logits [rows, V], of the positions from `start` on, or of the last one."""
        sequence = answer.sequence
        if start < sequence.prompt_length and sequence.scores_prompt:
            self._score_prompt(answer, start, logits)
        if sequence.computed < len(sequence.tokens):
            return
        if sequence.generated == 0 and answer.request.echo:
            answer.emit_prompt()
        if sequence.params.max_tokens == 0:
            answer.emit_nothing_more()
        else:
            self._generate(answer, logits[-1])
        if answer.finish_reason is not None:
            self._end(sequence)

    def _generate(self, answer: Answer, logits: 'torch.Tensor') -> None:
        sequence, params = answer.sequence, answer.sequence.params
        prompt, generated = sequence.tokens[:sequence.prompt_length], sequence.tokens[sequence.prompt_length:]
        banned = tuple(self.model.tokenizer.eos_ids) if len(generated) < params.min_tokens else ()
        row = sampling.adjusted(logits, params, prompt, generated, banned)
        token = sampling.choose(row, params, sampling.uniform(sequence.noise_key, len(sequence.tokens)))
        logprob, top = self._logprobs(sampling.logprobs(logits), token, params.logprobs)
        sequence.tokens.append(token)
        self._record_token(answer)
        answer.emit(token, logprob, top)

    def _record_token(self, answer: Answer) -> None:
        now_s = time.monotonic()
        if not answer.handle.has_first_token:
            answer.handle.has_first_token = True
            self._recorder.first_token(now_s - answer.handle.arrived_s)
        self._recorder.token(None if answer.last_token_s is None else now_s - answer.last_token_s)
        answer.last_token_s = now_s

    def _score_prompt(self, answer: Answer, start: int, logits: 'torch.Tensor') -> None:
        """Notes the prompt's logprobs. Row i holds the logits after position start + i: they judge the next token."""
        sequence, request = answer.sequence, answer.request
        prompt = sequence.tokens[:sequence.prompt_length]
        if start == 0:
            answer.add_prompt_token(prompt[0], None, ())
        rows = sampling.logprobs(logits)
        for row, token in zip(rows, prompt[start + 1:start + 1 + len(rows)]):
            answer.add_prompt_token(token, *self._logprobs(row, token, request.params.logprobs))

    @staticmethod
    def _logprobs(row: 'torch.Tensor', token: int,
                  count: int | None) -> tuple[float | None, Many[tuple[int, float]]]:
        return (None, ()) if count is None else (float(row[token]), sampling.top_logprobs(row, count))

    def _end(self, sequence: Sequence) -> None:
        self.scheduler.end(sequence)
        del self._answers[sequence]
