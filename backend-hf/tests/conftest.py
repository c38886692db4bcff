"""Small random models and tokenizers made on the spot, a Hub of our own, and the backend as a real process."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

if TYPE_CHECKING:  # while conftest files are loaded `tests` is another folder yet
    from tests.fake_hub import FakeHub

BACKEND = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0
SPECIALS = ['<s>', '</s>', '<unk>']


def byte_level_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """GPT-2's manner: 256 byte characters and a few merges; a BOS is put in front when special tokens are asked for."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=280, special_tokens=SPECIALS, show_progress=False,
                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator(['the cat and the dog and the bird'] * 20, trainer)
    inner.post_processor = processors.TemplateProcessing(single='<s> $A', special_tokens=[('<s>', 0)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token='<s>', eos_token='</s>',
                                                unk_token='<unk>')


def metaspace_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Llama 2's manner: words begin with a lower one eighth block, and what is not known is written in bytes."""
    vocabulary = {name: index for index, name in enumerate(
        [*SPECIALS, *(f'<0x{byte:02X}>' for byte in range(256)), *'▁helowrdc', '▁h', '▁w', 'el', 'lo'])}
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, [('▁', 'h'), ('▁', 'w'), ('e', 'l'), ('l', 'o')],
                                            unk_token='<unk>', fuse_unk=True, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    inner.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(),
                                       decoders.Strip(' ', 1, 0)])
    inner.add_special_tokens(SPECIALS)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token='<s>', eos_token='</s>',
                                                unk_token='<unk>')


def write_model(folder: Path, family: str = 'llama', **changes: Any) -> Path:
    """Saves a random model of a family with the byte-level tokenizer, as safetensors."""
    torch.manual_seed(0)
    common = {'vocab_size': 288, 'bos_token_id': 0, 'eos_token_id': 1, 'pad_token_id': 2} | changes
    sizes = {'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'max_position_embeddings': 128}
    configs: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
        'llama': lambda: transformers.LlamaConfig(**common, **sizes, intermediate_size=64, num_key_value_heads=2),
        'gpt2': lambda: transformers.GPT2Config(**common, n_embd=32, n_layer=2, n_head=4, n_positions=128),
        'opt': lambda: transformers.OPTConfig(**common, **sizes, ffn_dim=64, word_embed_proj_dim=32),
        'bloom': lambda: transformers.BloomConfig(**common, hidden_size=32, n_layer=2, n_head=4),
        'gpt_neox': lambda: transformers.GPTNeoXConfig(**common, **sizes, intermediate_size=64),
    }
    auto_model: Any = transformers.AutoModelForCausalLM
    auto_model.from_config(configs[family]()).save_pretrained(folder)
    byte_level_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope='session', autouse=True)
def quiet() -> None:
    """The library's progress bars say nothing here."""
    library: Any = transformers
    library.utils.logging.disable_progress_bar()


@pytest.fixture(scope='session')
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama. Tests that change files copy it."""
    return write_model(tmp_path_factory.mktemp('llama'))


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """A function from a family, and settings other than the usual ones, to the folder of a new model."""
    return lambda family='llama', **changes: write_model(tmp_path / f'made-{family}', family, **changes)


@pytest.fixture
def byte_level() -> transformers.PreTrainedTokenizerFast:
    """See byte_level_tokenizer."""
    return byte_level_tokenizer()


@pytest.fixture
def metaspace() -> transformers.PreTrainedTokenizerFast:
    """See metaspace_tokenizer."""
    return metaspace_tokenizer()


@pytest.fixture(scope='session')
def tokenizer_kinds() -> dict[str, transformers.PreTrainedTokenizerFast]:
    """Both kinds by the names of their functions, for tests that change nothing in them."""
    return {make.__name__: make() for make in (byte_level_tokenizer, metaspace_tokenizer)}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator['FakeHub']:
    """A Hub on the loopback that the client in this process uses, with a cache of its own."""
    from huggingface_hub import constants
    from tests.fake_hub import HubServer
    server = HubServer()
    fake = server.hub
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    point_client_at(monkeypatch, fake.url, tmp_path / 'hub-cache')
    assert not constants.is_offline_mode(), 'these tests need HF_HUB_OFFLINE to be unset'
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def point_client_at(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Makes the Hub's client in this process use another address and cache."""
    from huggingface_hub import constants
    monkeypatch.setattr(constants, 'ENDPOINT', url)
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', url + '/{repo_id}/resolve/{revision}/{filename}')
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(cache))


@pytest.fixture
def unreachable_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Hub that nobody answers for."""
    point_client_at(monkeypatch, 'http://127.0.0.1:9', tmp_path / 'hub-cache')


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A Hub that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        point_client_at(monkeypatch, f'http://127.0.0.1:{listener.getsockname()[1]}', tmp_path / 'hub-cache')
        yield


class Backend:
    """serve-backend-hf.py as a process, started in a folder that is not its own, with a Hub that cannot be reached."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self.log_file = folder / f'backend-{time.monotonic_ns()}.log'
        environment = {name: value for name, value in os.environ.items() if not name.startswith(('SANDLE_', 'HF_'))}
        environment |= {'HF_ENDPOINT': 'http://127.0.0.1:9', 'HF_HOME': str(folder / 'hf-home')} | settings
        with self.log_file.open('wb') as log:
            self.process = subprocess.Popen([sys.executable, str(BACKEND / 'serve-backend-hf.py'), '--port', '0',
                                             *options], cwd=folder, env=environment, stderr=log, stdout=log)
        self.url = self._wait_for(lambda: re.search(r'listening on (http://\S+)', self.log()))[1]

    def log(self) -> str:
        """Everything the process has written."""
        return self.log_file.read_text(encoding='utf-8')

    def get(self, path: str) -> requests.Response:
        """GETs a path."""
        return requests.get(self.url + path, timeout=20)

    def complete(self, **body: object) -> requests.Response:
        """POSTs a completion request."""
        return requests.post(f'{self.url}/v1/completions', json=body, timeout=60)

    def model(self, name: str) -> dict[str, Any]:
        """A model as the server shows it."""
        model: dict[str, Any] = self.get(f'/v1/models/{name}').json()
        return model

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Waits until something holds; fails when it does not come about."""
        self._wait_for(condition)

    def _wait_for(self, condition: Callable[[], Any]) -> Any:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if result := condition():
                return result
            assert self.process.poll() is None, f'the backend ended: {self.log()}'
            time.sleep(0.05)  # between two looks at another process
        raise AssertionError(f'waited in vain: {self.log()}')

    def terminate(self) -> None:
        """Ends the process as an operator does."""
        self.process.terminate()

    def close(self) -> None:
        """Waits for the process to end."""
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope='module')
def start_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Backend]]:
    """A function that starts the backend with options and environment variables; all are ended with the module."""
    folder = tmp_path_factory.mktemp('elsewhere')
    running: list[Backend] = []

    def start(*options: str, **settings: str) -> Backend:
        running.append(Backend(folder, *options, **settings))
        return running[-1]

    yield start
    for backend in running:
        backend.terminate()
    for backend in running:
        backend.close()
