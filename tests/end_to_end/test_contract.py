"""The contract of /v1/completions, row by row, on every backend."""

import itertools
import json
from typing import Any

import pytest

from sandle.protocol import CompletionRequest
from tests.end_to_end.backends import ODD, PROMPT, QUESTION, Api
from tests.end_to_end.rig import events_of

OPTIONAL = CompletionRequest.model_fields.keys() - {'model'}


# ---- prompts and order

def test_shape_of_an_answer(api: Api) -> None:
    body = api.complete()
    assert list(body) == ['id', 'object', 'created', 'model', 'system_fingerprint', 'choices', 'usage']
    assert body['id'].startswith('cmpl-') and (body['object'], body['model']) == ('text_completion', api.model)
    [choice] = body['choices']
    assert list(choice) == ['text', 'index', 'logprobs', 'finish_reason']
    assert (choice['index'], choice['logprobs']) == (0, None) and choice['text']
    assert body['usage']['total_tokens'] == body['usage']['prompt_tokens'] + body['usage']['completion_tokens']


@pytest.mark.parametrize('as_ids', [False, True])
@pytest.mark.parametrize('n', [1, 3])
def test_batches_are_in_the_order_of_the_prompts(api: Api, as_ids: bool, n: int) -> None:
    texts = [PROMPT, QUESTION, ODD]
    prompts = [api.encode(text) for text in texts]
    body = api.complete(prompts if as_ids else texts, n=n, return_token_ids=True)
    assert [choice['index'] for choice in body['choices']] == list(range(3 * n))
    assert [choice['prompt_token_ids'] for choice in body['choices']] == [ids for ids in prompts for _ in range(n)]
    alone = [api.choice(ids)['text'] for ids in prompts]
    assert [choice['text'] for choice in body['choices']] == [text for text in alone for _ in range(n)]
    assert body['usage'] == {
        'prompt_tokens': sum(map(len, prompts)),
        'completion_tokens': sum(len(choice['token_ids']) for choice in body['choices']),
        'total_tokens': sum(map(len, prompts)) + sum(len(choice['token_ids']) for choice in body['choices'])}


def test_token_ids_are_used_as_they_are(api: Api) -> None:
    ids = api.encode('The sea', add_special_tokens=False)
    for prompt in (ids, [ids]):
        assert api.choice(prompt, return_token_ids=True)['prompt_token_ids'] == ids
    assert api.choice('The sea', add_special_tokens=False, return_token_ids=True)['prompt_token_ids'] == ids


def test_empty_prompt_is_the_token_that_texts_begin_with(api: Api) -> None:
    beginning = api.encode(api.info['bos_token'] or api.info['eos_token'], add_special_tokens=False)
    for fields in ({'prompt': ''}, {'prompt': None}, {'prompt': beginning}):
        assert api.choice(**fields, return_token_ids=True)['prompt_token_ids'] == beginning
    assert len(beginning) == 1


def test_every_optional_field_may_be_null(api: Api) -> None:
    assert api.raw(**dict.fromkeys(OPTIONAL)).status_code == 200
    assert api.choice(unknown=1, another={'nested': []})['text'] == api.choice()['text']


# ---- logprobs and echo

def check_logprobs(choice: Any, count: int) -> None:
    """Checks what holds for all logprobs."""
    logprobs = choice['logprobs']
    assert list(logprobs) == ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']
    assert len({len(values) for values in logprobs.values()}) == 1
    for token, logprob, top in zip(logprobs['tokens'], logprobs['token_logprobs'], logprobs['top_logprobs']):
        if logprob is None:
            assert top is None
            continue
        assert -9999 <= logprob <= 0 and 1 <= len(top) <= count + 1
        assert top[token] >= logprob  # more only where another id is written alike
        assert top[token] == logprob or count > 0
    text, offsets = choice['text'], logprobs['text_offset']
    assert offsets == sorted(offsets) and offsets[:1] in ([0], [])
    for token, offset, end in zip(logprobs['tokens'], offsets, [*offsets[1:], len(text)]):
        if end > offset and end <= len(text) and not token.startswith('bytes:'):
            assert text[offset:end] == token or text[offset:end] == token.removeprefix(' ')


@pytest.mark.parametrize('prompt', [PROMPT, ODD, '', QUESTION])
@pytest.mark.parametrize(('count', 'max_tokens'), [(0, 0), (1, 1), (5, 6), (20, 1)])
def test_echo_scores_the_prompt(api: Api, prompt: str, count: int, max_tokens: int) -> None:
    body = api.complete(prompt, echo=True, logprobs=count, max_tokens=max_tokens)
    [choice] = body['choices']
    check_logprobs(choice, count)
    logprobs = choice['logprobs']
    assert choice['text'].startswith(prompt)
    assert len(logprobs['tokens']) == body['usage']['prompt_tokens'] + body['usage']['completion_tokens']
    assert [value is None for value in logprobs['token_logprobs']] == [True] + [False] * (len(logprobs['tokens']) - 1)
    if max_tokens == 0:
        assert (choice['text'], choice['finish_reason']) == (prompt, 'length')
        assert body['usage']['completion_tokens'] == 0
    if max_tokens == 1:
        assert len(logprobs['tokens']) == body['usage']['prompt_tokens'] + 1


def test_what_is_scored_does_not_depend_on_how_it_is_asked(api: Api) -> None:
    ids = api.encode(QUESTION)
    whole = api.choice(ids, echo=True, logprobs=2, max_tokens=4)
    apart = api.choice(ids, logprobs=2, max_tokens=4)
    assert whole['text'] == api.choice(ids, echo=True, max_tokens=0)['text'] + apart['text']
    assert whole['logprobs']['tokens'][len(ids):] == apart['logprobs']['tokens']
    generated = pytest.approx(apart['logprobs']['token_logprobs'], abs=1e-4)
    assert whole['logprobs']['token_logprobs'][len(ids):] == generated
    # lm-evaluation-harness: an answer scored as part of a prompt has the logprobs that generating it had.
    longer = api.choice(ids, max_tokens=4, return_token_ids=True)
    scored = api.choice([*ids, *longer['token_ids']], echo=True, logprobs=2, max_tokens=1)['logprobs']
    if api.kind == 'hf':  # the stub finds a prompt's tokens less likely than those that it generates
        assert scored['token_logprobs'][len(ids):-1] == generated


def test_end_of_text_is_among_the_logprobs_and_not_in_the_text(api: Api) -> None:
    body = api.complete(QUESTION, logprobs=1, max_tokens=20, return_token_ids=True)
    [choice] = body['choices']
    assert choice['finish_reason'] == 'stop'
    assert choice['logprobs']['tokens'][-1] == api.info['eos_token'] and api.info['eos_token'] not in choice['text']
    assert body['usage']['completion_tokens'] == len(choice['token_ids']) == len(choice['logprobs']['tokens'])
    exactly = api.complete(QUESTION, echo=True, logprobs=1, max_tokens=1, logit_bias={
        str(api.encode(api.info['eos_token'], False)[0]): 100})  # which the stub does not mind
    assert len(exactly['choices'][0]['logprobs']['tokens']) == exactly['usage']['prompt_tokens'] + 1


def test_stop_text_is_cut_off_and_its_tokens_are_logged(api: Api) -> None:
    text = api.choice(QUESTION, max_tokens=20)['text']
    stop = text[2:4]
    body = api.complete(QUESTION, max_tokens=20, stop=['', stop, 'never this'], logprobs=0)
    [choice] = body['choices']
    assert (choice['text'], choice['finish_reason']) == (text[:2], 'stop')
    assert stop in ''.join(choice['logprobs']['tokens'])
    assert body['usage']['completion_tokens'] == len(choice['logprobs']['tokens'])
    for nothing in ([], '', ['']):
        assert api.choice(QUESTION, max_tokens=20, stop=nothing)['text'] == text


def test_tokens_that_are_no_text_are_written_in_bytes(api: Api) -> None:
    choice = api.choice('🙂', echo=True, logprobs=0, max_tokens=0)
    if api.kind == 'stub':
        assert choice['logprobs']['tokens'] == [r'bytes:\xf0', r'bytes:\x9f', r'bytes:\x99', r'bytes:\x82']
    parts = [bytes.fromhex(token.removeprefix('bytes:').replace('\\x', '')) if token.startswith('bytes:')
             else token.encode() for token in choice['logprobs']['tokens'] if token != api.info['bos_token']]
    assert b''.join(parts).decode() == choice['text'] == '🙂'


# ---- streams

@pytest.mark.parametrize('fields', [
    {}, {'logprobs': 2}, {'echo': True}, {'echo': True, 'logprobs': 0}, {'n': 3, 'seed': 5, 'temperature': 1.5},
    {'echo': True, 'logprobs': 1, 'max_tokens': 0}, {'stop': ['e', ' w'], 'logprobs': 0}, {'stream_batch_size': 3},
    {'return_token_ids': True, 'echo': True}, {'prompt': [QUESTION, ODD], 'n': 2, 'echo': True, 'logprobs': 1}],
    ids=lambda fields: '-'.join(fields))
def test_stream_adds_up_to_the_whole(api: Api, fields: dict[str, object]) -> None:
    request = {'prompt': ODD, 'temperature': 0, 'max_tokens': 8, **fields}
    whole = api.raw(**request).json()
    response = api.raw(**request, stream=True, stream_options={'include_usage': True})
    assert response.headers['Content-Type'].startswith('text/event-stream')
    assert (response.headers['Cache-Control'], response.headers['X-Accel-Buffering']) == ('no-cache', 'no')
    assert response.content.endswith(b'data: [DONE]\n\n')
    events: list[Any] = list(events_of(response.content))
    *chunks, last = events
    assert (last['choices'], last['usage']) == ([], whole['usage'])
    assert all(chunk['usage'] is None and chunk['object'] == 'text_completion' for chunk in chunks)
    pieces = [choice for chunk in chunks for choice in chunk['choices']]
    assert len(pieces) == len(chunks)
    for choice in whole['choices']:
        own = [piece for piece in pieces if piece['index'] == choice['index']]
        assert ''.join(piece['text'] for piece in own) == choice['text']
        assert [piece['finish_reason'] for piece in own] == [None] * (len(own) - 1) + [choice['finish_reason']]
        for name in choice['logprobs'] or ():
            joined = list(itertools.chain(*(piece['logprobs'][name] for piece in own)))
            if name == 'top_logprobs':  # which of two almost alike is left out may depend on the batch
                assert [None if each is None else len(each) for each in joined] == [
                    None if each is None else len(each) for each in choice['logprobs'][name]]
            else:
                assert joined == (choice['logprobs'][name] if name in ('tokens', 'text_offset')
                                  else pytest.approx(choice['logprobs'][name], abs=1e-4))
        if 'token_ids' in choice:
            assert list(itertools.chain(*(piece['token_ids'] for piece in own))) == choice['token_ids']


def test_stream_without_usage_says_nothing_of_it(api: Api) -> None:
    response = api.raw(prompt=PROMPT, stream=True, max_tokens=2)
    assert all('usage' not in event for event in events_of(response.content))


# ---- choosing tokens

def test_best_of_counts_every_candidate_and_returns_n(api: Api) -> None:
    body = api.complete(n=2, best_of=4, temperature=1.5, seed=3, logprobs=0, ignore_eos=True)
    means = [sum(choice['logprobs']['token_logprobs']) / 6 for choice in body['choices']]
    assert [choice['index'] for choice in body['choices']] == [0, 1] and means == sorted(means, reverse=True)
    assert body['usage']['completion_tokens'] == 4 * 6
    everyone = api.complete(n=4, temperature=1.5, seed=3, logprobs=0, ignore_eos=True)['choices']
    best = sorted((sum(choice['logprobs']['token_logprobs']) / 6 for choice in everyone), reverse=True)
    assert means == pytest.approx(best[:2], abs=1e-3)
    assert api.choice(best_of=2)['logprobs'] is None  # ranked by them, but they were not asked for


def test_greedy_in_all_its_spellings(api: Api) -> None:
    greedy = api.choice(max_tokens=12)['text']
    for fields in ({'greedy_decoding': True, 'temperature': 1.7}, {'top_k': 1, 'temperature': 1.7},
                   {'top_p': 1e-9, 'temperature': 1.7}, {'min_p': 1, 'temperature': 1.7}, {'top_p': 0}):
        assert api.choice(max_tokens=12, **fields)['text'] == greedy, fields


def test_seed_gives_the_same_text_again_whatever_else_runs(api: Api) -> None:
    request: dict[str, Any] = {'temperature': 1.5, 'seed': -2 ** 63, 'max_tokens': 12}
    first = api.choice(**request)['text']
    assert api.choice(**request)['text'] == first
    assert api.complete([PROMPT, QUESTION], n=2, **request)['choices'][0]['text'] == first
    if api.kind == 'hf':
        assert len({api.choice(**{**request, 'seed': seed})['text'] for seed in range(4)}) > 1


def test_lengths(api: Api) -> None:
    assert api.complete(QUESTION, max_tokens=9, ignore_eos=True)['usage']['completion_tokens'] == 9
    body = api.complete(QUESTION, max_tokens=9, min_tokens=9)
    assert body['usage']['completion_tokens'] == 9
    assert api.complete(max_tokens=1)['choices'][0]['finish_reason'] == 'length'


def test_fields_that_change_what_is_likely(api: Api) -> None:
    first = api.choice(logprobs=2, max_tokens=1, return_token_ids=True)
    banned = str(first['token_ids'][0])
    fields: list[dict[str, object]] = [
        {'logit_bias': {banned: -100}}, {'presence_penalty': 2, 'frequency_penalty': -2}, {'repetition_penalty': 10},
        {'typical_p': 0.2}, {'logit_bias': {}}]
    second = [api.choice(max_tokens=1, logprobs=2, **each) for each in fields]
    if api.kind == 'hf':
        assert second[0]['text'] != first['text']
        # The model's own distribution, as if there were no bias.
        assert second[0]['logprobs']['top_logprobs'][0].items() >= first['logprobs']['top_logprobs'][0].items()
    assert second[-1]['text'] == first['text']


# ---- refusals

@pytest.mark.parametrize(('fields', 'param'), [
    ({'prompt': []}, 'prompt'), ({'prompt': [[]]}, 'prompt'), ({'prompt': [1, 'a']}, 'prompt'),
    ({'prompt': ['a', [1]]}, 'prompt'), ({'prompt': [-1]}, 'prompt'), ({'prompt': [10 ** 7]}, 'prompt'),
    ({'prompt': [[0], [10 ** 7]]}, 'prompt'), ({'max_tokens': 0}, 'max_tokens'), ({'max_tokens': -1}, 'max_tokens'),
    ({'max_tokens': 5.0}, 'max_tokens'), ({'max_tokens': '5'}, 'max_tokens'), ({'max_tokens': True}, 'max_tokens'),
    ({'temperature': 2.1}, 'temperature'), ({'temperature': '1'}, 'temperature'), ({'top_p': 1.1}, 'top_p'),
    ({'n': 0}, 'n'), ({'n': 129}, 'n'), ({'n': 128, 'prompt': ['a', 'b']}, 'n'), ({'n': 3, 'best_of': 2}, 'best_of'),
    ({'best_of': 2, 'stream': True}, 'best_of'), ({'best_of': 128, 'prompt': ['a', 'b']}, 'best_of'),
    ({'stream': 'true'}, 'stream'), ({'stream_options': {'include_usage': True}}, 'stream_options'),
    ({'stream_options': 5, 'stream': True}, 'stream_options'), ({'logprobs': 21}, 'logprobs'),
    ({'logprobs': -1}, 'logprobs'), ({'logprobs': True}, 'logprobs'), ({'echo': 1}, 'echo'),
    ({'stop': ['a'] * 65}, 'stop'), ({'stop': 'a' * 257}, 'stop'), ({'stop': ['a' * 257]}, 'stop'),
    ({'stop': 5}, 'stop'), ({'stop': [5]}, 'stop'), ({'presence_penalty': 2.1}, 'presence_penalty'),
    ({'frequency_penalty': -2.1}, 'frequency_penalty'), ({'logit_bias': {'a': 1}}, 'logit_bias'),
    ({'logit_bias': {'1': 101}}, 'logit_bias'), ({'logit_bias': {'1': '1'}}, 'logit_bias'),
    ({'logit_bias': {'10000000': 1}}, 'logit_bias'), ({'logit_bias': []}, 'logit_bias'), ({'seed': 2 ** 63}, 'seed'),
    ({'seed': 1.5}, 'seed'), ({'suffix': 5}, 'suffix'), ({'suffix': 'x', 'echo': True}, 'suffix'),
    ({'user': 5}, 'user'), ({'greedy_decoding': 0}, 'greedy_decoding'),
    ({'stream_batch_size': -1}, 'stream_batch_size'), ({'top_k': -1}, 'top_k'), ({'min_p': 1.1}, 'min_p'),
    ({'typical_p': 0}, 'typical_p'), ({'repetition_penalty': 0}, 'repetition_penalty'),
    ({'repetition_penalty': 10.1}, 'repetition_penalty'), ({'min_tokens': 17}, 'min_tokens'),
    ({'ignore_eos': 'no'}, 'ignore_eos'), ({'add_special_tokens': 1}, 'add_special_tokens'),
    ({'return_token_ids': 1}, 'return_token_ids')])
def test_a_wrong_field_is_named(api: Api, fields: dict[str, object], param: str) -> None:
    error = api.refusal(**fields)
    assert (error['param'], error['type']) == (param, 'invalid_request_error')
    assert str(error['message']).startswith((param, 'This '))


@pytest.mark.parametrize('extra', [0, 1])
def test_context_overflow_is_worded_as_openai_words_it(api: Api, extra: int) -> None:
    length = api.client.get(f'/v1/models/{api.model}').json()['max_model_len']
    ids = api.encode('The sea', add_special_tokens=False)
    wanted = length - len(ids) + 1 + extra
    error = api.refusal(prompt=ids, max_tokens=wanted)
    assert error == {
        'message': f"This model's maximum context length is {length} tokens, however you requested "
                   f'{length + 1 + extra} tokens ({len(ids)} in your prompt; {wanted} for the completion). Please '
                   'reduce your prompt; or completion length.',
        'type': 'invalid_request_error', 'param': 'max_tokens', 'code': 'context_length_exceeded'}
    assert api.refusal(prompt=ids * length, max_tokens=1)['param'] == 'prompt'


def test_a_prompt_may_fill_the_context(api: Api) -> None:
    length = api.client.get(f'/v1/models/{api.model}').json()['max_model_len']
    [token] = api.encode(' the', add_special_tokens=False)
    body = api.complete([token] * (length - 1), max_tokens=1)
    assert body['usage'] == {'prompt_tokens': length - 1, 'completion_tokens': 1, 'total_tokens': length}


def test_depth_of_json_is_bounded(api: Api) -> None:
    for depth, status in ((60, 200), (70, 400), (100_000, 400)):
        body = json.dumps({'model': api.model, 'max_tokens': 1})[:-1] + f', "x": {"[" * depth}{"]" * depth}}}'
        response = api.client.post('/v1/completions', data=body, headers={'Content-Type': 'application/json'})
        assert response.status_code == status, depth


def test_suffix_needs_a_model_that_fills_in(api: Api) -> None:
    if 'suffix' in api.client.get(f'/v1/models/{api.model}').json()['capabilities']:
        assert api.choice(suffix=' The end.')['text']
    else:
        error = api.refusal(suffix=' The end.')
        assert (error['param'], error['code']) == ('suffix', 'unsupported_parameter')
    assert api.choice(suffix='')['text'] == api.choice()['text']


def test_what_the_model_supports_is_listed(api: Api) -> None:
    model = api.client.get(f'/v1/models/{api.model}').json()
    assert {'tokenize', 'logprobs', 'echo', 'n', 'best_of', 'seed', 'top_k', 'min_p', 'return_token_ids'} <= set(
        model['capabilities'])
    assert model['status'] == 'ready' and model['max_model_len'] > 0
