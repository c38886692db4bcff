"""The wire contract of chat as types: what POST /v1/chat/completions is asked. Its answers are in
`sandle.chat_answer_protocol`; what a model's template makes of messages is not known here.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sandle.generation_protocol import NAME, GenerationFields
from sandle.prompts import INT64_MAX
from sandle.wire import ParamError, WireModel

MAX_MESSAGES = 4096
# What is given to a template by other fields, or not at all: a template of the client's own above all.
RESERVED_VARIABLES = frozenset({
    'conversations', 'messages', 'tools', 'documents', 'chat_template', 'add_generation_prompt',
    'continue_final_message', 'return_assistant_tokens_mask'})
MAX_TOOLS = 128  # as OpenAI's API has it
MESSAGES = Field(fail_fast=True, json_schema_extra={'minItems': 1, 'maxItems': MAX_MESSAGES})
TOOLS = Field(fail_fast=True, json_schema_extra={'maxItems': MAX_TOOLS})


class TextPart(WireModel):
    """A piece of a message: text, since models here read nothing else."""

    type: Literal['text']
    text: str


def _text_alone(content: object) -> object:
    """Looks at a content before its type is looked at, so that what is wrong with it is said in one sentence."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ValueError('must be a string or an array of parts')
    for part in content:
        kind = part.get('type') if isinstance(part, dict) else None
        if kind != 'text':
            raise ValueError(f'must hold parts of the type "text" alone: this server reads no {kind[:64]}'
                             if isinstance(kind, str) else 'must hold parts of the type "text"')
        if not isinstance(part.get('text'), str):
            raise ValueError('must hold parts with a "text" that is a string')
    return content


Content = Annotated[str | list[TextPart], BeforeValidator(_text_alone)]


class FunctionCall(WireModel):
    """Which function a model wants to be called, and its arguments as JSON in a string."""

    name: str
    arguments: str


class ToolCall(WireModel):
    """A call that an assistant's message asks for."""

    id: str
    type: Literal['function'] = 'function'
    function: FunctionCall


class ChatMessage(WireModel):
    """One turn of a conversation."""

    role: Literal['system', 'developer', 'user', 'assistant', 'tool']
    content: Content | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    @model_validator(mode='after')
    def _fields_agree(self) -> Self:
        if self.content is None and not self.tool_calls:
            raise ValueError('needs content' if self.role != 'assistant' else 'needs content or tool_calls')
        if self.tool_calls and self.role != 'assistant':
            raise ValueError(f'has tool_calls, which a message of the role {self.role} does not have')
        return self

    def text(self) -> str | None:
        """Returns the content as one text, its parts joined by line ends."""
        if self.content is None or isinstance(self.content, str):
            return self.content
        return '\n'.join(part.text for part in self.content)


class FunctionDefinition(WireModel):
    """A function that the model may ask for. `parameters` is a JSON schema, an object's; without it there are none."""

    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool = False


class Tool(WireModel):
    """Something that the model may ask for: a function."""

    type: Literal['function']
    function: FunctionDefinition


class FunctionName(WireModel):
    """A function by its name."""

    name: str


class NamedTool(WireModel):
    """The tool that is to be called."""

    type: Literal['function']
    function: FunctionName


def _not_empty(messages: object) -> object:
    """Looks at the array before its items are looked at: a million of them would take seconds."""
    if isinstance(messages, list) and not 1 <= len(messages) <= MAX_MESSAGES:
        raise ValueError(f'must hold 1 to {MAX_MESSAGES} messages')
    return messages


def _unique_names(tools: list[Tool]) -> list[Tool]:
    if len(tools) > MAX_TOOLS:
        raise ValueError(f'must hold at most {MAX_TOOLS} tools')
    if len({tool.function.name for tool in tools}) < len(tools):
        raise ValueError('must not hold two functions of one name')
    return tools


def _no_reserved_variables(variables: dict[str, object]) -> dict[str, object]:
    if reserved := sorted(variables.keys() & RESERVED_VARIABLES):
        raise ValueError(f'must not hold {reserved[0]}')
    return variables


def _known_choice(choice: object) -> object:
    if isinstance(choice, str):
        if choice not in ('none', 'auto', 'required'):
            raise ValueError('must be "none", "auto", "required" or a function of tools')
    elif not isinstance(choice, dict):
        raise ValueError('must be a string or an object')
    return choice


ToolChoice = Annotated[Literal['none', 'auto', 'required'] | NamedTool, BeforeValidator(_known_choice)]


class ChatRequest(GenerationFields):
    """The body of POST /v1/chat/completions. Without `max_tokens` the answer may fill the context."""

    messages: Annotated[list[ChatMessage], MESSAGES, BeforeValidator(_not_empty)]
    max_tokens: Annotated[int, Field(ge=1, le=INT64_MAX)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=INT64_MAX)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=INT64_MAX)] | None = None
    tools: Annotated[list[Tool], TOOLS, AfterValidator(_unique_names)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: Annotated[dict[str, object], AfterValidator(_no_reserved_variables)] | None = None

    @model_validator(mode='after')
    def _fields_agree(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ParamError('top_logprobs', 'top_logprobs needs logprobs: true')
        if self.min_tokens > (self.answer_tokens() or INT64_MAX):
            raise ParamError('min_tokens', 'min_tokens must not be greater than max_completion_tokens')
        if self.continue_final_message and self.messages[-1].role != 'assistant':
            raise ParamError('continue_final_message', "continue_final_message needs an assistant's message at the end")
        self._check_tool_choice()
        return self

    def _check_tool_choice(self) -> None:
        choice = self.tool_choice
        if choice not in (None, 'none', 'auto') and not self.tools:
            raise ParamError('tool_choice', 'tool_choice needs tools')
        if isinstance(choice, NamedTool) and choice.function.name not in {
                tool.function.name for tool in self.tools or ()}:
            raise ParamError('tool_choice', f'tool_choice names {choice.function.name[:64]!r}, which is not in tools')

    @property
    def may_call(self) -> bool:
        """Whether the answer may hold calls of tools."""
        return bool(self.tools) and self.tool_choice != 'none'

    def answer_tokens(self) -> int | None:
        """Returns the most tokens that are to be generated; None if only the context is to end an answer."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
