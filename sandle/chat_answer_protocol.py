"""The wire contract of chat as types: what POST /v1/chat/completions answers, whole and in a stream."""

from typing import Literal

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from sandle.protocol import Usage, WithTokenIds, without_nones


class TopLogprob(BaseModel):
    """One of the likeliest tokens in a place; `bytes` are those of its text."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token of the answer, and the likeliest ones in its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """The probabilities of an answer's tokens, the one that ended it among them."""

    content: list[TokenLogprob]
    refusal: None = None


class AnsweredFunction(BaseModel):
    """The function of a call, and its arguments as JSON; in a stream the next piece of that JSON."""

    name: str | None = None
    arguments: str

    @model_serializer(mode='wrap')
    def _leave_out_what_was_said_before(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_nones(standard(self), 'name')


class AnsweredToolCall(BaseModel):
    """A call that the model asks for; in a stream `index` says of which one this is a piece."""

    index: int | None = None
    id: str | None = None
    type: Literal['function'] | None = None
    function: AnsweredFunction

    @model_serializer(mode='wrap')
    def _leave_out_what_was_said_before(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_nones(standard(self), 'index', 'id', 'type')


class AnsweredMessage(BaseModel):
    """The model's turn."""

    role: Literal['assistant'] = 'assistant'
    content: str | None
    refusal: None = None
    tool_calls: list[AnsweredToolCall] | None = None

    @model_serializer(mode='wrap')
    def _leave_out_what_there_is_not(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_nones(standard(self), 'tool_calls')


class ChatDelta(BaseModel):
    """What has been added to the model's turn."""

    role: Literal['assistant'] | None = None
    content: str | None = None
    tool_calls: list[AnsweredToolCall] | None = None

    @model_serializer(mode='wrap')
    def _leave_out_what_was_not_added(self, standard: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_nones(standard(self), 'role', 'content', 'tool_calls')


ChatFinishReason = Literal['stop', 'length', 'tool_calls']


class ChatChoice(WithTokenIds):
    """One answer; the token ids are there when the request asked for them."""

    index: int
    message: AnsweredMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason | None
    prompt_token_ids: list[int] | None = None
    token_ids: list[int] | None = None


class ChatChunkChoice(WithTokenIds):
    """One piece of one answer."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason | None
    prompt_token_ids: list[int] | None = None
    token_ids: list[int] | None = None


class ChatCompletion(BaseModel):
    """The response of POST /v1/chat/completions."""

    id: str
    object: Literal['chat.completion'] = 'chat.completion'
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage


class ChatChunk(BaseModel):
    """Each event of its stream."""

    id: str
    object: Literal['chat.completion.chunk'] = 'chat.completion.chunk'
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class RenderedChat(BaseModel):
    """The response of POST /v1/chat/completions/render: the prompt that messages become."""

    prompt: str
    tokens: list[int]
    count: int
    max_model_len: int | None
