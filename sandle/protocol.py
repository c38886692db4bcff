"""The wire contract as types: requests, responses and chunks of the OpenAI-style API, with Sandle's extensions.

How a request is checked against its type is `sandle.wire`'s; what all requests for generation share is in
`sandle.generation_protocol`, chat in `sandle.chat_protocol`. What depends on a model (context length, vocabulary, what
it is capable of) is not known here.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (BaseModel, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer,
                      model_validator)

from sandle.generation_protocol import GenerationFields, ModelId
from sandle.prompts import INT64_MAX, Prompt, TokenId, bounded_prompts, each_prompt
from sandle.wire import ParamError, WireModel


class CompletionRequest(GenerationFields):
    """The body of POST /v1/completions."""

    prompt: Annotated[Prompt, BeforeValidator(bounded_prompts)] = ''
    max_tokens: Annotated[int, Field(ge=0, le=INT64_MAX)] = 16
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=INT64_MAX)] | None = None
    echo: bool = False
    suffix: str | None = None
    add_special_tokens: bool = True

    @model_validator(mode='after')
    def _fields_agree(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise ParamError('max_tokens', 'max_tokens: 0 generates nothing, so it needs echo: true')
        if self.best_of is not None and self.best_of < self.n:
            raise ParamError('best_of', f'best_of must be at least n: {self.best_of} is less than {self.n}')
        if self.best_of is not None and self.best_of > self.n and self.stream:
            raise ParamError('best_of', 'best_of cannot be streamed')
        if self.suffix and self.echo:
            raise ParamError('suffix', 'suffix cannot be combined with echo')
        if self.min_tokens > self.max_tokens:
            raise ParamError('min_tokens', 'min_tokens must not be greater than max_tokens')
        return self

    def prompts(self) -> tuple[str | tuple[int, ...], ...]:
        """Returns the prompts one by one, each as text or as token ids."""
        return each_prompt(self.prompt)

    def fields_in_use(self) -> frozenset[str]:
        """Returns the names of the fields that ask for something.

        A `best_of` equal to `n`, which some clients always send, asks for nothing.
        """
        names = super().fields_in_use()
        return names - {'best_of'} if self.best_of == self.n else names


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


def without_nones(fields: dict[str, object], *optional: str) -> dict[str, object]:
    """Returns the fields of a response without those of the optional ones that are None."""
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
        return without_nones(standard(self), 'top_token_ids')


class WithTokenIds(BaseModel):
    """What holds `prompt_token_ids` and `token_ids`, and is written without them when they were not asked for."""

    @model_serializer(mode='wrap')
    def _leave_out_token_ids_not_asked_for(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_nones(standard(self), 'prompt_token_ids', 'token_ids')


class CompletionChoice(WithTokenIds):
    """One answer, or one piece of it in a stream; the token ids are there when the request asked for them."""

    text: str
    index: int
    logprobs: Logprobs | None
    finish_reason: Literal['stop', 'length'] | None
    prompt_token_ids: list[int] | None = None
    token_ids: list[int] | None = None


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


class DownloadProgress(BaseModel):
    """How far the download of a model is, at the rate of the last seconds; None while there is none."""

    downloaded_bytes: int
    total_bytes: int
    bytes_per_second: int
    remaining_seconds: int | None


class ModelObject(BaseModel):
    """One model of GET /v1/models. `status_message` says how far a load is, or why it failed.

    `progress` is there while files of the model are fetched.
    """

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
    progress: DownloadProgress | None = None
    capabilities: list[str]

    @model_serializer(mode='wrap')
    def _leave_out_no_progress(self, standard: SerializerFunctionWrapHandler) -> dict[str, Any]:  # object: a field
        return without_nones(standard(self), 'progress')


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
