"""An Engine that plays what a test has written down, and notes what was asked of it. No threads, no time."""

import re
from collections.abc import Sequence

from sandle import errors
from sandle.engine.engine import (Conversation, Delta, Finished, FinishReason, GenerationRequest, ModelInfo,
                                  ModelStatus, Token, TokenizerInfo, TopToken)
from sandle.engine.statistics import EngineStatistics, Recorder

EVERYTHING = frozenset({
    'best_of', 'echo', 'frequency_penalty', 'ignore_eos', 'logit_bias', 'logprobs', 'min_p', 'min_tokens', 'n',
    'presence_penalty', 'repetition_penalty', 'response_format', 'return_token_ids', 'seed', 'suffix', 'top_k',
    'typical_p'})
# None: nothing in time; a number: nothing in time either, but that is the request's place in the queue by then
Step = Delta | Finished | errors.ApiError | Exception | int | None


def model(capabilities: frozenset[str] = EVERYTHING, status: ModelStatus = ModelStatus.READY,
          name: str = 'org/model') -> ModelInfo:
    """Returns a model on offer."""
    return ModelInfo(name, 'a model', 'org', 1, status, capabilities, 128)


def token(text: str, number: int = 1, logprob: float | None = -0.5,
          top: tuple[tuple[str, float], ...] | None = None) -> Token:
    """Returns a token that is its text."""
    others = None if top is None else tuple(TopToken(ord(other[0]), other, value) for other, value in top)
    return Token(number, text, len(text), logprob, others)


def delta(text: str, choice: int = 0, reason: FinishReason | None = None, logprob: float | None = -0.5) -> Delta:
    """Returns a step that made one token."""
    return Delta(choice, text, (token(text, len(text), logprob),), reason)


class ScriptedHandle:
    """Plays steps; `cancelled` counts the calls of cancel."""

    def __init__(self, steps: Sequence[Step], prompt_ids: tuple[tuple[int, ...], ...]) -> None:
        self.prompt_ids = prompt_ids
        self.cancelled = 0
        self.place: int | None = None
        self._steps = list(steps)

    def get(self, timeout_s: float) -> Delta | Finished:
        """Returns or raises the next step."""
        step = self._steps.pop(0)
        if step is None or isinstance(step, int):
            self.place = step
            raise TimeoutError
        if isinstance(step, Exception):
            raise step
        return step

    def position(self) -> int | None:
        """Returns `place`."""
        return self.place

    def cancel(self) -> Finished:
        """Counts."""
        self.cancelled += 1
        return Finished(1, 1)


class CharacterTokenizer:
    """One id a character, from 32 to 126; 1 and 2 are special."""

    vocab_size = 127

    def __init__(self, chat_template: str | None = '{{ messages }}') -> None:
        self.info = TokenizerInfo('CharacterTokenizer', bos_token='<s>', eos_token='</s>', chat_template=chat_template)
        self.conversations: list[Conversation] = []

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """See TextTokenizer.encode."""
        pieces = re.findall('<s>|</s>|.', text, re.DOTALL)
        return [1] * add_special_tokens + [{'<s>': 1, '</s>': 2}.get(piece) or ord(piece) for piece in pieces]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See TextTokenizer.detokenize."""
        return ''.join({1: '<s>', 2: '</s>'}.get(token) or chr(token) for token in tokens)

    def render(self, conversation: Conversation) -> str:
        """Returns roles and contents; refuses a conversation in which somebody says "refuse"."""
        self.conversations.append(conversation)
        texts = [f'{message["role"]}={message["content"]}' for message in conversation.messages]
        if any(text.endswith('=refuse') for text in texts):
            raise errors.InvalidRequestError('The template refuses.', param='messages')
        return ';'.join(texts)


class ScriptedEngine:
    """Implements `sandle.engine.engine.Engine`; every request gets the same steps."""

    def __init__(self, steps: Sequence[Step] = (), models: Sequence[ModelInfo] = (model(),),
                 refusal: errors.ApiError | None = None) -> None:
        self.steps = steps
        self.requests: list[GenerationRequest] = []
        self.handles: list[ScriptedHandle] = []
        self.is_loaded = True
        self.characters = CharacterTokenizer()
        self._models = models
        self._refusal = refusal

    def models(self) -> Sequence[ModelInfo]:
        """Returns the models given."""
        return self._models

    def is_ready(self) -> bool:
        """Returns `is_loaded`."""
        return self.is_loaded

    def submit(self, request: GenerationRequest) -> ScriptedHandle:
        """Notes the request."""
        self.requests.append(request)
        if self._refusal is not None:
            raise self._refusal
        self.handles.append(ScriptedHandle(self.steps, tuple((1, 2) for _ in request.prompts)))
        return self.handles[-1]

    def tokenizer(self, model: str) -> CharacterTokenizer:
        """Returns a tokenizer of one id a character."""
        return self.characters

    def statistics(self) -> EngineStatistics:
        """Returns the numbers of an engine that has done nothing."""
        return Recorder().snapshot(waiting=0, running=0, slots=0)

    def shutdown(self) -> None:
        """Does nothing."""
