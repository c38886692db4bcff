"""The wire contract of POST /v1/embeddings as types: its request and its response.

What depends on a model (the length of a text, the size of a vector, which prompts it has) is not known here.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from sandle.generation_protocol import ModelId
from sandle.prompts import INT64_MAX, Prompt, bounded_prompts, each_prompt
from sandle.wire import WireModel


def _no_empty_texts(texts: Prompt) -> Prompt:
    if '' in (texts if isinstance(texts, list) else (texts,)):
        raise ValueError('must not be or hold an empty string')
    return texts


def _some_tokens(limit: int) -> int:
    if limit == 0:
        raise ValueError('must be at least 1, or -1 for as many as the model takes')
    return limit


class EmbeddingsRequest(WireModel):
    """The body of POST /v1/embeddings. `prompt_name` and `truncate_prompt_tokens` are not OpenAI's."""

    model: ModelId
    input: Annotated[Prompt, BeforeValidator(bounded_prompts), AfterValidator(_no_empty_texts)]
    encoding_format: Literal['float', 'base64'] = 'float'
    dimensions: Annotated[int, Field(ge=1, le=INT64_MAX)] | None = None
    user: str | None = None
    prompt_name: Annotated[str, Field(max_length=256)] | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, le=INT64_MAX), AfterValidator(_some_tokens)] | None = None

    def texts(self) -> tuple[str | tuple[int, ...], ...]:
        """Returns the texts one by one, each as text or as token ids."""
        return each_prompt(self.input)


class Embedding(BaseModel):
    """A text as a vector: numbers, or the base64 of their float32s, the least significant byte first."""

    object: Literal['embedding'] = 'embedding'
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    """Tokens of a request for embeddings."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """The response of POST /v1/embeddings, in the order of the request's texts."""

    object: Literal['list'] = 'list'
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
