"""An Engine without a model: it gives the same answer to every prompt, at a set pace.

Nothing runs in the background. A request's next tokens are made by the HTTP thread that asks for them, when they are
due, so that hundreds of streams cost no thread beyond their own. Temperature, penalties, biases, seed and suffix are
accepted and change nothing, since there is only one answer.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import stub_model
from sandle import errors
from sandle.catalog import CatalogEntry
from sandle.engine.engine import (Delta, FinishReason, Finished, GenerationRequest, ModelInfo, ModelStatus, Token)
from sandle.engine.grammar import Constraint, Grammars
from sandle.engine.statistics import EngineStatistics, Recorder
from sandle.engine.text import Detokenizer, StopFinder
from stub_grammar import Guided
from stub_vocab import END_OF_TEXT, Vocabulary

CREATED = 1_700_000_000  # in Unix seconds, the same in every run
CAPABILITIES = frozenset({
    'best_of', 'chat', 'echo', 'frequency_penalty', 'ignore_eos', 'logit_bias', 'logprobs', 'min_p', 'min_tokens', 'n',
    'presence_penalty', 'repetition_penalty', 'response_format', 'return_token_ids', 'seed', 'suffix', 'tokenize',
    'tools', 'top_k', 'typical_p'})


@dataclass(frozen=True, slots=True)
class StubOptions:
    """What the stub answers and how fast.

    `num_tokens` is the answer's length without its end-of-text token, None for the length of `text`; the answer is
    repeated or cut to it. At most `max_running` requests are served at once.
    """

    text: str = ' world!'
    num_tokens: int | None = None
    first_token_delay_s: float = 0.0
    token_delay_s: float = 0.0
    context_length: int = 4096
    max_running: int = 512


class StubEngine:
    """Implements `sandle.engine.engine.Engine`. Methods may be called from any thread."""

    def __init__(self, models: Sequence[CatalogEntry], options: StubOptions) -> None:
        self._models = tuple(models)
        self._options = options
        self._vocabulary = Vocabulary(options.text)
        self._grammars = Grammars(self._vocabulary)
        self._lock = threading.Lock()
        self._running: set[StubHandle] = set()
        self._cancelled = 0
        self._is_shut_down = False
        self._recorder = Recorder()

    @property
    def running(self) -> int:
        """The number of requests that have neither ended nor been cancelled."""
        return len(self._running)

    @property
    def cancelled(self) -> int:
        """The number of requests that were cancelled before their end."""
        return self._cancelled

    def models(self) -> Sequence[ModelInfo]:
        """Returns every name on offer."""
        return [ModelInfo(model.id, model.description, model.owned_by, CREATED, ModelStatus.READY, CAPABILITIES,
                          self._options.context_length) for model in self._models]

    def is_ready(self) -> bool:
        """Returns whether requests are taken."""
        return not self._is_shut_down

    def submit(self, request: GenerationRequest) -> 'StubHandle':
        """Starts a request with the answer of the options. Raises as `Engine.submit` says."""
        return self.submit_with(request, self._options)

    def submit_with(self, request: GenerationRequest, options: StubOptions) -> 'StubHandle':
        """Starts a request with an answer and a pace of its own."""
        self.tokenizer(request.model)
        prompts = tuple(self._prompt_ids(prompt) for prompt in request.prompts)
        request = request.with_room(options.context_length - max(map(len, prompts)))
        for prompt in prompts:
            if len(prompt) + request.params.max_tokens > options.context_length:
                raise errors.ContextLengthExceededError(options.context_length, len(prompt), request.params.max_tokens)
        for token, _ in request.params.logit_bias:
            self._check_token(token, 'logit_bias')
        begin = None if request.grammar is None else self._grammars.compile(request.grammar)
        handle = StubHandle(self, request, prompts, self._vocabulary, options, self._recorder)
        if begin is not None:
            for choice in handle.choices:
                choice.guide(begin())
        with self._lock:
            if self._is_shut_down:
                raise errors.ShuttingDownError('The server is shutting down.', retry_after_s=5)
            if len(self._running) >= options.max_running:
                self._recorder.request_ended('rejected')
                raise errors.QueueFullError(f'The server is at its limit of {options.max_running} requests. '
                                            'Please try again shortly.', retry_after_s=1)
            self._running.add(handle)
        for prompt in prompts * request.candidates:
            self._recorder.admitted(len(prompt), prefix_hit_tokens=0, queued_s=0.0)
        handle.start()
        return handle

    def tokenizer(self, model: str) -> Vocabulary:
        """See Engine.tokenizer."""
        if model not in {offered.id for offered in self._models}:
            raise errors.ModelNotFoundError(model)
        return self._vocabulary

    def forget(self, handle: 'StubHandle', outcome: str) -> None:
        """Counts a request out, with one of the statistics' outcomes. May be called again: the first one counts."""
        with self._lock:
            if handle not in self._running:
                return
            self._running.discard(handle)
            self._cancelled += outcome == 'cancelled'
        self._recorder.request_ended(outcome)

    def statistics(self) -> EngineStatistics:
        """See Engine.statistics."""
        return self._recorder.snapshot(waiting=0, running=len(self._running), slots=self._options.max_running)

    def shutdown(self) -> None:
        """Ends every request with ShuttingDownError, and takes no more."""
        with self._lock:
            self._is_shut_down = True
            running = tuple(self._running)
        for handle in running:
            handle.fail(errors.ShuttingDownError('The server is shutting down.', retry_after_s=5))

    def _prompt_ids(self, prompt: str | tuple[int, ...]) -> tuple[int, ...]:
        if not isinstance(prompt, str):
            for token in prompt:
                self._check_token(token, 'prompt')
        tokens = self._vocabulary.encode(prompt) if isinstance(prompt, str) else prompt
        return tokens or (END_OF_TEXT,)

    def _check_token(self, token: int, param: str) -> None:
        if token >= len(self._vocabulary):
            raise errors.InvalidRequestError(f'{param} holds the token id {token}; the vocabulary of this model ends '
                                             f'at {len(self._vocabulary) - 1}.', param=param)


class StubHandle:
    """One request. `get` and `cancel` run on its HTTP thread, `fail` on any."""

    def __init__(self, engine: StubEngine, request: GenerationRequest, prompts: tuple[tuple[int, ...], ...],
                 vocabulary: Vocabulary, options: StubOptions, recorder: Recorder) -> None:
        self.prompt_ids = prompts
        self._engine = engine
        self._recorder = recorder
        self._echoes = request.echo
        self._options = options
        self.choices = [Choice(number, prompts[number // request.candidates], request, vocabulary, options)
                        for number in range(len(prompts) * request.candidates)]
        self._arrived_s = time.monotonic()
        self._last_step_s: float | None = None
        self._due_s = self._arrived_s + options.first_token_delay_s
        self._ready: deque[Delta | Finished] = deque()
        self._interrupted = threading.Event()
        self._failure: errors.ApiError | None = None

    def start(self) -> None:
        """Makes what there is before the first token: the echo."""
        if self._echoes:
            self._ready.extend(choice.prompt_delta() for choice in self.choices)
            self._end_if_done()

    def get(self, timeout_s: float) -> Delta | Finished:
        """Returns what comes next, when it is due. Raises TimeoutError, and ShuttingDownError after `fail`."""
        if self._failure is None and not self._ready:
            wait_s = self._due_s - time.monotonic()
            self._interrupted.wait(max(0.0, min(wait_s, timeout_s)))
            if self._failure is None and wait_s > timeout_s:
                raise TimeoutError
        if self._failure is not None:
            raise self._failure
        if not self._ready:
            self._step()
        return self._ready.popleft()

    def position(self) -> None:
        """Returns None: nobody waits, since every request is served at once or refused."""

    def cancel(self) -> Finished:
        """Ends the request and returns what it has used."""
        self._engine.forget(self, 'cancelled')
        return self._usage()

    def fail(self, error: errors.ApiError) -> None:
        """Ends the request with an error, at once also where a thread waits in `get`."""
        self._failure = error
        self._interrupted.set()
        self._engine.forget(self, 'error')

    def _step(self) -> None:
        """Makes the next token of every choice that has not ended."""
        now_s = time.monotonic()
        if self._last_step_s is None:
            self._recorder.first_token(now_s - self._arrived_s)
        for choice in self.choices:
            if choice.finish_reason is None:
                self._ready.append(choice.step())
                self._recorder.token(None if self._last_step_s is None else now_s - self._last_step_s)
        self._last_step_s = now_s
        self._recorder.step(time.monotonic() - now_s, 0.0)
        self._due_s = max(self._due_s + self._options.token_delay_s, time.monotonic())
        self._end_if_done()

    def _end_if_done(self) -> None:
        reasons = {choice.finish_reason for choice in self.choices}
        if None not in reasons:
            self._ready.append(self._usage())
            self._engine.forget(self, 'length' if FinishReason.LENGTH in reasons else 'stop')

    def _usage(self) -> Finished:
        return Finished(prompt_tokens=sum(map(len, self.prompt_ids)),
                        completion_tokens=sum(choice.generated for choice in self.choices), queue_s=0.0)


class Choice:
    """One of a request's answers, token by token."""

    def __init__(self, number: int, prompt: tuple[int, ...], request: GenerationRequest, vocabulary: Vocabulary,
                 options: StubOptions) -> None:
        self._number = number
        self._prompt = prompt
        sent = request.prompts[number // request.candidates]
        self._prompt_text = sent if isinstance(sent, str) else None
        self._params = request.params
        self._vocabulary = vocabulary
        self._answer = vocabulary.encode(options.text)
        self._answer_length = len(self._answer) if options.num_tokens is None else options.num_tokens
        self._guided: Guided | None = None
        self._detokenizer = Detokenizer()
        self._stop_finder = StopFinder(request.params.stops)
        self._context = 0
        self.generated = 0
        self.finish_reason: FinishReason | None = None
        if not request.echo:
            for token in prompt:
                self._context = stub_model.context_hash(self._context, token)

    def guide(self, constraint: Constraint) -> None:
        """Makes the answer keep to a grammar."""
        self._guided = Guided(constraint, self._answer[:self._answer_length])

    def prompt_delta(self) -> Delta:
        """Returns the echo of the prompt, which comes before any step."""
        texts, tokens = [], []
        for position, token in enumerate(self._prompt):
            text, shown = self._shown(token, self._context % stub_model.PROMPT_RANKS, position > 0)
            texts.append(text)
            tokens.append(shown)
        self.finish_reason = FinishReason.LENGTH if self._params.max_tokens == 0 else None
        text = ''.join(texts) if self._prompt_text is None else self._prompt_text
        return Delta(self._number, text, tuple(tokens), self.finish_reason, is_prompt=True)

    def step(self) -> Delta:
        """Generates a token."""
        token, at_end = self._next()
        text, shown = self._shown(token, 0, True)
        self.generated += 1
        text = self._stop_finder.add(text)
        reason = None
        if self._stop_finder.has_stopped:
            reason = FinishReason.STOP
        elif at_end or self.generated == self._params.max_tokens:
            reason = FinishReason.STOP if at_end else FinishReason.LENGTH
            text += self._stop_finder.flush()
        self.finish_reason = reason
        return Delta(self._number, text, (shown,), reason)

    def _next(self) -> tuple[int, bool]:
        """Returns the next token, and whether the answer ends with it."""
        params = self._params
        if self._guided is not None:
            token = self._guided.next(self.generated >= params.min_tokens and not params.ignore_eos)
            return token, token == END_OF_TEXT or self._guided.is_complete
        at_end = stub_model.is_end(self.generated, self._answer_length, params.min_tokens, params.ignore_eos)
        return stub_model.answer_token(self._answer, self.generated, at_end), at_end

    def _shown(self, token: int, rank: int, has_logprob: bool) -> tuple[str, Token]:
        """Returns the text that a token completes and the token as the API shows it, and moves the context on."""
        text = self._detokenizer.add(self._vocabulary.token_bytes(token))
        wanted = self._params.logprobs
        logprobs = None if wanted is None or not has_logprob else (self._context, rank, wanted)
        self._context = stub_model.context_hash(self._context, token)
        return text, stub_model.shown_token(self._vocabulary, token, len(text), logprobs)
