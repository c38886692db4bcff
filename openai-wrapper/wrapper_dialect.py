"""What a server that is not of this repository takes of the API, as it tells by itself, and a request put in its terms.

Our own servers list their models' capabilities and refuse what they do not have. Others list none and leave out what
they do not know without a word; many of them describe themselves, though, by OpenAPI at /openapi.json. Knows requests
and such descriptions; nothing of HTTP.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sandle import errors, wire
from sandle.chat_protocol import ChatRequest
from sandle.generation_protocol import GenerationFields
from wrapper_listing import OPENAI_CAPABILITIES

DESCRIPTION_PATH = '/openapi.json'
# Fields that mean the same on every server that has them. Not `suffix`, which is mostly there to be refused, and not
# `return_token_ids`, with which vLLM leaves out the prompt's text where `echo` asks for it. Both are passed on.
ALIKE = frozenset({*OPENAI_CAPABILITIES, 'ignore_eos', 'min_p', 'min_tokens', 'repetition_penalty', 'top_k',
                   'typical_p'})
# Without these the answer is the same, or is made the same by another field.
EXPENDABLE = frozenset({'greedy_decoding', 'stream_batch_size', 'user'})


@dataclass(frozen=True, slots=True)
class Dialect:
    """`fields`: what a completion request may hold; `chat_fields`: what a chat's may, if there is a chat.

    `has_tokenizer`: whether its tokenizer can be asked.
    """

    fields: frozenset[str]
    has_tokenizer: bool
    chat_fields: frozenset[str] = frozenset()

    def capabilities(self) -> list[str]:
        """Returns the capabilities of its models, as our own servers list them."""
        return sorted(self.fields & ALIKE | ({'tokenize'} if self.has_tokenizer else set())
                      | ({'chat'} if self.chat_fields else set()))


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has been checked. `fields` are those to pass on, the `forced` ones whatever a server says."""

    fields: Mapping[str, object]
    parsed: wire.WireModel
    forced: Collection[str] = ()

    @property
    def tells_usage(self) -> bool:
        """Whether the client is to get the usage, as every unstreamed answer has it and a stream on demand."""
        request = self.parsed
        return not isinstance(request, GenerationFields) or not request.stream or request.wants_usage_event

    def body(self, dialect: Dialect | None) -> bytes:
        """Returns the request's JSON in a server's terms; no dialect means ours. Raises UnsupportedParameterError.

        A stream is to tell its usage: whoever counts tokens needs it even where the client does not want it.
        """
        if dialect is None or not isinstance(self.parsed, GenerationFields):
            return _encode(self.fields)
        request, fields = self.parsed, dict(self.fields)
        known = dialect.chat_fields if isinstance(request, ChatRequest) else dialect.fields
        if not known:
            return _encode(self.fields)
        if request.greedy_decoding:
            fields['temperature'] = 0
        if request.top_p == 0:  # which turns it off here, and is refused elsewhere
            fields.pop('top_p', None)
        if 'stop' in fields:  # where an empty text means none; elsewhere it is refused
            fields['stop'] = request.stops()
        strange = fields.keys() - known - set(self.forced)
        unsupported = sorted(strange & request.fields_in_use() - EXPENDABLE)
        if unsupported:
            raise errors.UnsupportedParameterError(f'The model {request.model!r} does not support {unsupported[0]}.',
                                                   param=unsupported[0])
        if not self.tells_usage and 'stream_options' in known:
            fields['stream_options'] = {'include_usage': True}
        return _encode({name: value for name, value in fields.items() if name not in strange})


def read_dialect(description: Mapping[str, object]) -> Dialect | None:
    """Returns what a description says of completions, None if it says nothing."""
    paths = description.get('paths')
    if not isinstance(paths, dict):
        return None
    fields = _fields(description, '/v1/completions')
    if not fields:
        return None
    return Dialect(fields, paths.keys() >= {'/tokenize', '/detokenize'}, _fields(description, '/v1/chat/completions'))


def _fields(description: Mapping[str, object], path: str) -> frozenset[str]:
    """Returns what a request to a path may hold; nothing where nothing is said of it."""
    schema = _at(description, 'paths', path, 'post', 'requestBody', 'content', 'application/json', 'schema')
    reference = _at(schema, '$ref')
    if isinstance(reference, str) and reference.startswith('#/'):
        schema = _at(description, *reference[2:].split('/'))
    fields = _at(schema, 'properties')
    return frozenset(fields) if isinstance(fields, dict) else frozenset()


def _at(value: object, *keys: str) -> object:
    """Returns what lies within objects within each other; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _encode(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(',', ':')).encode()
