"""The backend as a real process, started elsewhere, with no Hub: what an operator and a client see of it."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import transformers
from click.testing import CliRunner
from hf_offers import read_models
from tests.hf_lora_rig import make_adapter

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).resolve().parent.parent / 'serve-backend-hf.py'
WRAPPER = SCRIPT.parent.parent / 'openai-wrapper' / 'serve-openai-wrapper.py'
EOS = 1
DONE = 'data: [DONE]'


@pytest.fixture(scope='module')
def models_file(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of five: two that load, and three that cannot."""
    folder = tmp_path_factory.mktemp('catalog')
    shutil.copytree(llama_folder, folder / 'second')
    shutil.copytree(llama_folder, folder / 'with-code')
    config = folder / 'with-code' / 'config.json'
    config.write_text(json.dumps(json.loads(config.read_text()) | {'auto_map': {}}))
    (folder / 'models.json').write_text(json.dumps([
        {'id': 'first', 'path': str(llama_folder), 'description': 'The first'}, {'id': 'team/second', 'path': 'second'},
        {'id': 'missing', 'path': 'none'}, {'id': 'with-code', 'path': 'with-code'}, {'id': 'someone/on-the-hub'}]))
    return folder / 'models.json'


@pytest.fixture(scope='module')
def backend(start_backend: Callable[..., Any], models_file: Path) -> Any:
    """The backend with that catalog, ready."""
    backend = start_backend('--models-file', str(models_file), '--max-batch-size', '4')
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    return backend


@pytest.fixture
def with_first(backend: Any) -> Iterator[Any]:
    """The backend with its first model in memory."""
    use(backend, 'first')
    yield backend


def use(backend: Any, model: str) -> Any:
    """Asks for a model until it answers, or has failed."""
    answers: list[Any] = []

    def ask() -> bool:
        answers.append(backend.complete(model=model, prompt='the cat', max_tokens=3, temperature=0))
        if answers[-1].status_code == 503:
            assert int(answers[-1].headers['Retry-After']) >= 1
        return answers[-1].status_code == 200 or 'could not be loaded' in answers[-1].text

    backend.wait_until(ask)
    return answers[-1]


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()['choices'][0]['text']
    return text


def test_usage_is_counted(with_first: Any) -> None:
    """The original always said zero."""
    answer = with_first.complete(model='first', prompt=[0, 5, 6], max_tokens=4, temperature=0, n=2, ignore_eos=True)
    assert answer.json()['usage'] == {'prompt_tokens': 3, 'completion_tokens': 8, 'total_tokens': 11}


def test_end_of_text_is_a_stop(with_first: Any) -> None:
    """The original said `length`, and left `</s>` in the text."""
    answer = with_first.complete(model='first', prompt='the cat', max_tokens=9, logit_bias={str(EOS): 100}).json()
    assert answer['choices'] == [{'text': '', 'index': 0, 'logprobs': None, 'finish_reason': 'stop'}]
    assert answer['usage']['completion_tokens'] == 1


def test_prompt_that_is_not_decoded_as_it_was_written_is_served(with_first: Any) -> None:
    """The original decoded prompt and answer together, and failed where that did not give the prompt back."""
    for prompt in ('</s>the cat<s>', '<s><s>  \x00é', 'the<unk>cat', ''):
        answer = with_first.complete(model='first', prompt=prompt, max_tokens=2, temperature=0, echo=True)
        assert text_of(answer).startswith(prompt)


def test_empty_prompt_is_the_models_own_beginning(with_first: Any) -> None:
    """The original began with `</s>` whatever the model was."""
    answers = [with_first.complete(model='first', max_tokens=5, temperature=0, return_token_ids=True, **prompt).json()
               for prompt in ({}, {'prompt': None}, {'prompt': ''}, {'prompt': [0]})]
    assert [answer['choices'][0]['prompt_token_ids'] for answer in answers] == [[0]] * 4
    assert len({answer['choices'][0]['text'] for answer in answers}) == 1


def test_several_stops_end_each_of_several_choices(with_first: Any) -> None:
    """The original gave several stops up with n > 1, and generated to the end."""
    request = {'model': 'first', 'prompt': 'the cat', 'temperature': 0, 'max_tokens': 40, 'ignore_eos': True}
    whole = text_of(with_first.complete(**request))
    stops = [whole[6:8], whole[4:6]]
    answer = with_first.complete(**request, n=3, stop=stops).json()
    assert [choice['finish_reason'] for choice in answer['choices']] == ['stop'] * 3
    assert {choice['text'] for choice in answer['choices']} == {whole[:min(whole.find(stop) for stop in stops)]}
    assert answer['usage']['completion_tokens'] < 3 * 40


def test_streamed_answer_is_the_unstreamed_one(with_first: Any) -> None:
    request = {'model': 'first', 'prompt': 'the dog', 'max_tokens': 30, 'seed': 7, 'n': 2}
    whole = [choice['text'] for choice in with_first.complete(**request).json()['choices']]
    stream = with_first.complete(**request, stream=True).content.decode('utf-8')
    lines = [line for line in stream.split('\n\n') if line]
    assert lines[-1] == DONE
    streamed = ['', '']
    for line in lines[:-1]:
        [choice] = json.loads(line.removeprefix('data: '))['choices']
        streamed[choice['index']] += choice['text']
    assert streamed == whole


def test_context_is_the_models(with_first: Any) -> None:
    assert with_first.model('first')['max_model_len'] == 128
    answer = with_first.complete(model='first', prompt=[5] * 100, max_tokens=29)
    assert answer.status_code == 400
    assert answer.json()['error']['code'] == 'context_length_exceeded'


def test_another_model_is_loaded_on_demand_and_the_first_released(backend: Any) -> None:
    use(backend, 'first')
    assert backend.model('team/second')['status'] == 'available'
    assert use(backend, 'team/second').status_code == 200
    assert (backend.model('team%2Fsecond')['status'], backend.model('first')['status']) == ('ready', 'available')
    assert use(backend, 'first').status_code == 200
    assert (backend.model('team/second')['status'], backend.model('first')['status']) == ('available', 'ready')


@pytest.mark.parametrize(('model', 'cause'), [
    ('missing', 'There is no folder'), ('with-code', 'auto_map'), ('someone/on-the-hub', 'cannot be reached')])
def test_model_that_cannot_load_says_why_and_the_others_are_served(backend: Any, model: str, cause: str) -> None:
    use(backend, 'first')
    answer = use(backend, model)
    assert answer.status_code == 503
    assert cause in answer.json()['error']['message']
    shown = backend.model(model)
    assert shown['status'] == 'error' and cause in shown['status_message'] and '\n' not in shown['status_message']
    assert use(backend, 'first').status_code == 200
    assert 'Traceback' not in backend.log()


def manage(backend: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one of the wrapper's `models` commands."""
    return subprocess.run([sys.executable, str(WRAPPER), '--backend-hf', backend.url, 'models', *arguments],
                          capture_output=True, text=True, timeout=60)


def test_operator_lists_loads_and_unloads_models(backend: Any) -> None:
    use(backend, 'first')
    assert manage(backend, 'load', 'team/second').stdout.endswith('team/second is in memory.\n')
    assert (backend.model('team/second')['status'], backend.model('first')['status']) == ('ready', 'available')
    assert re.search(rf'team/second +ready +{backend.url}', manage(backend, 'list').stdout)
    assert manage(backend, 'unload', 'team/second').stdout.endswith('team/second is not in memory.\n')
    assert backend.model('team/second')['status'] == 'available' and backend.get('/ready').status_code == 200
    failed = manage(backend, 'load', 'missing')
    assert failed.returncode == 1 and 'There is no folder' in failed.stderr
    assert use(backend, 'first').status_code == 200


def test_first_model_that_cannot_load_leaves_the_process_up_and_is_tried_again(
        start_backend: Callable[..., Any], llama_folder: Path, tmp_path: Path) -> None:
    backend = start_backend('-m', str(tmp_path / 'later'))
    backend.wait_until(lambda: backend.get('/v1/models').json()['data'][0]['status'] == 'error')
    [model] = backend.get('/v1/models').json()['data']
    assert 'There is no folder' in model['status_message']
    assert (backend.get('/health').status_code, backend.get('/ready').status_code) == (200, 503)
    shutil.copytree(llama_folder, tmp_path / 'later')
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    assert backend.complete(model=str(tmp_path / 'later'), prompt='the', max_tokens=1).status_code == 200


def test_download_is_told_by_status_and_log(start_backend: Callable[..., Any], hub: Any, llama_folder: Path,
                                            tmp_path: Path) -> None:
    folder = shutil.copytree(llama_folder, tmp_path / 'repository')
    (folder / 'tokenizer.model').write_bytes(bytes(3 * 2 ** 20))  # a small file only by its name
    hub.repos['someone/model', 'main'] = folder
    hub.chunk_delay_s = 0.06
    backend = start_backend('-m', 'someone/model', HF_ENDPOINT=hub.url)
    shown: dict[str, Any] = {}

    def is_under_way() -> bool:
        shown.update(backend.model('someone/model'))
        return 'progress' in shown

    backend.wait_until(is_under_way)
    assert shown['status'] == 'loading' and shown['status_message'].startswith('downloading: ')
    progress = shown['progress']
    assert set(progress) == {'downloaded_bytes', 'total_bytes', 'bytes_per_second', 'remaining_seconds'}
    assert 0 < progress['downloaded_bytes'] <= progress['total_bytes'] and progress['total_bytes'] > 3 * 2 ** 20
    assert re.search(r'downloading: [\d.]+ MiB of 3\.\d MiB, [\d.]+ MiB/s', backend.log())
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    assert 'progress' not in backend.model('someone/model')
    assert backend.complete(model='someone/model', prompt='the', max_tokens=1).status_code == 200


def test_model_that_can_never_fit_is_refused_before_its_weights_are_fetched(
        start_backend: Callable[..., Any], hub: Any, llama_folder: Path) -> None:
    hub.repos |= {('someone/huge', 'main'): llama_folder, ('someone/huge-vectors', 'main'): llama_folder}
    hub.parameters |= {'someone/huge': 2 * 10 ** 15, 'someone/huge-vectors': 10 ** 15}
    backend = start_backend('-m', 'someone/huge', '--embedding-model', 'someone/huge-vectors', HF_ENDPOINT=hub.url)
    for model, needed in (('someone/huge', '4097819.3 GiB of memory as bfloat16'),
                          ('someone/huge-vectors', '4097819.3 GiB of memory and')):
        backend.wait_until(lambda: backend.model(model)['status'] == 'error')
        assert f'The model needs {needed}' in backend.model(model)['status_message']
    assert not any('safetensors' in line for line in hub.requested)


def test_offline_nobody_is_asked(start_backend: Callable[..., Any], hub: Any, llama_folder: Path) -> None:
    hub.repos['someone/never-fetched', 'main'] = llama_folder
    backend = start_backend('-m', 'someone/never-fetched', '--offline', HF_ENDPOINT=hub.url)
    backend.wait_until(lambda: backend.model('someone/never-fetched')['status'] == 'error')
    assert '--offline' in backend.model('someone/never-fetched')['status_message']
    assert hub.requested == []


def test_files_are_fetched_ahead(hub: Any, llama_folder: Path, tmp_path: Path,
                                 start_backend: Callable[..., Any]) -> None:
    hub.repos['someone/model', 'main'] = llama_folder
    settings = os.environ | {'HF_ENDPOINT': hub.url, 'HF_HOME': str(tmp_path / 'hf-home')}
    for name, status in (('someone/model', 0), ('someone/other', 1)):
        ended = subprocess.run([sys.executable, str(SCRIPT), '-m', name, '--download-only'], capture_output=True,
                               text=True, timeout=60, env=settings)
        assert ended.returncode == status, ended.stderr
    assert "The model 'someone/other' is not on the Hub" in ended.stderr.splitlines()[-1]
    backend = start_backend('-m', 'someone/model', '--offline', HF_HOME=str(tmp_path / 'hf-home'))
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)


def test_adapters_are_models_of_their_own_and_idle_models_leave_memory(
        start_backend: Callable[..., Any], llama_folder: Path, tmp_path: Path) -> None:
    auto_model: Any = transformers.AutoModelForCausalLM
    make_adapter(auto_model.from_pretrained(llama_folder), tmp_path / 'poet', 0)
    (tmp_path / 'models.json').write_text(json.dumps([
        {'id': 'base', 'path': str(llama_folder), 'idle_unload_s': 3,
         'adapters': [{'id': 'poet', 'path': 'poet', 'owned_by': 'us'}]}]))
    backend = start_backend('--models-file', str(tmp_path / 'models.json'))
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    shown = backend.model('poet')
    assert (shown['parent'], shown['root'], shown['owned_by']) == ('base', 'base', 'us')
    answers = {model: text_of(use(backend, model)) for model in ('base', 'poet')}
    assert answers['base'] != answers['poet']
    backend.wait_until(lambda: {backend.model(model)['status'] for model in answers} == {'available'})
    assert backend.get('/ready').status_code == 200, 'the next request brings it back'
    assert text_of(use(backend, 'poet')) == answers['poet']


def test_without_options_the_embedded_model_answers(start_backend: Callable[..., Any]) -> None:
    backend = start_backend()
    backend.wait_until(lambda: backend.get('/ready').status_code == 200)
    listed = backend.get('/v1/models').json()['data']
    assert (listed[0]['id'], listed[0]['status']) == ('sandle-tiny', 'ready')
    assert len(listed) > 40
    answer = backend.complete(model='sandle-tiny', prompt='Q: What is the capital of France?\nA:', temperature=0,
                              max_tokens=8)
    assert 'Paris' in text_of(answer)
    assert answer.json()['choices'][0]['finish_reason'] == 'stop'


@pytest.fixture(scope='module')
def script() -> Any:
    """The script as a module of this process."""
    spec = importlib.util.spec_from_file_location('serve_backend_hf', SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def command(script: Any) -> click.Command:
    """The script's command."""
    command: click.Command = script.main
    return command


def test_single_model_is_the_only_one(models_file: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [entry.id for entry in read_models(models_file, None)][:2] == ['first', 'team/second']
    [listed] = read_models(models_file, 'team/second')
    assert listed.path == models_file.parent / 'second'
    [hub] = read_models(models_file, 'someone/other')
    assert (hub.id, hub.repo, hub.path) == ('someone/other', 'someone/other', None)
    monkeypatch.chdir(llama_folder.parent)
    for name in (llama_folder.name, str(llama_folder), f'./{llama_folder.name}', f'../{llama_folder.parent.name}/none'):
        [folder] = read_models(models_file, name)
        assert (folder.id, folder.repo) == (name, None)
        assert folder.path == (llama_folder.parent.parent / llama_folder.parent.name / name).resolve()


@pytest.mark.parametrize(('options', 'environment', 'words'), [
    (['--device', 'cuda:7'], {}, '--device cuda:7'),
    (['-8', '-4'], {}, '--load-in-8bit and --load-in-4bit exclude each other'),
    (['-d', '/tmp'], {'SANDLE_LOAD_IN_8BIT': '1'}, '--load-in-8bit and --offload-dir exclude each other'),
    (['--dtype', 'float16', '--device', 'cpu'], {}, '--dtype float16 is for GPUs'),
    (['--dtype', 'float8'], {}, "'float8' is not one of"),
    ([], {'SANDLE_MAX_BATCH_SIZE': '0'}, '--max-batch-size'),
    (['-d', '/proc/none'], {}, '--offload-dir /proc/none cannot be written'),
    (['--models-file', '/none.json'], {}, '/none.json cannot be read'),
    (['-m', ' '], {}, '--single-model'),
    (['--port', 'x'], {}, "'x' is not a valid integer"),
    (['--no-such-option'], {}, '--no-such-option'),
])
def test_bad_option_stops_the_start_with_one_line(command: click.Command, options: list[str],
                                                  environment: dict[str, str], words: str) -> None:
    ended = CliRunner().invoke(command, options, env=environment)
    assert ended.exit_code == 2
    assert words in ended.stderr.splitlines()[-1]


def test_entry_that_this_machine_cannot_load_stops_the_start(command: click.Command, tmp_path: Path) -> None:
    (tmp_path / 'models.json').write_text('["a", {"id": "b", "dtype": "float16"}]')
    ended = CliRunner().invoke(command, ['--models-file', str(tmp_path / 'models.json'), '--device', 'cpu'])
    assert ended.exit_code == 2
    assert "--models-file: 'b': --dtype float16 is for GPUs" in ended.stderr.splitlines()[-1]


def test_bad_option_ends_the_process() -> None:
    ended = subprocess.run([sys.executable, str(SCRIPT), '--device', 'cuda:7'], capture_output=True, text=True,
                           timeout=60)
    assert ended.returncode == 2
    assert '--device cuda:7' in ended.stderr.splitlines()[-1]
    assert 'Traceback' not in ended.stderr


def test_help_names_every_option_and_its_default(command: click.Command) -> None:
    text = CliRunner().invoke(command, ['--help']).output
    for option in ('--host', '-p, --port', '-d, --offload-dir', '-8, --load-in-8bit', '-m, --single-model',
                   '--preload-model', '-l, --log-level', '--dtype', '--device', '--max-batch-size', '--models-file'):
        assert option in text, option
