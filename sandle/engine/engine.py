"""The seam between the HTTP endpoints and whatever generates: what `sandle.completions` needs of a backend.

`sandle.engine.loop` implements it over a model; the stub implements it without one. Methods are called on HTTP
threads, many at once. Errors are `sandle.errors.ApiError`s: the wording of a refusal belongs to who knows the reason.
"""

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from sandle.engine.download import Download
from sandle.engine.statistics import EngineStatistics


class FinishReason(enum.Enum):
    """Why a choice ended; the values are the API's."""

    STOP = 'stop'
    LENGTH = 'length'


class ModelStatus(enum.Enum):
    """Where a model stands; the values are the API's."""

    AVAILABLE = 'available'
    LOADING = 'loading'
    READY = 'ready'
    ERROR = 'error'


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model on offer.

    `context_length` is None until it is known; `detail` says how far a load is, or why it failed; `download` is there
    while files are fetched. An adapter has a `parent`: the model that it is loaded with. After `idle_unload_s` without
    a request a model is taken out of memory.
    """

    id: str
    description: str
    owned_by: str
    created: int
    status: ModelStatus
    capabilities: frozenset[str]
    context_length: int | None = None
    detail: str | None = None
    download: Download | None = None
    parent: str | None = None
    idle_unload_s: float | None = None


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the tokens of one request are chosen. Temperature 0 is greedy; 0 in `top_k` and 1 in `top_p` mean "off".

    `max_tokens` counts generated tokens. `seed` None asks for a seed of the engine's choice. `logprobs` is the number
    of alternatives wanted a token, None for no logprobs at all.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    typical_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    stops: tuple[str, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must keep to, in llguidance's notation: Lark's, with JSON schemas as `%json {...}`.

    `param` is the field of the client's request that asks for it. `tokens` are special tokens, as they are written,
    that are text in such an answer.
    """

    source: str
    param: str
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What to generate: `candidates` sequences for every prompt. A prompt is text, or token ids used as they are.

    `echo` asks for the prompt's own tokens in front of each choice's. With `fills_context` an answer may be as long as
    the context leaves room for, and `max_tokens` counts for nothing.
    """

    id: str
    model: str
    prompts: tuple[str | tuple[int, ...], ...]
    params: SamplingParams
    candidates: int = 1
    echo: bool = False
    suffix: str | None = None
    add_special_tokens: bool = True
    user: str | None = None  # among whom turns are shared out
    fills_context: bool = False
    grammar: Grammar | None = None

    def with_room(self, room: int) -> 'GenerationRequest':
        """Returns the request with the `max_tokens` that holds where the context has room for so many tokens."""
        return replace(self, params=replace(self.params, max_tokens=max(1, room))) if self.fills_context else self


class TopToken(NamedTuple):
    """One of the likeliest tokens in a place; `text` as in `Token`."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One token as the API shows it. `logprob` is None where none was asked for or none exists (a prompt's first).

    `text` is the token by itself, `bytes:\\x..` when that is not valid UTF-8; `length` is the number of characters by
    which the token lengthens the choice's text (0 for a special token). `top` holds the likeliest tokens, most
    likely first.
    """

    id: int
    text: str
    length: int
    logprob: float | None = None
    top: tuple[TopToken, ...] | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one step added to one choice.

    `choice` is prompt index · candidates + candidate. `text` may lag behind `tokens` (half a character, the beginning
    of a stop string); the texts of a choice's deltas, concatenated, are its whole answer. With echo, the first delta of
    a choice has `is_prompt` and holds the prompt's text and tokens. The last one has a `finish_reason`.
    """

    choice: int
    text: str
    tokens: tuple[Token, ...]
    finish_reason: FinishReason | None = None
    is_prompt: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a request: every choice has had its last delta. Token counts as in `protocol.Usage`.

    `queue_s` is how many seconds passed before the first of its sequences was worked on, None if none was; as a
    measurement it makes no difference between two ends.
    """

    prompt_tokens: int
    completion_tokens: int
    queue_s: float | None = field(default=None, compare=False)


class Handle(Protocol):
    """A submitted request, read by the one HTTP thread that waits for it."""

    @property
    def prompt_ids(self) -> tuple[tuple[int, ...], ...]:
        """The token ids of each prompt."""
        ...

    def get(self, timeout_s: float) -> Delta | Finished:
        """Waits for what comes next. Raises TimeoutError when nothing does in time, and the request's ApiError."""
        ...

    def position(self) -> int | None:
        """Returns how many turns it is, as things stand, until the first of its sequences is worked on: 1 for the next.

        None if that has happened, or is not known.
        """
        ...

    def cancel(self) -> Finished:
        """Ends the request now: its slots are freed before the next step. Returns what it has used.

        May be called again, and after the end.
        """
        ...


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """What a client must know of a tokenizer to work with it from afar; None for what it does not have.

    Special tokens are given as they are written, `chat_template` in Jinja's language. `tool_template` is the one for
    conversations with tools, where a model has another one for them.
    """

    tokenizer_class: str
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    unk_token: str | None = None
    chat_template: str | None = None
    tool_template: str | None = None

    @property
    def template_with_tools(self) -> str | None:
        """The template for conversations with tools; None if it does not tell its model of them."""
        template = self.tool_template or self.chat_template
        return template if template is not None and re.search(r'\btools\b', template) else None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a chat template turns into a prompt. `variables` are those of the template's own, by name, and none of
    `sandle.chat_protocol.RESERVED_VARIABLES`.

    `opens_answer`: the prompt is to end with what begins the assistant's turn; `continues_last`: it is to end within
    the last message, which the answer goes on with.
    """

    messages: Sequence[Mapping[str, object]]
    tools: Sequence[Mapping[str, object]] | None = None
    opens_answer: bool = True
    continues_last: bool = False
    variables: Mapping[str, object] = field(default_factory=dict)


class TextTokenizer(Protocol):
    """A model's tokenizer, as clients may use it. Every method may be called on any thread, many at once."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id that the model takes."""
        ...

    @property
    def info(self) -> TokenizerInfo:
        """What a client must know of it."""
        ...

    def encode(self, text: str, add_special_tokens: bool) -> Sequence[int]:
        """Returns the token ids of a text; a special token written out in it is one id."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Returns the text of token ids below `vocab_size`, special tokens written out: encoding it gives them back.

        (As far as a tokenizer can: ids that it would not have chosen become those that it would have.)
        """
        ...

    def render(self, conversation: Conversation) -> str:
        """Returns the prompt that the model's chat template makes of a conversation; only where `info` has one.

        Raises InvalidRequestError for a conversation that the template does not take.
        """
        ...


class Engine(Protocol):
    """A backend's generator."""

    def models(self) -> Sequence[ModelInfo]:
        """Returns every model on offer, at once."""
        ...

    def is_ready(self) -> bool:
        """Returns whether a request for the default model would be served now."""
        ...

    def submit(self, request: GenerationRequest) -> Handle:
        """Checks a request against its model and queues it.

        Raises ModelNotFoundError, ModelLoadingError (and begins to load), ContextLengthExceededError, QueueFullError,
        InvalidRequestError for a token id outside of the vocabulary and a grammar that cannot be used.
        """
        ...

    def tokenizer(self, model: str) -> TextTokenizer:
        """Returns a model's tokenizer. Raises ModelNotFoundError, ModelLoadingError (and begins to load)."""
        ...

    def statistics(self) -> EngineStatistics:
        """Returns what has been done so far, at once."""
        ...

    def shutdown(self) -> None:
        """Ends every request with ShuttingDownError, and the engine."""
        ...
