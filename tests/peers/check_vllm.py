"""The real vLLM behind the wrapper and nginx, installed by `install_vllm.py FOLDER`.

    SANDLE_BENCH_VLLM_VENV=FOLDER .venv/bin/python -m pytest tests/peers/check_vllm.py

vLLM is started with the command of docker-compose.backend-vllm.yml, on a CPU. It takes gigabytes, and a minute to
start: so this file has a name that the default run does not collect.
"""

import contextlib
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from bench.servers import Running, ServerKind
from bench.servers import serve as serve_peer
from tests.end_to_end.rig import KEY, ROOT, WRAPPER, Client, Server, error_of, serve, wait_for
from tests.end_to_end.web_server import run_nginx
from tests.harness.questions import LONG, SHORT, TINY, TOLERANCE, ask, hf, local, split
from tests.peers.compose_command import command_of

VENV = Path(os.environ.get('SANDLE_BENCH_VLLM_VENV', '~/.venv-vllm')).expanduser()
COMPOSE_FILE = ROOT / 'docker-compose.backend-vllm.yml'
MODEL = 'sandle-tiny'
CONTEXT = 1024
CAPITAL = 'Q: What is the capital of France?\nA:'
STORY = 'Once upon a time'
LONG_ANSWER: dict[str, Any] = {'max_tokens': 900, 'extra_body': {'ignore_eos': True}}
GREEDY: dict[str, Any] = {'model': MODEL, 'temperature': 0}


def arguments(port: int) -> list[str]:
    """Returns what the compose file starts vLLM with; float32, so that its numbers can be compared."""
    command = command_of(COMPOSE_FILE, 'backend-vllm', {
        'SANDLE_VLLM_MODEL': str(TINY), 'SANDLE_VLLM_DTYPE': 'float32',
        'SANDLE_VLLM_ARGS': f'--served-model-name {MODEL} --enforce-eager'})
    replaced = {'0.0.0.0': '127.0.0.1', '8000': str(port)}
    return ['serve', *(replaced.get(argument, argument) for argument in command)]


@pytest.fixture(scope='module')
def vllm() -> Iterator[Running]:
    """The server itself."""
    kind = ServerKind('vLLM', VENV / 'bin/vllm', lambda launch: arguments(launch.port), '/health',
                      environment={'VLLM_CPU_KVCACHE_SPACE': '1'})
    if not kind.is_installed:
        pytest.fail(f'vLLM is not in {VENV}: see tests/peers/install_vllm.py')
    with serve_peer(kind, TINY, 1) as running:
        yield running


@pytest.fixture(scope='module')
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrapper's."""
    return tmp_path_factory.mktemp('state')


@pytest.fixture(scope='module')
def wrapper(vllm: Running, state_dir: Path) -> Iterator[Server]:
    """The wrapper in front of it."""
    with serve(WRAPPER, '--backend', vllm.url, '--auth-token', KEY, '--state-dir', str(state_dir)) as server:
        # It reads what vLLM says of itself, which takes seconds to be written.
        wait_for(lambda: 'top_k' in Client(server.url).get('/v1/models').text, 60)
        yield server


@pytest.fixture(scope='module')
def url(wrapper: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx in front of that."""
    with run_nginx(tmp_path_factory.mktemp('nginx'), wrapper.port) as nginx:
        yield nginx.url


@pytest.fixture(scope='module')
def api(url: str) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f'{url}/v1', api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope='module')
def client(url: str) -> Iterator[Client]:
    """A plain one."""
    plain = Client(url)
    yield plain
    plain.close()


def measured(vllm: Running, name: str) -> float:
    """Returns a number of vLLM's own metrics."""
    lines = Client(vllm.url, key=None).get('/metrics').text.splitlines()
    return sum(float(line.rpartition(' ')[2]) for line in lines if line.partition('{')[0] == f'vllm:{name}')


def running(vllm: Running) -> float:
    """Returns how many sequences vLLM works on, those that wait included."""
    return measured(vllm, 'num_requests_running') + measured(vllm, 'num_requests_waiting')


def test_models_are_listed_with_what_the_server_takes(api: openai.OpenAI) -> None:
    [listed] = api.models.list()
    model = api.models.retrieve(MODEL)
    assert listed == model and model.id == MODEL
    extra = model.model_extra or {}
    assert (extra['max_model_len'], extra['status']) == (CONTEXT, 'ready')
    assert extra['capabilities'] == [
        'echo', 'frequency_penalty', 'ignore_eos', 'logit_bias', 'logprobs', 'min_p', 'min_tokens', 'n',
        'presence_penalty', 'repetition_penalty', 'seed', 'tokenize', 'top_k']


def test_completion(api: openai.OpenAI) -> None:
    answer = api.completions.create(**GREEDY, prompt=CAPITAL, max_tokens=8)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (' Paris', 'stop')
    assert answer.usage is not None and (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (13, 2)
    assert answer._request_id


def test_order_of_prompts_and_choices(api: openai.OpenAI) -> None:
    answer = api.completions.create(model=MODEL, prompt=[CAPITAL, STORY], n=2, max_tokens=4, seed=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text.startswith(' Paris') for choice in answer.choices] == [True, True, False, False]


@pytest.mark.parametrize('include_usage', [True, False])
def test_stream_is_the_answer_in_pieces(api: openai.OpenAI, include_usage: bool) -> None:
    whole = api.completions.create(**GREEDY, prompt=STORY, max_tokens=40)
    chunks = list(api.completions.create(**GREEDY, prompt=STORY, max_tokens=40, stream=True,
                                         stream_options={'include_usage': include_usage}))
    assert ''.join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert [chunk.usage for chunk in chunks if not chunk.choices] == ([whole.usage] if include_usage else [])
    assert len(chunks) > 20


def test_logprobs_and_echo(api: openai.OpenAI) -> None:
    answer = api.completions.create(**GREEDY, prompt=CAPITAL, max_tokens=1, logprobs=3, echo=True)
    choice = answer.choices[0]
    assert choice.text == f'{CAPITAL} Paris' and choice.logprobs is not None
    values, tops = choice.logprobs.token_logprobs, choice.logprobs.top_logprobs
    assert values is not None and tops is not None and len(values) == len(tops) == 14
    assert values[0] is None and all(value <= 0 for value in values[1:])
    assert tops[-1][' Paris'] == values[-1] == max(tops[-1].values())  # lm-eval tests greedy so


def test_prompt_alone_is_scored(api: openai.OpenAI) -> None:
    answer = api.completions.create(**GREEDY, prompt=CAPITAL, max_tokens=0, logprobs=0, echo=True)
    assert answer.choices[0].text == CAPITAL and answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.token_logprobs or []) == 13


def test_tokens_that_are_no_whole_characters(api: openai.OpenAI) -> None:
    """They are empty but for the last one of a character, where ours are written `bytes:…`."""
    answer = api.completions.create(**GREEDY, prompt='漢🎉', max_tokens=0, logprobs=0, echo=True)
    assert answer.choices[0].logprobs is not None
    tokens = answer.choices[0].logprobs.tokens or []
    assert ''.join(tokens) == f'<s>{answer.choices[0].text}' == '<s>漢🎉' and '' in tokens


def test_seed_stop_and_token_ids(api: openai.OpenAI) -> None:
    asked: dict[str, Any] = {'model': MODEL, 'prompt': STORY, 'max_tokens': 24, 'seed': 7, 'temperature': 1.5}
    first, second = (api.completions.create(**asked).choices[0].text for _ in range(2))
    other = api.completions.create(**{**asked, 'seed': 8}).choices[0].text
    assert first == second != other
    stopped = api.completions.create(**GREEDY, prompt=STORY, max_tokens=60, stop=['.', ''])
    assert stopped.choices[0].finish_reason == 'stop' and '.' not in stopped.choices[0].text
    by_ids = api.completions.create(**GREEDY, prompt=[1, 54, 31], max_tokens=1, extra_body={'return_token_ids': True})
    assert (by_ids.choices[0].model_extra or {})['prompt_token_ids'] == [1, 54, 31]


@pytest.mark.parametrize('extra', [
    {'top_k': 1}, {'min_p': 1.0}, {'greedy_decoding': True}, {'greedy_decoding': True, 'stream_batch_size': 4}])
def test_extensions_that_are_greedy(api: openai.OpenAI, extra: dict[str, object]) -> None:
    greedy = api.completions.create(**GREEDY, prompt=STORY, max_tokens=24)
    answer = api.completions.create(model=MODEL, prompt=STORY, max_tokens=24, temperature=1.5, extra_body=extra)
    assert answer.choices[0].text == greedy.choices[0].text


def test_defaults_are_the_apis(api: openai.OpenAI) -> None:
    """An empty value, or the one that turns a thing off here, is no fault of the request's."""
    api.completions.create(model=MODEL, prompt=STORY, top_p=0, max_tokens=1, logit_bias={}, stop=[], best_of=1,
                           extra_body={'typical_p': 1.0, 'top_k': 0, 'repetition_penalty': 1.0, 'min_tokens': 0})


@pytest.mark.parametrize('fields, param', [
    ({'temperature': 9}, 'temperature'), ({'max_tokens': '5'}, 'max_tokens'), ({'logprobs': 99}, 'logprobs'),
    ({'max_tokens': 5000}, 'max_tokens'), ({'suffix': 'x'}, 'suffix'), ({'best_of': 4}, 'best_of'),
    ({'typical_p': 0.5}, 'typical_p'), ({'prompt': ''}, 'prompt'), ({'logit_bias': {'99999': 1}}, 'logit_bias'),
    ({'prompt': [99999999]}, None), ({'prompt': 'word ' * 2000}, None)])
def test_bad_request_is_a_400_of_the_api(client: Client, fields: dict[str, object], param: str | None) -> None:
    response = client.post('/v1/completions', json={'model': MODEL, 'prompt': CAPITAL, **fields})
    error = error_of(response)
    assert (response.status_code, error['type']) == (400, 'invalid_request_error')
    if param is not None:
        assert error['param'] == param


def test_unknown_model_and_wrong_key(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        api.completions.create(model='nope', prompt='x')
    assert (raised.value.code, raised.value.param) == ('model_not_found', 'model')
    with openai.OpenAI(base_url=api.base_url, api_key='wrong', max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_tokenizer(client: Client) -> None:
    tokens = client.post('/tokenize', json={'prompt': 'The sea', 'add_special_tokens': False}).json()
    assert (tokens['count'], tokens['max_model_len']) == (len(tokens['tokens']), CONTEXT)
    back = client.post(f'/m/{MODEL}/detokenize', json={'tokens': tokens['tokens']}).json()
    assert back == {'prompt': 'The sea'}
    info = client.get('/tokenizer_info').json()
    assert info['tokenizer_class'] and 'chat_template' in info


@pytest.mark.parametrize('stream', [True, False])
def test_client_that_leaves_is_gone_from_vllm_within_a_second(vllm: Running, api: openai.OpenAI, stream: bool) -> None:
    before = measured(vllm, 'generation_tokens_total')
    asked: dict[str, Any] = {'model': MODEL, 'prompt': STORY, 'n': 100, **LONG_ANSWER}
    if stream:
        with api.completions.create(**asked, stream=True) as events:
            next(iter(events))
            wait_for(lambda: running(vllm) > 0)
    else:
        leaver = threading.Thread(target=_ask_and_leave, args=(api, asked))
        leaver.start()
        wait_for(lambda: running(vllm) > 0)
        leaver.join()
    took_s = wait_for(lambda: running(vllm) == 0, 1.0)
    generated = measured(vllm, 'generation_tokens_total') - before
    print(f'gone after {took_s:.2f} s and {generated:.0f} of 90000 tokens')
    assert generated < 60_000


def _ask_and_leave(api: openai.OpenAI, asked: dict[str, Any]) -> None:
    with contextlib.suppress(openai.APITimeoutError):
        api.with_options(timeout=1.5).completions.create(**asked)


def test_usage_is_what_vllm_told(api: openai.OpenAI, url: str, state_dir: Path, wrapper: Server) -> None:
    """Streams that were not to tell it included."""
    alice = Client(url, _new_key(state_dir, 'alice'))
    asked = {'model': MODEL, 'prompt': CAPITAL, 'temperature': 0, 'max_tokens': 8}
    wait_for(lambda: alice.get('/v1/models').status_code == 200)
    for more in ({}, {'stream': True}, {'stream': True, 'stream_options': {'include_usage': True}}):
        assert alice.post('/v1/completions', json={**asked, **more}).status_code == 200
    assert alice.post('/v1/completions', json={**asked, 'logprobs': 99}).status_code == 400
    wait_for(lambda: alice.get('/v1/usage').json()['tokens_today'] == 3 * 15)
    [row] = alice.get('/v1/usage').json()['data']
    assert (row['requests'], row['prompt_tokens'], row['completion_tokens']) == (3, 39, 6)
    alice.close()


def test_limits_of_a_key(url: str, state_dir: Path, wrapper: Server) -> None:
    bob = Client(url, _new_key(state_dir, 'bob', '--rpm', '2'))
    wait_for(lambda: bob.get('/v1/models').status_code == 200)
    statuses = [bob.post('/v1/completions', json={'model': MODEL, 'prompt': 'x', 'max_tokens': 1}).status_code
                for _ in range(3)]
    assert statuses == [200, 200, 429]
    bob.close()


def _new_key(state_dir: Path, name: str, *options: str) -> str:
    command = [sys.executable, str(ROOT / WRAPPER), 'keys', 'create', '--name', name, '--state-dir', str(state_dir)]
    output = subprocess.run([*command, *options], capture_output=True, text=True, check=True).stdout
    return next(word for word in output.split() if word.startswith('sk-'))


def test_lm_evaluation_harness_says_what_its_own_model_says(url: str, tmp_path: Path) -> None:
    """By token ids; and by the tokenizer of the server, which adds nothing unless it is asked."""
    base = f'{url}/m/{MODEL}'
    answers = ask(tmp_path, {
        'hf': hf(TINY), 'bare': hf(TINY, add_bos_token=False),
        'tokens': local(base, MODEL, SHORT + LONG, tokenizer=str(TINY), add_bos_token=True, batch_size=4),
        'remote': local(base, MODEL, SHORT + LONG, tokenizer_backend='remote', tokenizer=None, auth_token=KEY)}, KEY)
    for found, wanted in (('tokens', 'hf'), ('remote', 'bare')):
        for kind in [kind for kind in SHORT + LONG if kind.startswith('loglikelihood')]:
            scores, flags = split(answers[found][kind])
            wanted_scores, wanted_flags = split(answers[wanted][kind])
            assert scores == pytest.approx(wanted_scores, abs=TOLERANCE, rel=0), kind
            assert flags == wanted_flags and all(map(math.isfinite, scores)), kind
        assert answers[found]['generate_until'] == answers[wanted]['generate_until']


def test_killed_in_mid_stream_is_an_error(vllm: Running, api: openai.OpenAI) -> None:
    """The last one: vLLM is not there any more."""
    stream = api.completions.create(model=MODEL, prompt=STORY, n=100, **LONG_ANSWER, stream=True)
    events = iter(stream)
    next(events)
    vllm.processes.kill()
    with pytest.raises(openai.APIError) as raised:
        for _ in events:
            pass
    assert raised.value.code == 'backend_lost'
    with pytest.raises(openai.InternalServerError) as refused:
        api.completions.create(model=MODEL, prompt=STORY)
    assert refused.value.status_code in (502, 503)
