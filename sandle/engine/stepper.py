"""One step of the engine for one loaded model: schedule, run, choose, hand on. Runs on the engine thread alone."""

import time
from collections.abc import Callable
from collections.abc import Sequence as Many
from functools import partial
from typing import TYPE_CHECKING

from sandle.engine import sampling
from sandle.engine.answer import Answer, RequestHandle, tell_positions
from sandle.engine.engine import Delta
from sandle.engine.penalties import Penalties
from sandle.engine.runner import LoadedModel
from sandle.engine.scheduler import Plan, Scheduler
from sandle.engine.sequence import Sequence
from sandle.engine.statistics import Recorder
from sandle.errors import ApiError

if TYPE_CHECKING:
    import torch

TELL_INTERVAL_S = 0.25
Score = tuple[float, Many[tuple[int, float]]]  # a token's logprob, and the likeliest tokens with theirs


class Stepper:
    """See sandle.engine.stepping.Steps: continuous batching over a ModelRunner."""

    def __init__(self, model: LoadedModel, max_batch_tokens: int, recorder: Recorder) -> None:
        self._model = model
        self._recorder = recorder
        self._scheduler = Scheduler(model.slots, max_batch_tokens)
        self._answers: dict[Sequence, Answer] = {}
        self._outbox: list[Callable[[], None]] = []  # what the step at hand has for those who wait
        self._told_s = 0.0  # when those who wait were told how many are before them

    @property
    def active(self) -> int:
        """See Steps.active."""
        return len(self._answers)

    @property
    def waiting(self) -> int:
        """See Steps.waiting."""
        return self._scheduler.waiting

    @property
    def running(self) -> int:
        """See Steps.running."""
        return len(self._scheduler.running)

    def add(self, handle: RequestHandle) -> None:
        """See Steps.add."""
        for answer in handle.answers:
            self._answers[answer.sequence] = answer
            self._scheduler.add(answer.sequence)

    def drop(self, handle: RequestHandle) -> None:
        """See Steps.drop."""
        for answer in handle.answers:
            if answer.sequence in self._answers:
                self._end(answer.sequence)

    def fail(self, error: ApiError) -> None:
        """See Steps.fail."""
        for handle in {answer.handle for answer in self._answers.values()}:
            self.drop(handle)
            handle.fail(error)

    def reset(self, error: ApiError) -> None:
        """See Steps.reset. No slot's contents are trusted any more."""
        for handle in {self._answers[sequence].handle for sequence in self._scheduler.running}:
            self.drop(handle)
            handle.fail(error)
        self._scheduler.forget()

    def step(self) -> None:
        """Computes at most one token more for every running sequence.

        Who waits for the tokens is woken at the very end, when the logits are gone, too: a thread that is awake takes
        the interpreter's lock wherever torch lets go of it, and the next step would begin later.
        """
        try:
            self._compute()
        finally:
            for deliver in self._outbox:
                deliver()
            self._outbox.clear()

    def _compute(self) -> None:
        started_s = time.monotonic()
        plan = self._scheduler.schedule()
        for sequence in plan.placed:
            self._answers[sequence].record_start(self._recorder, started_s)
        if started_s - self._told_s >= TELL_INTERVAL_S:
            self._told_s = started_s
            tell_positions(self._answers[sequence].handle for sequence in self._scheduler.line())
        model_started_s = time.monotonic()
        logits = self._run(plan)
        model_s = time.monotonic() - model_started_s
        self._advance(plan, logits)
        self._recorder.step(time.monotonic() - started_s, model_s)

    def _run(self, plan: Plan) -> 'torch.Tensor':
        """Returns the logits that the plan asks for, [sum of work.logits, V]."""
        for copy in plan.copies:
            self._model.runner.copy_prefix(copy.source, copy.target, copy.length)
        return self._model.runner.step(plan.work)

    def _advance(self, plan: Plan, logits: 'torch.Tensor') -> None:
        """Hands on what a step has brought: prompts' scores and, of the sequences computed to their end, a token."""
        answers, rows = [], []
        end = 0
        for sequence, work in zip(plan.sequences, plan.work):
            start, end = end, end + work.logits
            answer = self._answers[sequence]
            if sequence.scores_prompt and work.start < sequence.prompt_length:
                self._score_prompt(answer, work.start, logits[start:end])
            if sequence.computed == len(sequence.tokens):
                answers.append(answer)
                rows.append(end - 1)
        self._echo(answers)
        self._constrain(answers)
        going_on = [(answer, row) for answer, row in zip(answers, rows) if answer.sequence in self._answers]
        if going_on:
            rows = [row for _, row in going_on]
            self._generate([answer for answer, _ in going_on], logits if len(rows) == len(logits) else logits[rows])

    def _echo(self, answers: Many[Answer]) -> None:
        """Hands on the prompts that are to be seen, and ends the answers that consist of nothing else."""
        for answer in answers:
            if answer.sequence.generated == 0 and answer.request.echo:
                self._outbox.append(partial(answer.handle.put, answer.prompt_delta()))
            if answer.request.params.max_tokens == 0:
                self._hand_on(answer, answer.add_nothing())

    def _constrain(self, answers: Many[Answer]) -> None:
        """Looks up what those with a grammar may go on with; ends the answers that can only end."""
        for answer in answers:
            if answer.constraint is not None and answer.sequence in self._answers:
                self._hand_on_unless_it_fails(answer, answer.allow)

    def _generate(self, answers: Many[Answer], logits: 'torch.Tensor') -> None:
        """Chooses a token for each answer from its row of logits [R, V], and hands it on."""
        params = [answer.request.params for answer in answers]
        noises = [sampling.uniform(answer.sequence.noise_key, len(answer.sequence.tokens))
                  if answer.request.params.temperature > 0 else 0.0 for answer in answers]
        tokens = sampling.choose(self._adjusted(answers, logits), params, noises)
        scores = self._scores(answers, logits, tokens)
        now_s = time.monotonic()
        for answer, token in zip(answers, tokens):
            if answer.sequence not in self._answers:
                continue  # its request has just failed
            answer.sequence.tokens.append(token)
            if answer.penalties is not None:
                answer.penalties.add(token)
            answer.record_token(self._recorder, now_s)
            score = scores.get(answer, (None, ()))
            self._hand_on_unless_it_fails(answer, partial(answer.add_token, token, *score))

    def _adjusted(self, answers: Many[Answer], logits: 'torch.Tensor') -> 'torch.Tensor':
        """Returns the logits with the penalties, biases and forbidden tokens of those who have some."""
        wanting = [row for row, answer in enumerate(answers) if Penalties.are_wanted(answer.request.params)]
        masks = {row: answer.allowed for row, answer in enumerate(answers) if answer.allowed is not None}
        if not wanting and not masks:
            return logits
        logits = logits.clone()
        for row in wanting:
            answer = answers[row]
            if answer.penalties is None:
                prompt = answer.sequence.tokens[:answer.sequence.prompt_length]
                answer.penalties = Penalties(answer.request.params, prompt, answer.end_ids, logits[row])
            answer.penalties.apply(logits[row])
        if masks:
            logits[list(masks)] = sampling.restrict(logits[list(masks)], list(masks.values()))
        return logits

    @staticmethod
    def _scores(answers: Many[Answer], logits: 'torch.Tensor', tokens: Many[int]) -> dict[Answer, Score]:
        """Returns the logprobs of those who asked for some."""
        scores: dict[Answer, Score] = {}
        for count in {answer.request.params.logprobs for answer in answers}:
            if count is not None:
                rows = [row for row, answer in enumerate(answers) if answer.request.params.logprobs == count]
                wanted = logits if len(rows) == len(answers) else logits[rows]
                scored = sampling.logprobs(wanted, [tokens[row] for row in rows], count)
                scores.update(zip((answers[row] for row in rows), scored))
        return scores

    @staticmethod
    def _score_prompt(answer: Answer, start: int, logits: 'torch.Tensor') -> None:
        """Notes the prompt's logprobs. Row i holds the logits after position start + i: they judge the next token."""
        sequence = answer.sequence
        if start == 0:
            answer.add_prompt_token(sequence.tokens[0], None, ())
        judged = sequence.tokens[start + 1:min(start + 1 + len(logits), sequence.prompt_length)]
        scores = sampling.logprobs(logits[:len(judged)], judged, answer.request.params.logprobs or 0)
        for token, score in zip(judged, scores):
            answer.add_prompt_token(token, *score)

    def _hand_on_unless_it_fails(self, answer: Answer, make: Callable[[], Delta | None]) -> None:
        """Hands on what an answer adds, if anything. One that cannot be kept to its grammar ends its request alone."""
        try:
            delta = make()
        except ApiError as error:
            self.drop(answer.handle)
            self._outbox.append(partial(answer.handle.fail, error))
            return
        if delta is not None:
            self._hand_on(answer, delta)

    def _hand_on(self, answer: Answer, delta: Delta) -> None:
        """Gives a delta to who waits for it; one that is the last frees its place first, for who comes next."""
        if answer.finish_reason is not None:
            self._end(answer.sequence)
        self._outbox.append(partial(answer.handle.put, delta))

    def _end(self, sequence: Sequence) -> None:
        self._scheduler.end(sequence)
        del self._answers[sequence]
