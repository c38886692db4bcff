"""backend-ct2 as a real process where PyTorch cannot be imported, with real models that were converted for it."""

import contextlib
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.ct2_rig import SANDLE_TINY, SCRIPT, complete, serving, texts
from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of, events_of, fails_to_start, serve, wait_for
from tests.translators import PAIRS, generated

pytestmark = pytest.mark.e2e

PROMPTS = ('Once upon a time', 'The capital of France is', 'Q: What is the capital of Spain?\nA:', 'one two')
SOURCES = [source for source, _ in PAIRS]


@pytest.fixture(scope='module')
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    """All three models, of which T5 is in memory first."""
    with serving(models, tmp_path_factory.mktemp('without-torch'), '--model-id', 't5') as both:
        yield both


@pytest.fixture
def client(served: tuple[Server, Client]) -> Client:
    """A client of it."""
    return served[1]


def hf_model(folder: Path, kind: str = 'AutoModelForCausalLM') -> Any:
    """Returns transformers' own model in float32."""
    return getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


@pytest.mark.parametrize('name', ['t5', 'bart'])
def test_encoder_decoder_writes_what_transformers_writes(client: Client, originals: Path, name: str) -> None:
    expected = [generated(originals / name, source, 24) for source in SOURCES]
    assert expected == [target for _, target in PAIRS], 'the model has learned to answer'
    alone = [complete(client, name, source) for source in SOURCES]
    assert [texts(answer) for answer in alone] == [[text] for text in expected]
    assert {answer['choices'][0]['finish_reason'] for answer in alone} == {'stop'}
    assert texts(complete(client, name, SOURCES)) == expected, 'and so in one batch'


def test_decoder_writes_what_transformers_writes(client: Client) -> None:
    model = hf_model(SANDLE_TINY)
    tokenizer = transformers.AutoTokenizer.from_pretrained(SANDLE_TINY, local_files_only=True)
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer(prompt).input_ids])
        answer = model.generate(ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1]:].tolist()
        expected.append(answer)
    answers = complete(client, 'sandle-tiny', list(PROMPTS), return_token_ids=True)
    assert [choice['token_ids'] for choice in answers['choices']] == expected
    assert [choice['prompt_token_ids'] for choice in answers['choices']] == [
        tokenizer(prompt).input_ids for prompt in PROMPTS]


def test_logprobs_are_the_models_own_alone_and_in_a_batch(client: Client, originals: Path) -> None:
    model = hf_model(originals / 't5', 'AutoModelForSeq2SeqLM')
    batch = complete(client, 't5', SOURCES, logprobs=3, return_token_ids=True)['choices']
    for source, choice in zip(SOURCES, batch):
        assert complete(client, 't5', source, logprobs=3)['choices'][0]['logprobs']['tokens'] == (
            choice['logprobs']['tokens'])
        ids = torch.tensor([choice['prompt_token_ids']])
        written = torch.tensor([[0, *choice['token_ids'][:-1]]])  # T5 begins with its padding
        with torch.inference_mode():
            expected = model(input_ids=ids, decoder_input_ids=written).logits[0].log_softmax(-1)
        for row, token, logprob, top in zip(expected, choice['token_ids'], choice['logprobs']['token_logprobs'],
                                            choice['logprobs']['top_logprobs']):
            assert logprob == pytest.approx(row[token].item(), abs=2e-4)
            assert logprob == top[max(top, key=top.__getitem__)] and len(top) == 3
            assert sorted(top.values(), reverse=True) == pytest.approx(row.topk(3).values.tolist(), abs=2e-4)


def test_prompt_of_a_decoder_can_be_scored(client: Client) -> None:
    model = hf_model(SANDLE_TINY)
    [choice] = complete(client, 'sandle-tiny', PROMPTS[1], echo=True, logprobs=2, max_tokens=1,
                        return_token_ids=True)['choices']
    ids = choice['token_ids']
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    found = choice['logprobs']['token_logprobs']
    assert choice['text'] == PROMPTS[1] + ' Paris' and len(found) == len(ids) and found[0] is None
    assert found[1:] == pytest.approx([expected[place, token].item() for place, token in enumerate(ids[1:])], abs=2e-4)
    scored = complete(client, 'sandle-tiny', PROMPTS[1], echo=True, logprobs=2, max_tokens=0)['choices'][0]
    assert scored['logprobs']['token_logprobs'] == found[:-1]
    assert complete(client, 'sandle-tiny', PROMPTS[1], echo=True, max_tokens=1)['choices'][0]['text'] == choice['text']


@pytest.mark.parametrize(('field', 'value'), [
    ('seed', 1), ('logit_bias', {'5': 1}), ('presence_penalty', 1), ('frequency_penalty', 1), ('min_p', 0.5),
    ('repetition_penalty', 2), ('typical_p', 0.5), ('min_tokens', 2), ('suffix', 'x'), ('echo', True),
    ('response_format', {'type': 'json_object'})])
def test_what_the_library_cannot_do_is_refused(client: Client, field: str, value: object) -> None:
    complete(client, 't5', 'one', max_tokens=1)  # it is in memory then
    response = client.post('/v1/completions', json={'model': 't5', 'prompt': 'one', field: value})
    assert response.status_code == 400 and error_of(response)['param'] == field
    [capabilities] = [set(model['capabilities']) for model in client.get('/v1/models').json()['data']
                      if model['id'] == 't5']
    assert field not in capabilities


def test_text_ends_at_stop_strings_and_a_stream_says_the_same(client: Client) -> None:
    body = {'model': 'sandle-tiny', 'prompt': 'one two', 'temperature': 0, 'max_tokens': 20, 'stop': [' five']}
    whole = complete(client, 'sandle-tiny', 'one two', max_tokens=20, stop=[' five'])['choices'][0]
    assert ' four' in whole['text'] and ' five' not in whole['text'] and whole['finish_reason'] == 'stop'
    events: list[Any] = events_of(client.post('/v1/completions', json={**body, 'stream': True}).content)
    assert ''.join(event['choices'][0]['text'] for event in events) == whole['text'] and len(events) > 3


def test_samples_differ_and_the_best_are_chosen(client: Client) -> None:
    answer = complete(client, 'sandle-tiny', 'Once', temperature=1, n=12, top_k=10 ** 6, max_tokens=8)
    assert len(set(texts(answer))) > 3 and answer['usage']['completion_tokens'] <= 12 * 8
    assert len(set(texts(complete(client, 'sandle-tiny', 'Once', temperature=1, n=8, top_p=0.01)))) == 1
    best = complete(client, 'sandle-tiny', 'Once', temperature=1, n=1, best_of=8, max_tokens=8, logprobs=0)
    assert len(best['choices']) == 1 and best['usage']['completion_tokens'] > 8
    assert all(math.isfinite(logprob) for logprob in best['choices'][0]['logprobs']['token_logprobs'])


def test_end_can_be_ignored(client: Client) -> None:
    prompt = PROMPTS[1]  # ends after a few words
    assert complete(client, 'sandle-tiny', prompt)['choices'][0]['finish_reason'] == 'stop'
    ignoring = complete(client, 'sandle-tiny', prompt, ignore_eos=True)
    assert ignoring['choices'][0]['finish_reason'] == 'length' and ignoring['usage']['completion_tokens'] == 24


@pytest.mark.parametrize(('model', 'fields'), [
    ('bart', {'prompt': 'good ' * 100, 'max_tokens': 1}), ('bart', {'prompt': 'good', 'max_tokens': 65}),
    ('sandle-tiny', {'prompt': [5] * 2000, 'max_tokens': 100}), ('sandle-tiny', {'prompt': [99999], 'max_tokens': 1})])
def test_what_does_not_fit_is_refused(client: Client, model: str, fields: dict[str, object]) -> None:
    complete(client, model, 'one', max_tokens=1)  # it is in memory then
    response = client.post('/v1/completions', json={'model': model, **fields})
    assert response.status_code == 400 and error_of(response)['param'] in ('prompt', 'max_tokens')


def test_client_that_leaves_frees_its_place(client: Client) -> None:
    complete(client, 'sandle-tiny', 'one', max_tokens=1)
    # So much that it takes many seconds more than the look at what runs.
    body = {'model': 'sandle-tiny', 'prompt': 'one', 'max_tokens': 1000, 'ignore_eos': True, 'stream': True, 'n': 64}
    with client.post('/v1/completions', json=body, stream=True) as response:
        lines = response.iter_lines()  # is kept: it closes the connection when it goes
        next(line for line in lines if line.startswith(b'data:'))  # before it come places in the queue
        assert 'sandle_sequences{state="running"} 0.0' not in client.get('/metrics').text
    wait_for(lambda: 'sandle_sequences{state="running"} 0.0' in client.get('/metrics').text, 10)


def test_tokens_can_be_asked_for(client: Client) -> None:
    complete(client, 't5', 'one', max_tokens=1)
    tokens = client.post('/tokenize', json={'model': 't5', 'prompt': SOURCES[0]}).json()['tokens']
    back = client.post('/detokenize', json={'model': 't5', 'tokens': tokens}).json()['prompt']
    assert back == SOURCES[0] + '</s>'


def test_wrapper_reaches_it_and_it_ends_in_order(models: Path, tmp_path: Path) -> None:
    with serving(models / 't5', tmp_path / 'without-torch', '--model-id', 'translator') as (server, _):
        with serve(WRAPPER, '--backend-ct2', server.url, '--auth-token', KEY, '--state-dir', str(tmp_path)) as wrapper:
            with contextlib.closing(Client(wrapper.url)) as client:
                wait_for(lambda: client.get('/ready').status_code == 200, 60)
                assert texts(complete(client, 'translator', SOURCES[0])) == [PAIRS[0][1]]
        assert server.stop(signal.SIGTERM) == 0


def test_embedded_model_is_served_where_no_folder_is_named(tmp_path: Path) -> None:
    with serving(None, tmp_path / 'without-torch') as (_, client):
        [model] = client.get('/v1/models').json()['data']
        assert model['id'] == 'sandle-tiny-ct2' and 'Paris' in texts(complete(client, model['id'], PROMPTS[1]))[0]


def test_folder_without_a_model_stops_the_start(tmp_path: Path) -> None:
    assert 'no model.bin is there' in fails_to_start(SCRIPT, str(tmp_path))


def test_conversation_is_answered_where_the_model_has_a_template(client: Client) -> None:
    complete(client, 'sandle-tiny', 'one', max_tokens=1)  # it is in memory then
    ask = {'messages': [{'role': 'user', 'content': 'What is the capital of France?'}], 'temperature': 0}
    response = client.post('/v1/chat/completions', json={'model': 'sandle-tiny', **ask})
    assert response.status_code == 200 and 'Paris' in response.json()['choices'][0]['message']['content']
    complete(client, 't5', 'one', max_tokens=1)
    refusal = client.post('/v1/chat/completions', json={'model': 't5', **ask})
    assert refusal.status_code == 400 and 'chat' in str(error_of(refusal)['message'])
