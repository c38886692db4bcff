"""POST /v1/chat/completions over an Engine: messages become a prompt by the model's own template, the rest is as for
completions. POST /v1/chat/completions/render returns that prompt.

Knows JSON and the contract's order of things; what a template does with messages is the tokenizer's.
"""

import json
import secrets
from collections.abc import Iterator

import flask

from sandle import addressing
from sandle import app as http
from sandle import errors, response_format, wire
from sandle.accounting import UsageMemory
from sandle.chat_answer_protocol import ChatChunk, ChatCompletion, RenderedChat
from sandle.chat_choices import ChatWriter
from sandle.chat_protocol import ChatMessage, ChatRequest
from sandle.engine.engine import Conversation, Delta, Engine, GenerationRequest, TextTokenizer
from sandle.generation import FINGERPRINT, Submitted, logged_refusal, respond, submit
from sandle.models import as_json, find_model
from sandle.protocol import Usage
from sandle.sampling_request import CompletionLimits, check_support, sampling_params, user_of
from sandle.tool_calls import CallReader
from sandle.tool_forms import ToolForm, form_of, grammar_of, template_id

OWN_FIELDS = frozenset({
    'messages', 'max_tokens', 'max_completion_tokens', 'top_logprobs', 'tool_choice', 'parallel_tool_calls',
    'add_generation_prompt', 'continue_final_message', 'chat_template_kwargs'})
KNOWN_ONCE_LOADED = frozenset({'tools'})  # the template tells


def add_routes(app: flask.Flask, engine: Engine, limits: CompletionLimits, memory: UsageMemory) -> None:
    """Adds both to an application, and the same below /m/{model}."""

    def read(model: str | None) -> ChatRequest:
        return wire.parse(ChatRequest, addressing.with_model(http.read_json(), model))

    def post_chat(model: str | None = None) -> flask.Response:
        with logged_refusal():
            submitted, wording = _start(engine, read(model), limits)
        return respond(submitted, wording, memory)

    def post_render(model: str | None = None) -> flask.Response:
        request = read(model)
        tokenizer = engine.tokenizer(request.model)
        prompt = prompt_of(request, tokenizer)
        tokens = list(tokenizer.encode(prompt, add_special_tokens=False))
        return as_json(RenderedChat(prompt=prompt, tokens=tokens, count=len(tokens),
                                    max_model_len=find_model(engine, request.model).context_length))

    addressing.add_rules(app, '/v1/chat/completions', post_chat, 'POST')
    addressing.add_rules(app, '/v1/chat/completions/render', post_render, 'POST')


def _start(engine: Engine, request: ChatRequest, limits: CompletionLimits) -> tuple[Submitted, 'ChatWording']:
    check_support(request, find_model(engine, request.model), OWN_FIELDS, KNOWN_ONCE_LOADED)
    limits.check_logprobs('top_logprobs', request.top_logprobs)
    limits.check_sequences('n', request.n)
    tokenizer = engine.tokenizer(request.model)
    prompt = prompt_of(request, tokenizer)
    form = _tool_form(request, tokenizer)
    most = request.answer_tokens()
    params = sampling_params(request, most or 0, (request.top_logprobs or 0) if request.logprobs else None)
    submitted = submit(engine, request, GenerationRequest(
        id=f'chatcmpl-{secrets.token_hex(12)}', model=request.model, prompts=(prompt,), params=params,
        candidates=request.n, add_special_tokens=False, user=user_of(request), fills_context=most is None,
        grammar=response_format.grammar_of(request.response_format) if form is None else grammar_of(request, form)))
    return submitted, ChatWording(request, submitted, form)


def _tool_form(request: ChatRequest, tokenizer: TextTokenizer) -> ToolForm | None:
    """Returns how calls are written, if some may be. Raises UnsupportedParameterError for a model without."""
    if not request.may_call:
        return None
    template = tokenizer.info.template_with_tools
    if template is None:
        raise errors.UnsupportedParameterError(
            f'The chat template of {request.model!r} tells its model of no tools, so it cannot be given any.',
            param='tools')
    return form_of(template)


def prompt_of(request: ChatRequest, tokenizer: TextTokenizer) -> str:
    """Returns the prompt that the messages of a request become. Raises InvalidRequestError."""
    info = tokenizer.info
    template = info.tool_template if request.may_call and info.tool_template else info.chat_template
    if template is None:
        raise errors.InvalidRequestError(
            f'The model {request.model!r} has no chat template, so it cannot be asked with messages. Write the prompt '
            'yourself, and send it to /v1/completions.', param='model')
    return tokenizer.render(Conversation(
        messages=[_message(message, template) for message in request.messages],
        tools=[tool.model_dump(exclude_unset=True) for tool in request.tools or ()] if request.may_call else None,
        opens_answer=request.add_generation_prompt, continues_last=request.continue_final_message,
        variables=request.chat_template_kwargs or {}))


def _message(message: ChatMessage, template: str) -> dict[str, object]:
    """Returns a message as a template expects it.

    A developer's is a system's for models that are older than the word; the arguments of calls are objects, and what is
    not there is no key, but for the content.
    """
    fields = message.model_dump(exclude_none=True)
    fields['content'] = message.text() or ''
    if message.role == 'developer' and 'developer' not in template:
        fields['role'] = 'system'
    for call in fields.get('tool_calls', ()):
        call['id'] = template_id(template, call['id'])
        call['function']['arguments'] = _arguments(call['function']['arguments'])
    if message.tool_call_id is not None:
        fields['tool_call_id'] = template_id(template, message.tool_call_id)
    return fields


def _arguments(text: str) -> object:
    """Returns the arguments of a call, which are JSON unless a model or a client has erred."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return arguments if isinstance(arguments, dict) else text


class ChatWording:
    """See sandle.generation.Wording."""

    operation = 'chat'

    def __init__(self, request: ChatRequest, submitted: Submitted, form: ToolForm | None) -> None:
        self._submitted = submitted
        [prompt_ids] = submitted.handle.prompt_ids
        self.writers = [ChatWriter(request, choice, prompt_ids, None if form is None else CallReader(form))
                        for choice in range(request.n)]

    def whole(self, usage: Usage) -> ChatCompletion:
        """See Wording.whole."""
        return ChatCompletion(
            id=self._submitted.id, created=self._submitted.created, model=self._submitted.fields.model,
            system_fingerprint=FINGERPRINT, choices=[writer.choice() for writer in self.writers], usage=usage)

    def events(self, delta: Delta) -> Iterator[ChatChunk]:
        """See Wording.events."""
        for choice in self.writers[delta.choice].chunks(delta):
            chunk = self._chunk()
            chunk.choices.append(choice)
            yield chunk

    def last_event(self, usage: Usage) -> ChatChunk:
        """See Wording.last_event."""
        chunk = self._chunk()
        chunk.usage = usage
        return chunk

    def _chunk(self) -> ChatChunk:
        return ChatChunk(id=self._submitted.id, created=self._submitted.created, model=self._submitted.fields.model,
                         system_fingerprint=FINGERPRINT, choices=[])
