"""The addresses of old clients, added on demand (`--compat`): OpenAI's without `/v1`, and those of llm-api.

llm-api (github.com/1b5d/llm-api) serves one model, with `POST /generate` and `/agenerate` of {"prompt", "params"}, and
`POST /embeddings` of {"text"}. Each request is put in the API's terms and answered like any other, and the answer in
llm-api's: a JSON string, events that are the bare text, or the array of a vector's numbers. Knows both dialects;
nothing of keys, limits and backends.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import flask

from sandle import addressing, errors, sse, wire
from sandle import app as http
from sandle.protocol import ModelObject

COMPLETIONS = '/v1/completions'
EMBEDDINGS = '/v1/embeddings'
WITHOUT_V1 = {'/completions': COMPLETIONS, '/chat/completions': '/v1/chat/completions'}
EMBEDS = 'embeddings'
"""The capability of models that make vectors, and write nothing."""

# What params may hold by the names that llama.cpp and transformers gave it; of several for one field the last counts.
RENAMED = {'max_length': 'max_tokens', 'n_predict': 'max_tokens', 'max_new_tokens': 'max_tokens',
           'temp': 'temperature', 'repeat_penalty': 'repetition_penalty'}
KEPT = ('max_tokens', 'temperature', 'top_p', 'top_k', 'min_p', 'typical_p', 'repetition_penalty', 'presence_penalty',
        'frequency_penalty', 'seed', 'stop', 'suffix', 'echo')
DEFAULTS: Mapping[str, object] = {'max_tokens': 300, 'temperature': 0.1}  # as llm-api's LLaMA had them

Answer = Callable[[str, Mapping[str, object], str | None], flask.Response]
"""Answers a request: a path of the API, a body, and the model that is meant if the body names none."""


class GenerateRequest(wire.WireModel):
    """llm-api's request, with the model that it had no name for."""

    prompt: str
    params: dict[str, object] = {}
    model: str | None = None

    def completion(self, is_streamed: bool) -> dict[str, object]:
        """Returns it in the API's terms. What `params` holds beyond them is ignored."""
        params = {name: value for name, value in self.params.items() if value is not None}
        fields = dict(DEFAULTS)
        if 'do_sample' in params:
            fields['temperature'] = 1 if params['do_sample'] else 0
        fields |= {new: params[old] for old, new in RENAMED.items() if old in params}
        fields |= {name: params[name] for name in KEPT if name in params}
        return {**fields, 'prompt': self.prompt, 'stream': is_streamed}


class EmbedRequest(wire.WireModel):
    """llm-api's request, with the model that it had no name for."""

    text: str
    model: str | None = None


def add_compat(app: flask.Flask, models: Callable[[], Sequence[ModelObject]], answer: Answer) -> None:
    """Adds the addresses, and the same below `/m/{model}`. `models` returns those that the key at hand opens."""

    def pass_on(path: str, model: str | None = None) -> flask.Response:
        return answer(path, http.read_json(), model)

    def generate(model: str | None = None, is_streamed: bool = False) -> flask.Response:
        request = wire.parse(GenerateRequest, addressing.with_model(http.read_json(), model))
        response = answer(COMPLETIONS, request.completion(is_streamed), request.model or default_model(embeds=False))
        if response.mimetype == sse.CONTENT_TYPE:
            response.response = _texts(response.iter_encoded(), response.response)
        elif response.status_code < 400:
            response.set_data(json.dumps(_text(response.get_data())))
        return response

    def embed(model: str | None = None) -> flask.Response:
        body = http.read_json()
        if 'text' not in body:
            return answer(EMBEDDINGS, body, model)
        request = wire.parse(EmbedRequest, addressing.with_model(body, model))
        response = answer(EMBEDDINGS, {'input': request.text}, request.model or default_model(embeds=True))
        if response.status_code < 400:
            response.set_data(json.dumps(_vector(response.get_data())))
        return response

    def default_model(embeds: bool) -> str:
        return addressing.default_model([model for model in models() if (EMBEDS in model.capabilities) == embeds])

    for path, full_path in WITHOUT_V1.items():
        addressing.add_rules(app, path, partial(pass_on, full_path), 'POST')
    addressing.add_rules(app, '/embeddings', embed, 'POST')
    addressing.add_rules(app, '/generate', generate, 'POST')
    addressing.add_rules(app, '/agenerate', partial(generate, is_streamed=True), 'POST')


def _text(completion: bytes) -> str:
    """Returns the text of a completion's choices. Raises BadGatewayError."""
    try:
        return ''.join(choice['text'] for choice in json.loads(completion)['choices'])
    except (ValueError, LookupError, TypeError):
        raise errors.BadGatewayError('The backend of this model gave an answer that is no completion.') from None


def _vector(embeddings: bytes) -> object:
    """Returns the first of some embeddings. Raises BadGatewayError."""
    try:
        return json.loads(embeddings)['data'][0]['embedding']
    except (ValueError, LookupError, TypeError):
        raise errors.BadGatewayError('The backend of this model gave an answer that is no embedding.') from None


def _texts(events: Iterable[bytes], source: object) -> Iterator[bytes]:
    """Yields the API's events as llm-api's: comments as they are, and errors by the name of `error`.

    Closes `source`, from which the events come, when it is left.
    """
    try:
        for whole_events in events:
            yield from filter(None, map(_translated, whole_events.splitlines()))
    except errors.ApiError as error:
        yield b'event: error\n' + sse.event(error.body())
    finally:
        if (close := getattr(source, 'close', None)) is not None:
            close()


def _translated(line: bytes) -> bytes:
    """Returns what becomes of a line of the API's events, b'' for nothing. Raises BadGatewayError."""
    if line.startswith(b':'):
        return line + b'\n\n'
    data = line.removeprefix(b'data:').strip()
    if not line.startswith(b'data:') or data == b'[DONE]':
        return b''
    if data.startswith(b'{"error"'):
        return b'event: error\n' + line + b'\n\n'
    text = _text(data)
    return ''.join(f'data: {part}\n' for part in re.split('\r\n|\r|\n', text)).encode() + b'\n' if text else b''
