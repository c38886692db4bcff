"""docs/swagger.yaml is true: its schemas are the protocol's, its paths the applications', and both ways."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from sandle import app as http
from sandle import (chat_answer_protocol, chat_protocol, embedding_protocol, endpoints, errors, generation_protocol,
                    protocol, wire)
from sandle.sampling_request import CompletionLimits
from tests.scripted_engine import ScriptedEngine

Schema = dict[str, Any]
SWAGGER: Schema = yaml.safe_load((Path(__file__).parents[1] / 'docs/swagger.yaml').read_text('utf-8'))
SCHEMAS: Schema = SWAGGER['components']['schemas']
MODELS: dict[str, type[BaseModel]] = {
    kind.__name__: kind
    for module in (protocol, generation_protocol, chat_protocol, chat_answer_protocol, embedding_protocol)
    for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, BaseModel)
    and kind not in (BaseModel, wire.WireModel, generation_protocol.GenerationFields, protocol.WithTokenIds)}
NOT_ALWAYS_SENT = {'Completion': {'usage'}, 'CompletionChoice': {'prompt_token_ids', 'token_ids'},
                   'Logprobs': {'top_token_ids'}, 'ModelObject': {'progress'}, 'ChatChunk': {'usage'},
                   'ChatDelta': {'role', 'content', 'tool_calls'}, 'ChatChoice': {'prompt_token_ids', 'token_ids'},
                   'AnsweredMessage': {'tool_calls'}, 'ChatChunkChoice': {'prompt_token_ids', 'token_ids'},
                   'AnsweredFunction': {'name'}, 'AnsweredToolCall': {'index', 'id', 'type'}}
WORDS = {'title', 'description', 'example', 'format'}  # what says something to readers alone
# nginx does not pass these on, so clients do not have their addresses
FOR_OPERATORS = {('/metrics', 'get'), ('/internal/usage/{name}', 'get')}
OF_THE_WRAPPER_ALONE = {('/v1/usage', 'get')}  # a backend knows no keys
METHODS = {'get', 'post', 'put', 'delete', 'patch', 'head', 'options'}


def is_request(name: str) -> bool:
    return issubclass(MODELS[name], wire.WireModel)


def from_swagger(schema: Schema) -> Schema:
    """Returns an OpenAPI 3.0 schema in the common form: bounds as numbers, `nullable`, references by name."""
    schema = {key: value for key, value in schema.items() if key not in WORDS}
    if 'allOf' in schema:  # a reference cannot have siblings, so `nullable` beside one needs this
        (inner,) = schema.pop('allOf')
        schema |= inner
    if schema.pop('exclusiveMinimum', False):
        schema['exclusiveMinimum'] = schema.pop('minimum')
    if 'enum' in schema:
        schema['enum'] = [value for value in schema['enum'] if value is not None]
    return _common(schema, from_swagger)


def from_pydantic(schema: Schema) -> Schema:
    """Returns a schema of pydantic's in the common form."""
    schema = {key: value for key, value in schema.items() if key not in WORDS and key != '$defs'}
    if 'anyOf' in schema and {'type': 'null'} in schema['anyOf']:
        others = [each for each in schema.pop('anyOf') if each != {'type': 'null'}]
        schema |= {'nullable': True} | (others[0] if len(others) == 1 else {'anyOf': others})
    if schema.get('type') == 'null':
        schema = {key: value for key, value in schema.items() if key != 'type'} | {'nullable': True}
    if 'const' in schema:
        schema['enum'] = [schema.pop('const')]
    if 'patternProperties' in schema:
        ((schema['x-key-pattern'], schema['additionalProperties']),) = schema.pop('patternProperties').items()
    return _common(schema, from_pydantic)


def _common(schema: Schema, convert: Any) -> Schema:
    result = dict(schema)
    if '$ref' in result:
        result['$ref'] = result['$ref'].rpartition('/')[2]
    for key in ('items', 'additionalProperties'):
        if isinstance(result.get(key), dict):
            result[key] = convert(result[key])
    if 'properties' in result:
        result['properties'] = {name: convert(each) for name, each in result['properties'].items()}
    if 'anyOf' in result:
        result['anyOf'] = [convert(each) for each in result['anyOf']]
    result['required'] = sorted(result.get('required', []))
    return result


def expected(name: str) -> Schema:
    """Returns the schema of one of the protocol's types, with what its JSON schema cannot say."""
    schema = from_pydantic(MODELS[name].model_json_schema())
    if is_request(name):  # null means the default
        for field, each in schema['properties'].items():
            if field not in schema['required']:
                each['nullable'] = True
    else:  # every field is sent, whether it has a default or not
        schema['required'] = sorted(schema['properties'].keys() - NOT_ALWAYS_SENT.get(name, set()))
        for each in schema['properties'].values():
            each.pop('default', None)
    return schema


def test_the_same_types_are_on_both_sides() -> None:
    assert set(SCHEMAS) == set(MODELS)


@pytest.mark.parametrize('name', sorted(MODELS))
def test_schema_is_the_protocols(name: str) -> None:
    assert from_swagger(SCHEMAS[name]) == expected(name)


@pytest.mark.parametrize(('field', 'change'), [
    ('model', {'maxLength': 255}), ('max_tokens', {'default': 17}), ('temperature', {'maximum': 3}),
    ('typical_p', {'exclusiveMinimum': False}), ('seed', {'nullable': False}), ('echo', {'type': 'string'}),
    ('stop', {'anyOf': []}), ('logit_bias', {'x-key-pattern': '.*'}),
    ('stream_options', {'allOf': [{'$ref': '#/components/schemas/Usage'}]})])
def test_the_comparison_sees_a_difference(field: str, change: Schema) -> None:
    request = SCHEMAS['CompletionRequest']
    changed = request | {'properties': request['properties'] | {field: request['properties'][field] | change}}
    assert from_swagger(changed) != expected('CompletionRequest')
    without = request | {'properties': {name: each for name, each in request['properties'].items() if name != field}}
    assert from_swagger(without) != expected('CompletionRequest')


def backend_app() -> Any:
    lifecycle = http.Lifecycle()
    app = http.create_app('backend', lifecycle)
    endpoints.add_routes(app, ScriptedEngine(), lifecycle, CompletionLimits())
    return app


def the_wrappers_app() -> Any:
    # By name, because mypy looks at a component's modules in that component's folder alone.
    wrapper, admission, exchange, forward, inquiries, keys, limits, metrics, pools, queues, registries, usage = (
        importlib.import_module(f'wrapper_{name}')
        for name in ('app', 'admission', 'exchange', 'forward', 'inquiries', 'keys', 'limits', 'metrics', 'pools',
                     'queue', 'registry', 'usage'))
    watcher, lifecycle, book = exchange.Watcher(), http.Lifecycle(), usage.UsageBook(None)
    registry, limiter = registries.Registry([], None), limits.Limiter(lambda name: 0)
    queue = queues.Queue(registry.takers, pools.Bounds(1, 1, 2, 1.0))
    return wrapper.create_app(
        lifecycle, keys.Keys(keys.store(['sk-test'])), registry,
        forward.Forwarder(watcher, inquiries.Inquiries(watcher, limiter, book), forward.Timeouts(1, 1)),
        admission.Admission(limiter, queue, book), book, metrics.Metrics(lifecycle, registry, queue, book),
        wrapper.Policy())


@pytest.mark.parametrize(('make_app', 'lacking'), [(backend_app, OF_THE_WRAPPER_ALONE), (the_wrappers_app, set())])
def test_paths_are_the_applications_routes(make_app: Any, lacking: set[tuple[str, str]]) -> None:
    routes = {(re.sub(r'<(?:\w+:)?(\w+)>', r'{\1}', rule.rule), method.lower())
              for rule in make_app().url_map.iter_rules() for method in rule.methods - {'HEAD', 'OPTIONS'}}
    documented = {(path, method) for path, item in SWAGGER['paths'].items() for method in item if method in METHODS}
    assert routes - FOR_OPERATORS == documented - lacking


def operations() -> Iterator[tuple[str, Schema]]:
    for path, item in SWAGGER['paths'].items():
        for method, operation in item.items():
            yield f'{method} {path}', operation


@pytest.mark.parametrize(('name', 'operation'), list(operations()))
def test_responses_are_those_of_the_errors(name: str, operation: Schema) -> None:
    is_public = operation.get('security') == []
    statuses = {int(status) for status in operation['responses']}
    assert {200, 400, 405, 408, 413, 431} <= statuses
    assert is_public == name.endswith(('/health', '/ready')) == (401 not in statuses)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)]
    assert statuses - {200} <= {kind.status for kind in kinds}
    if name in ('post /v1/completions', 'post /v1/chat/completions'):
        assert statuses == {200} | {kind.status for kind in kinds} - {errors.ClientGoneError.status}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (node['$ref'],) if '$ref' in node else ()
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(SWAGGER))
    there = {f'#/components/{kind}/{name}' for kind in ('schemas', 'responses', 'headers', 'parameters')
             for name in SWAGGER['components'][kind]}
    assert used == there


def test_examples_are_valid_requests() -> None:
    kinds: dict[str, type[wire.WireModel]] = {
        '/v1/completions': protocol.CompletionRequest, '/v1/chat/completions': chat_protocol.ChatRequest,
        '/v1/chat/completions/render': chat_protocol.ChatRequest,
        '/v1/embeddings': embedding_protocol.EmbeddingsRequest,
        '/tokenize': protocol.TokenizeRequest, '/detokenize': protocol.DetokenizeRequest}
    for path, kind in kinds.items():
        for prefix in ('', '/m/{model}'):
            body = SWAGGER['paths'][f'{prefix}{path}']['post']['requestBody']['content']['application/json']
            wire.parse(kind, {'model': 'm', **body['example']})


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert SWAGGER['openapi'].startswith('3.0.') and SWAGGER['servers'] == [{'url': '/'}]
    assert set(SWAGGER['components']['securitySchemes']) == {'bearer', 'basic'}
