"""Downloads, from a Hub of our own: what is fetched, what is told meanwhile, and how each failure is worded."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import hf_download
import hf_progress
import pytest
from hf_download import RemoteWeights
from hf_progress import Meter
from huggingface_hub import constants

from sandle.checkpoint import Allowed
from sandle.engine.download import Download
from sandle.engine.runner import LoadError

REPO = 'someone/model'


def ignore(progress: str | Download) -> None:
    """A report that nobody reads."""


@pytest.fixture
def files(llama_folder: Path, tmp_path: Path) -> Path:
    """A repository's files: a model, and much that is not to be fetched."""
    folder = Path(shutil.copytree(llama_folder, tmp_path / 'repository'))
    for name in ('README.md', 'pytorch_model.bin', 'modeling.py', 'onnx/model.json', 'consolidated.safetensors'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b'{}')
    return folder


def refusal(repo: str = REPO, revision: str | None = None) -> str:
    started_s = time.monotonic()
    with pytest.raises(LoadError) as caught:
        hf_download.fetch(repo, revision, ignore)
    assert time.monotonic() - started_s < 10
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_only_what_is_needed_is_fetched(hub: Any, files: Path) -> None:
    hub.repos[REPO, 'main'] = files
    folder = hf_download.fetch(REPO, None, ignore)
    fetched = {file.relative_to(folder).as_posix() for file in folder.rglob('*') if file.is_file()}
    assert fetched == {'config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json',
                       'tokenizer_config.json'}
    assert (folder / 'model.safetensors').read_bytes() == (files / 'model.safetensors').read_bytes()


def test_what_is_in_the_cache_is_used_without_a_network(hub: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO, 'main'] = files
    first = hf_download.fetch(REPO, None, ignore)
    hub.requested.clear()
    assert hf_download.fetch(REPO, None, ignore) == first
    assert hub.requested == []
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert hf_download.fetch(REPO, None, ignore) == first


def test_interrupted_download_is_taken_up_again(hub: Any, files: Path) -> None:
    hub.repos[REPO, 'main'] = files
    folder = hf_download.fetch(REPO, None, ignore)
    (folder / 'model.safetensors').unlink()
    assert hf_download.fetch(REPO, None, ignore) == folder
    assert (folder / 'model.safetensors').is_file()


def test_progress_tells_bytes_total_rate_and_what_is_left(
        hub: Any, files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(hf_progress, 'REPORT_INTERVAL_S', 0.0)
    monkeypatch.setattr(constants, 'DOWNLOAD_CHUNK_SIZE', 65536)
    caplog.set_level('INFO')
    hub.chunk_delay_s = 0.01
    hub.repos[REPO, 'main'] = files
    big = bytearray((files / 'model.safetensors').read_bytes()) + bytes(3 * 2 ** 20)
    (files / 'model.safetensors').write_bytes(big)
    told: list[str | Download] = []
    hf_download.fetch(REPO, None, told.append)
    last = told[-1]
    assert isinstance(last, Download)
    assert last.downloaded_bytes == last.total_bytes == len(big)
    assert last.bytes_per_second > 0 and last.remaining_s == 0
    assert len({progress for progress in told if isinstance(progress, Download)}) > 5
    assert any(REPO in record.message and 'downloading' in record.message for record in caplog.records)


def test_progress_of_an_interrupted_download_is_that_of_what_is_missing(
        hub: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_progress, 'REPORT_INTERVAL_S', 0.0)
    monkeypatch.setattr(constants, 'DOWNLOAD_CHUNK_SIZE', 65536)
    shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
    (files / shards[0]).write_bytes(bytes(1000))
    (files / 'model.safetensors').rename(files / shards[1])
    (files / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': dict(zip('xy', shards))}))
    hub.repos[REPO, 'main'] = files
    folder = hf_download.fetch(REPO, None, ignore)
    (folder / shards[1]).resolve().unlink()
    (folder / shards[1]).unlink()
    told: list[str | Download] = []
    hf_download.fetch(REPO, None, told.append)
    last = told[-1]
    assert isinstance(last, Download)
    assert last.downloaded_bytes == last.total_bytes == (files / shards[1]).stat().st_size


class Clock:
    """The time, as a test says."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_is_that_of_the_last_seconds_and_what_was_there_before_counts_for_nothing_in_it() -> None:
    clock, told = Clock(), list[str | Download]()
    meter = Meter(REPO, 10_000, told.append, clock)
    meter.stored(5000)  # from a download that was interrupted
    assert told == [Download(5000, 10_000, 0)] and Download(5000, 10_000, 0).remaining_s is None
    for _ in range(20):
        clock.now_s += 1
        meter.received(10)
    assert isinstance(told[-1], Download) and told[-1].bytes_per_second == pytest.approx(10)
    for _ in range(20):
        clock.now_s += 1
        meter.stored(100)
        meter.received(100)
    last = told[-1]
    assert isinstance(last, Download) and (last.downloaded_bytes, last.total_bytes) == (7000, 10_000)
    assert last.bytes_per_second == pytest.approx(100) and last.remaining_s == pytest.approx(30)
    assert str(Download(2 ** 30, 2 ** 31, 2 ** 20)) == 'downloading: 1.0 GiB of 2.0 GiB, 1.0 MiB/s, 17 min left'


def test_index_names_the_files_to_fetch(hub: Any, files: Path) -> None:
    (files / 'model.safetensors').rename(files / 'model-00001-of-00001.safetensors')
    (files / 'model.safetensors.index.json').write_text(json.dumps(
        {'weight_map': {'x': 'model-00001-of-00001.safetensors'}}))
    hub.repos[REPO, 'main'] = files
    folder = hf_download.fetch(REPO, None, ignore)
    assert (folder / 'model-00001-of-00001.safetensors').is_file()
    assert not (folder / 'consolidated.safetensors').exists()


def test_model_that_is_refused_costs_no_weights(hub: Any, files: Path) -> None:
    (files / 'config.json').write_text('{"auto_map": {}}')
    hub.repos[REPO, 'main'] = files
    assert 'auto_map' in refusal()
    assert not any('safetensors' in line for line in hub.requested)


def test_pickle_only_repository_is_refused_before_it_is_fetched(hub: Any, files: Path) -> None:
    (files / 'model.safetensors').unlink()
    hub.repos[REPO, 'main'] = files
    assert 'only as a pickle' in refusal()
    assert not any('resolve' in line for line in hub.requested)
    (files / 'pytorch_model.bin').unlink()
    assert 'no weights in the safetensors format' in refusal()


def pull_request(number: int, author: str, **changes: object) -> dict[str, object]:
    return {'title': 'Adding `safetensors` variant of this model', 'num': number, 'author': {'name': author},
            'status': 'open', 'isPullRequest': True, 'repo': {'name': REPO, 'type': 'model'},
            'createdAt': '2023-01-01T00:00:00.000Z'} | changes


def test_conversion_by_the_hub_itself_is_found_and_found_again(hub: Any, files: Path, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    main = Path(shutil.copytree(files, tmp_path / 'main'))
    (main / 'model.safetensors').unlink()
    hub.repos |= {(REPO, 'main'): main, (REPO, 'refs/pr/7'): files, (REPO, 'refs/pr/3'): files}
    hub.pull_requests = [pull_request(3, 'mallory'), pull_request(5, 'SFconvertbot', status='closed'),
                         pull_request(7, 'SFconvertbot')]
    folder = hf_download.fetch(REPO, None, ignore)
    assert folder.name == hub.sha(REPO, 'refs/pr/7')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert hf_download.fetch(REPO, None, ignore) == folder


def test_pull_request_of_anyone_else_is_not_taken(hub: Any, files: Path, tmp_path: Path) -> None:
    main = Path(shutil.copytree(files, tmp_path / 'main'))
    (main / 'model.safetensors').unlink()
    hub.repos |= {(REPO, 'main'): main, (REPO, 'refs/pr/3'): files}
    hub.pull_requests = [pull_request(3, 'mallory')]
    assert 'only as a pickle' in refusal()


def test_failures_are_one_line_with_a_remedy(hub: Any, files: Path) -> None:
    hub.repos |= {(REPO, 'main'): files, ('meta/gated', 'main'): files, ('someone/broken', 'main'): files}
    hub.gated.add('meta/gated')
    hub.broken.add('someone/broken')
    assert 'set HF_TOKEN' in refusal('meta/gated') and 'gated' in refusal('meta/gated')
    assert 'is not on the Hub, or is private' in refusal('someone/unknown')
    assert "no revision 'v9'" in refusal(REPO, 'v9')
    assert 'answered 500' in refusal('someone/broken')
    assert 'neither a folder nor the name' in refusal('a/b/c')


def test_weights_are_looked_at_before_they_are_fetched(hub: Any, files: Path) -> None:
    size = (files / 'model.safetensors').stat().st_size
    looked_at: list[RemoteWeights] = []

    def refuse(weights: RemoteWeights) -> None:
        looked_at.append(weights)
        raise LoadError('too large')

    hub.repos[REPO, 'main'] = files
    for _ in ('the Hub has not counted', 'now it has'):
        with pytest.raises(LoadError, match='^too large$'):
            hf_download.fetch(REPO, None, ignore, check=refuse)
        hub.parameters[REPO] = 12345
    (files / 'config.json').write_text('{"quantization_config": {"quant_method": "gptq"}}')
    hub.repos['someone/quantized', 'main'] = files
    with pytest.raises(LoadError, match='^too large$'):
        hf_download.fetch('someone/quantized', None, ignore, Allowed(quantized=True), refuse)
    assert looked_at == [RemoteWeights(size, size // 4, False), RemoteWeights(size, 12345, False),
                         RemoteWeights(size, size // 4, True)]
    assert not any('safetensors' in line for line in hub.requested)


def test_full_disk_is_told_before_the_download(hub: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO, 'main'] = files
    monkeypatch.setattr('shutil.disk_usage', lambda path: shutil._ntuple_diskusage(10, 10, 0))
    assert 'make room, or set HF_HOME' in refusal()


def test_cache_that_cannot_be_written_is_named(hub: Any, files: Path, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO, 'main'] = files
    (tmp_path / 'file').write_text('')
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'file' / 'cache'))
    assert 'cannot be stored in' in refusal()


def test_unreachable_hub_fails_at_once(unreachable_hub: None) -> None:
    started_s = time.monotonic()
    assert 'cannot be reached: connect the machine, or give the folder' in refusal()
    assert time.monotonic() - started_s < 3


def test_silent_hub_fails_within_seconds(silent_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_download, 'ASK_TIMEOUT_S', 1.0)
    assert 'cannot be reached' in refusal()


def test_offline_by_choice_says_so(unreachable_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert '--offline (or HF_HUB_OFFLINE) keeps it from being fetched' in refusal()
