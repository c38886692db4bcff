"""The wire contract as types: requests, responses and chunks of the OpenAI-style API, with Sandle's extensions.

How a request is checked against its type is `sandle.wire`'s. What depends on a model (context length, vocabulary, what
it is capable of) is not known here.
"""

from typing import Annotated, Literal, Self

from pydantic import (AfterValidator, BaseModel, BeforeValidator, Field, SerializerFunctionWrapHandler,
                      model_serializer, model_validator)

from sandle.prompts import INT64_MAX, Prompt, TokenId, bounded_prompts, each_prompt
from sandle.wire import ParamError, WireModel

MAX_STOPS = 64
MAX_STOP_LENGTH = 256

ModelId = Annotated[str, Field(min_length=1, max_length=256)]
# fail_fast and json_schema_extra: see sandle.prompts.
TokenIdKey = Annotated[str, Field(pattern=r'^[0-9]{1,18}$')]
StopString = Annotated[str, Field(json_schema_extra={'maxLength': MAX_STOP_LENGTH})]
Stop = StopString | Annotated[list[StopString], Field(fail_fast=True, json_schema_extra={'maxItems': MAX_STOPS})]
LogitBias = Annotated[dict[TokenIdKey, Annotated[float, Field(ge=-100, le=100)]], Field(fail_fast=True)]


def _bounded_stops(stop: str | list[str]) -> str | list[str]:
    stops = [stop] if isinstance(stop, str) else stop
    if len(stops) > MAX_STOPS:
        raise ValueError(f'must hold at most {MAX_STOPS} strings')
    if any(len(string) > MAX_STOP_LENGTH for string in stops):
        raise ValueError(f'must hold strings of at most {MAX_STOP_LENGTH} characters')
    return stop


class StreamOptions(WireModel):
    """What a stream shall hold beside its text."""

    include_usage: bool = False


class CompletionRequest(WireModel):
    """The body of POST /v1/completions."""

    model: ModelId
    prompt: Annotated[Prompt, BeforeValidator(bounded_prompts)] = ''
    max_tokens: Annotated[int, Field(ge=0, le=INT64_MAX)] = 16
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1, le=128)] = 1
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0, le=INT64_MAX)] | None = None
    echo: bool = False
    stop: Annotated[Stop, AfterValidator(_bounded_stops)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: LogitBias | None = None
    seed: Annotated[int, Field(ge=-2 ** 63, le=INT64_MAX)] | None = None
    suffix: str | None = None
    user: str | None = None
    greedy_decoding: bool = False
    stream_batch_size: Annotated[int, Field(ge=0, le=INT64_MAX)] = 0
    top_k: Annotated[int, Field(ge=0, le=INT64_MAX)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    typical_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    min_tokens: Annotated[int, Field(ge=0, le=INT64_MAX)] = 0
    ignore_eos: bool = False
    add_special_tokens: bool = True
    return_token_ids: bool = False

    @model_validator(mode='after')
    def _fields_agree(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise ParamError('max_tokens', 'max_tokens: 0 generates nothing, so it needs echo: true')
        if self.best_of is not None and self.best_of < self.n:
            raise ParamError('best_of', f'best_of must be at least n: {self.best_of} is less than {self.n}')
        if self.best_of is not None and self.best_of > self.n and self.stream:
            raise ParamError('best_of', 'best_of cannot be streamed')
        if self.stream_options is not None and not self.stream:
            raise ParamError('stream_options', 'stream_options needs stream: true')
        if self.suffix and self.echo:
            raise ParamError('suffix', 'suffix cannot be combined with echo')
        if self.min_tokens > self.max_tokens:
            raise ParamError('min_tokens', 'min_tokens must not be greater than max_tokens')
        return self

    def prompts(self) -> tuple[str | tuple[int, ...], ...]:
        """Returns the prompts one by one, each as text or as token ids."""
        return each_prompt(self.prompt)

    def stops(self) -> tuple[str, ...]:
        """Returns the stop strings; empty ones, which clients send for "none", are left out."""
        strings = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(string for string in strings if string)

    def fields_in_use(self) -> frozenset[str]:
        """Returns the names of the fields that ask for something: neither their default nor an empty value.

        A `best_of` equal to `n`, which some clients always send, asks for nothing.
        """
        names = {name for name, field in type(self).model_fields.items()
                 if getattr(self, name) not in (field.default, None, {}, [], '')}
        return frozenset(names - {'best_of'} if self.best_of == self.n else names)


class TokenizeRequest(WireModel):
    """The body of POST /tokenize. No model: the default one."""

    model: ModelId | None = None
    prompt: str
    add_special_tokens: bool = True


class DetokenizeRequest(WireModel):
    """The body of POST /detokenize. No model: the default one."""

    model: ModelId | None = None
    tokens: Annotated[list[TokenId], Field(fail_fast=True)]


class Usage(BaseModel):
    """Tokens of a request: prompts counted once each, completions over every choice."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def _without_nones(fields: dict[str, object], *optional: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None or name not in optional}


class Logprobs(BaseModel):
    """Token probabilities of one choice, one entry a token in every list; offsets count code points of the text.

    `top_token_ids` has the id of each key of `top_logprobs`; it is there when the request asked for token ids.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]
    top_token_ids: list[dict[str, int] | None] | None = None

    @model_serializer(mode='wrap')
    def _leave_out_what_was_not_asked_for(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return _without_nones(standard(self), 'top_token_ids')


class CompletionChoice(BaseModel):
    """One answer, or one piece of it in a stream; the token ids are there when the request asked for them."""

    text: str
    index: int
    logprobs: Logprobs | None
    finish_reason: Literal['stop', 'length'] | None
    prompt_token_ids: list[int] | None = None
    token_ids: list[int] | None = None

    @model_serializer(mode='wrap')
    def _leave_out_token_ids_not_asked_for(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return _without_nones(standard(self), 'prompt_token_ids', 'token_ids')


class Completion(BaseModel):
    """The response of POST /v1/completions, and each chunk of its stream."""

    id: str
    object: Literal['text_completion'] = 'text_completion'
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


class TokenizeResponse(BaseModel):
    """The response of POST /tokenize."""

    tokens: list[int]
    count: int
    max_model_len: int | None


class DetokenizeResponse(BaseModel):
    """The response of POST /detokenize."""

    prompt: str


class TokenizerInfoResponse(BaseModel):
    """The response of GET /tokenizer_info: special tokens as they are written, null for those that there are not."""

    model: str
    tokenizer_class: str
    vocab_size: int
    model_max_length: int | None
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    unk_token: str | None
    chat_template: str | None


class ModelObject(BaseModel):
    """One model of GET /v1/models. `status_message` says how far a load is, or why it failed."""

    id: str
    object: Literal['model'] = 'model'
    created: int
    owned_by: str
    permission: list[str] = []
    root: str
    parent: str | None = None
    description: str
    max_model_len: int | None
    status: Literal['available', 'loading', 'ready', 'error']
    status_message: str | None = None
    capabilities: list[str]


class ModelList(BaseModel):
    """The response of GET /v1/models."""

    object: Literal['list'] = 'list'
    data: list[ModelObject]


class UsageLimits(BaseModel):
    """What a key may use at most; null for no limit. Days are UTC's."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel: int | None
    tokens_per_day: int | None


class UsageDay(BaseModel):
    """What a key has used of one model on one day."""

    day: str
    model: str
    requests: int
    prompt_tokens: int
    completion_tokens: int


class UsageReport(BaseModel):
    """The response of GET /v1/usage: the latest day first."""

    object: Literal['list'] = 'list'
    key: str
    limits: UsageLimits
    tokens_today: int
    data: list[UsageDay]


class ErrorObject(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """The body of every response that is not a success."""

    error: ErrorObject


class HealthStatus(BaseModel):
    """The response of GET /health and GET /ready."""

    status: str
