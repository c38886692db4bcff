"""What all requests for generation have in common, as types: which model, how its tokens are chosen, where it stops.

Knows neither what the model is given (a prompt, messages) nor what it answers with.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sandle.prompts import INT64_MAX
from sandle.wire import ParamError, WireModel

MAX_STOPS = 64
MAX_STOP_LENGTH = 256

ModelId = Annotated[str, Field(min_length=1, max_length=256)]
NAME = r'^[a-zA-Z0-9_-]{1,64}$'  # of a function or a schema
TokenIdKey = Annotated[str, Field(pattern=r'^[0-9]{1,18}$')]
# fail_fast and json_schema_extra: see sandle.prompts.
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


class JsonSchema(WireModel):
    """What an answer is to look like. `strict` changes nothing: an answer keeps to its schema in any case."""

    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    schema_: Annotated[dict[str, object], Field(alias='schema')]
    strict: bool = False


class ResponseFormat(WireModel):
    """What an answer is to be: any text, a JSON object, or JSON of a schema."""

    type: Literal['text', 'json_object', 'json_schema']
    json_schema: JsonSchema | None = None

    @model_validator(mode='after')
    def _schema_is_there(self) -> Self:
        if (self.type == 'json_schema') != (self.json_schema is not None):
            raise ParamError('response_format', 'response_format has json_schema where its type is json_schema, and '
                                                'only there')
        return self


class GenerationFields(WireModel):
    """The fields that every request for generation has."""

    model: ModelId
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1, le=128)] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop: Annotated[Stop, AfterValidator(_bounded_stops)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: LogitBias | None = None
    seed: Annotated[int, Field(ge=-2 ** 63, le=INT64_MAX)] | None = None
    user: str | None = None
    greedy_decoding: bool = False
    stream_batch_size: Annotated[int, Field(ge=0, le=INT64_MAX)] = 0
    top_k: Annotated[int, Field(ge=0, le=INT64_MAX)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    typical_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    min_tokens: Annotated[int, Field(ge=0, le=INT64_MAX)] = 0
    ignore_eos: bool = False
    return_token_ids: bool = False
    response_format: ResponseFormat | None = None

    @model_validator(mode='after')
    def _stream_options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ParamError('stream_options', 'stream_options needs stream: true')
        return self

    @property
    def wants_usage_event(self) -> bool:
        """Whether its stream is to tell the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def stops(self) -> tuple[str, ...]:
        """Returns the stop strings; empty ones, which clients send for "none", are left out."""
        strings = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(string for string in strings if string)

    def fields_in_use(self) -> frozenset[str]:
        """Returns the names of the fields that ask for something: neither their default nor an empty value.

        That an answer may be any text asks for nothing.
        """
        wants_text = self.response_format is not None and self.response_format.type == 'text'
        return frozenset(name for name, field in type(self).model_fields.items()
                         if getattr(self, name) not in (field.default, None, {}, [], '')
                         and not (wants_text and name == 'response_format'))
