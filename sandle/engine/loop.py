"""The engine thread: it owns the model, and steps while there is work. An Engine for every backend with a ModelRunner.

HTTP threads only put commands into its inbox and wait on their handles. A request for another model on offer lets the
running ones finish, and has that model loaded.
"""

import logging
import queue
import secrets
import threading
import time
from collections.abc import Sequence as Many
from dataclasses import dataclass

from sandle import errors
from sandle.engine.answer import Answer, RequestHandle
from sandle.engine.engine import GenerationRequest, Handle, ModelInfo
from sandle.engine.grammar import Grammars
from sandle.engine.residency import Residency
from sandle.engine.runner import ModelLoader, TextModel, Tokenizer
from sandle.engine.sequence import Sequence
from sandle.engine.statistics import EngineStatistics, Recorder
from sandle.engine.stepping import Steps
from sandle.engine.text import Detokenizer

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 1.0  # how long the idle thread sleeps before it looks whether a failed model is due for another try
GATHER_S = 0.001  # how long the idle thread waits for a request that comes along with the one that woke it
GATHER_LIMIT_S = 0.02  # and for as many as come so
SHUTDOWN_WAIT_S = 5.0
# What it does for every model, beyond what all backends can; see `ModelInfo.capabilities`.
CAPABILITIES = frozenset({
    'best_of', 'echo', 'frequency_penalty', 'ignore_eos', 'logit_bias', 'logprobs', 'min_p', 'min_tokens', 'n',
    'presence_penalty', 'repetition_penalty', 'response_format', 'return_token_ids', 'seed', 'tokenize', 'top_k',
    'typical_p'})


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Limits of the engine: tokens of prompts a step, and sequences that may wait for a slot."""

    max_batch_tokens: int = 256
    max_queue: int = 128


@dataclass(frozen=True, slots=True)
class Submit:
    """Work on a request for that model."""

    handle: RequestHandle
    model: TextModel


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop working on a request."""

    handle: RequestHandle


class EngineLoop:
    """See sandle.engine.engine.Engine. `preload` names the model that is loaded at the start."""

    def __init__(self, models: Many[ModelInfo], loader: ModelLoader[TextModel], preload: str,
                 options: EngineOptions) -> None:
        self._residency: Residency[TextModel] = Residency(models, loader, preload)
        self._options = options
        self._recorder = Recorder()
        self._inbox: queue.SimpleQueue[Submit | Cancel | None] = queue.SimpleQueue()
        self._model: TextModel | None = None
        self._steps: Steps | None = None  # of that model
        self._entry = threading.Lock()
        self._entering = 0  # sequences that are in the inbox, guarded by the lock
        self._grammars: Grammars | None = None  # of the model asked last, guarded by the lock
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name='engine', daemon=True)
        self._thread.start()

    def models(self) -> Many[ModelInfo]:
        """See Engine.models."""
        return self._residency.models()

    def is_ready(self) -> bool:
        """See Engine.is_ready."""
        return self._residency.is_ready() and not self._is_stopping

    def submit(self, request: GenerationRequest) -> Handle:
        """See Engine.submit. Tokenizing happens here, on the caller's thread."""
        model = self._use(request.model)
        prompts = tuple(_prompt_ids(prompt, request, model.tokenizer) for prompt in request.prompts)
        request = request.with_room(min(model.room(len(ids)) for ids in prompts))
        for ids in prompts:
            model.check_length(len(ids), request.params.max_tokens)
        self._check_bias(request, model.tokenizer)
        handle = _handle(request, prompts, model, self._residency.adapter(request.model),
                         RequestHandle(prompts, lambda gone: self._inbox.put(Cancel(gone)), self._recorder))
        if request.grammar is not None:
            begin = self._grammars_of(model.tokenizer).compile(request.grammar)
            for answer in handle.answers:
                answer.constraint = begin()
        self._enter(len(handle.answers), model.slots)
        self._inbox.put(Submit(handle, model))
        return handle

    def tokenizer(self, model: str) -> Tokenizer:
        """See Engine.tokenizer."""
        return self._use(model).tokenizer

    def load(self, model: str) -> None:
        """See ModelManager.load."""
        self._residency.load(model)
        self._inbox.put(None)  # the engine thread may be asleep

    def unload(self, model: str) -> None:
        """See ModelManager.unload."""
        self._residency.unload(model)
        self._inbox.put(None)  # as above

    def statistics(self) -> EngineStatistics:
        """See Engine.statistics."""
        model, steps = self._model, self._steps
        if model is None or steps is None:
            return self._recorder.snapshot(0, 0, 0)
        return self._recorder.snapshot(steps.waiting, steps.running, model.slots)

    def shutdown(self) -> None:
        """See Engine.shutdown."""
        self._is_stopping = True
        self._inbox.put(None)
        self._thread.join(SHUTDOWN_WAIT_S)

    def _use(self, model: str) -> TextModel:
        """Returns a model that is in memory. Any thread. Raises as `Engine.submit` does for a model."""
        if self._is_stopping:
            raise _shutting_down()
        try:
            return self._residency.use(model)
        except errors.ModelLoadingError:
            self._inbox.put(None)  # the engine thread may be asleep
            raise

    def _grammars_of(self, tokenizer: Tokenizer) -> Grammars:
        """Returns the grammars that are compiled for a model's vocabulary; another model's are forgotten."""
        with self._entry:
            if self._grammars is None or self._grammars.tokenizer is not tokenizer:
                self._grammars = Grammars(tokenizer)
            return self._grammars

    def _enter(self, added: int, slots: int) -> None:
        """Counts the sequences of a request in. Raises QueueFullError if there is no room for them."""
        with self._entry:
            steps = self._steps
            active = self._entering + (0 if steps is None else steps.active)
            if not active or active + added <= slots + self._options.max_queue:
                self._entering += added
                return
        self._recorder.request_ended('rejected')
        raise errors.QueueFullError(
            'The server is working on as many requests as it can. Please try again shortly.', retry_after_s=1)

    @staticmethod
    def _check_bias(request: GenerationRequest, tokenizer: Tokenizer) -> None:
        for token, _ in request.params.logit_bias:
            if token >= tokenizer.vocab_size:
                raise errors.InvalidRequestError(
                    f'logit_bias names the token {token}, but the vocabulary of {request.model!r} ends at '
                    f'{tokenizer.vocab_size - 1}.', param='logit_bias')

    def _run(self) -> None:
        """The engine thread."""
        while not self._is_stopping:
            self._take_commands()
            steps = self._steps
            if steps is not None and steps.active:
                self._step(steps)
                self._residency.worked()
            elif self._residency.rest():
                self._model = self._steps = None
            elif self._residency.wants_change():
                self._model = self._steps = None
                self._model = self._residency.change()
                if self._model is not None:
                    self._steps = self._model.new_steps(self._options.max_batch_tokens, self._recorder)
        if self._steps is not None:
            self._steps.fail(_shutting_down())
        self._take_commands()
        self._residency.release()

    def _step(self, steps: Steps) -> None:
        try:
            steps.step()
        except Exception:  # an edge: whatever a model's step raises ends its sequences, and not the engine
            logger.exception('a step of the model failed; its sequences are ended')
            steps.reset(errors.InternalError('The model failed while it was working on this request.'))

    def _take_commands(self) -> None:
        """Carries out all commands at hand; waits for one while there is nothing to do.

        Prompts that arrive together take less time in one step than one after the other, so that the first that comes
        to an idle engine waits for those that are on their way.
        """
        is_idle = self._steps is None or not self._steps.active
        may_wait = is_idle and not self._is_stopping and not self._residency.wants_change()
        try:
            command = self._inbox.get(timeout=IDLE_WAIT_S) if may_wait else self._inbox.get_nowait()
            gathers_until_s = time.monotonic() + GATHER_LIMIT_S if may_wait else 0.0
            while True:
                self._carry_out(command)
                may_gather = time.monotonic() < gathers_until_s
                command = self._inbox.get(timeout=GATHER_S) if may_gather else self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _carry_out(self, command: Submit | Cancel | None) -> None:
        match command:
            case Submit(handle, model):
                if self._is_stopping:
                    handle.fail(_shutting_down())
                elif self._steps is None or self._model is not model:
                    handle.fail(errors.ModelLoadingError('The model has just been released. Please try again shortly.',
                                                         retry_after_s=1))
                else:
                    self._steps.add(handle)
                with self._entry:
                    self._entering -= len(handle.answers)
            case Cancel(handle):
                if self._steps is not None:
                    self._steps.drop(handle)
                handle.drop()
            case None:
                pass


def _prompt_ids(prompt: str | tuple[int, ...], request: GenerationRequest, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Returns the token ids of a prompt; with a suffix, those that ask for the text between the two.

    Raises InvalidRequestError for an id that the model does not have, and for a suffix if it cannot fill in.
    """
    for token in () if isinstance(prompt, str) else prompt:
        if token >= tokenizer.vocab_size:
            raise errors.InvalidRequestError(f'prompt holds the token {token}, but the vocabulary of {request.model!r} '
                                             f'ends at {tokenizer.vocab_size - 1}.', param='prompt')
    if request.suffix is not None:
        if not tokenizer.can_infill:
            raise errors.UnsupportedParameterError(f'The model {request.model!r} does not support suffix: it has no '
                                                   'tokens for filling in.', param='suffix')
        return tuple(tokenizer.infill(prompt, request.suffix, request.add_special_tokens))
    if isinstance(prompt, str):
        return tuple(tokenizer.encode(prompt, request.add_special_tokens)) or tokenizer.default_prompt
    return prompt


def _handle(request: GenerationRequest, prompts: tuple[tuple[int, ...], ...], model: TextModel,
            adapter: str | None, handle: RequestHandle) -> RequestHandle:
    """Returns the handle of a request, with an answer to be for each candidate of each prompt."""
    seed = secrets.randbits(63) if request.params.seed is None else request.params.seed
    for choice in range(len(prompts) * request.candidates):
        prompt, candidate = divmod(choice, request.candidates)
        sequence = Sequence(list(prompts[prompt]), len(prompts[prompt]), request.params, (seed, prompt, candidate),
                            scores_prompt=request.echo and request.params.logprobs is not None, user=request.user,
                            adapter=adapter)
        handle.answers.append(Answer(sequence, handle, choice, request, model.tokenizer,
                                     Detokenizer(model.strips_first_space)))
    return handle


def _shutting_down() -> errors.ShuttingDownError:
    return errors.ShuttingDownError('The server is shutting down. Please try again shortly.', retry_after_s=5)
