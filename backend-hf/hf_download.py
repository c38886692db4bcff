"""Gets a model's files from the Hub, or finds them in its cache.

What is in the cache whole is used as it is and nobody is asked, so that a start needs no network; pin a `revision` in
models.json, or empty the cache, to have another version. Knows the Hub; knows nothing of what is in the files.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hf_embedding_folder import has_its_modules, module_files
from huggingface_hub import HfApi, constants, errors, file_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils._validators import validate_repo_id
from hf_hub_errors import FAILURES, load_error
from hf_progress import Meter, progress_class

from sandle import checkpoint
from sandle.checkpoint import Allowed
from sandle.engine.runner import LoadError, Report
from sandle.units import gib

Result = TypeVar('Result')

SMALL_FILES = frozenset({'.json', '.model', '.txt', '.jinja', '.tiktoken'})
CODE_FILES = frozenset({'.py'})
WIDEST_BYTES = 4  # a parameter's, where nobody has counted them: float32
ASK_TIMEOUT_S = 8.0  # for the Hub to say what a repository holds; name resolution has no limit of its own
CONNECT_TIMEOUT_S = 5.0
CONVERSION_AUTHOR = 'SFconvertbot'  # the Hub's own service that offers safetensors as a pull request


@dataclass(frozen=True, slots=True)
class Source:
    """A repository at a revision, which is a commit, with the sizes in bytes of its files."""

    repo: str
    revision: str
    commit: str
    files: dict[str, int]
    parameters: int | None  # those of its weights in safetensors, if the Hub has counted them


@dataclass(frozen=True, slots=True)
class RemoteWeights:
    """What is known of weights before they are fetched; `parameters` are not counted too high."""

    stored_bytes: int
    parameters: int
    is_quantized: bool


Check = Callable[[RemoteWeights], None]
"""Raises LoadError for weights that are not to be fetched."""


def accept(weights: RemoteWeights) -> None:
    """Lets any weights be fetched."""


def go_offline() -> None:
    """Has this process never ask the Hub, as HF_HUB_OFFLINE does."""
    constants.HF_HUB_OFFLINE = True


def fetch(repo: str, revision: str | None, report: Report, allowed: Allowed = Allowed(),
          check: Check = accept) -> Path:
    """Returns the folder with a repository's files, after downloading what is missing. Raises LoadError.

    `report` is told how far it has come about once a second; `check` is asked before weights are fetched.
    """
    return _fetch(repo, revision, report, lambda: find_cached(repo, revision), lambda: _find_source(repo, revision),
                  lambda source, told: _download(source, told, allowed, check))


def fetch_files(repo: str, revision: str | None, names: Iterable[str], report: Report) -> Path:
    """Returns a folder with those files of a repository that it has, after downloading what is missing.

    Files that are there once are taken to be all. Raises LoadError; `report` as for `fetch`.
    """
    wanted = list(names)

    def cached() -> Path | None:
        folder = _cached_folder(repo, revision or 'main', wanted)
        return folder if folder is not None and any((folder / name).is_file() for name in wanted) else None

    return _fetch(repo, revision, report, cached, lambda: _list(HfApi(), repo, revision or 'main'),
                  lambda source, told: _snapshot(source, [name for name in wanted if name in source.files], told))


def _fetch(repo: str, revision: str | None, report: Report, find: Callable[[], Path | None],
           ask: Callable[[], Source], download: Callable[[Source, Report], Path]) -> Path:
    try:
        validate_repo_id(repo)
        cached = find()
        if cached is not None:
            return cached
        report('asking the Hub for the list of files')
        return download(within(ASK_TIMEOUT_S, ask), report)
    except FAILURES as error:
        raise load_error(repo, revision, error) from error


def find_cached(repo: str, revision: str | None) -> Path | None:
    """Returns the folder of the Hub's cache that holds a repository's files, if it is there and whole."""
    for candidate in [revision] if revision is not None else ['main', *_cached_conversions(repo)]:
        folder = _cached_folder(repo, candidate, ['config.json'])
        try:
            if folder is not None:
                checkpoint.weight_files(folder)
                if has_its_modules(folder):
                    return folder
        except LoadError:
            continue
    return None


def _cached_folder(repo: str, revision: str, names: list[str]) -> Path | None:
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=names, local_files_only=True))
    except errors.LocalEntryNotFoundError:
        return None


def within(timeout_s: float, work: Callable[[], Result]) -> Result:
    """Runs work on a thread of its own and waits for it. Raises what it raises, and TimeoutError in time."""
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # handed on to the caller, below
            failure.append(error)

    thread = threading.Thread(target=run, name='hub', daemon=True)
    thread.start()
    thread.join(timeout_s)
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError(f'no answer within {timeout_s:g} s')
    return outcome[0]


def _find_source(repo: str, revision: str | None) -> Source:
    """Asks the Hub what there is. Raises LoadError when a repository has no safetensors."""
    api = HfApi()
    source = _list(api, repo, revision or 'main')
    if not _has_safetensors(source.files) and revision is None:
        conversion = _find_conversion(api, repo)
        source = source if conversion is None else _list(api, repo, conversion)
    if not _has_safetensors(source.files):
        if any(Path(name).match(pattern) for name in source.files for pattern in checkpoint.PICKLES):
            raise LoadError(f'The model {repo!r} has its weights only as a pickle, which could run code when read: '
                            'name a revision with safetensors in models.json, or convert it and give the folder.')
        raise LoadError(f'The model {repo!r} has no weights in the safetensors format: choose another model.')
    return source


def _list(api: HfApi, repo: str, revision: str) -> Source:
    info = api.model_info(repo, revision=revision, files_metadata=True, timeout=CONNECT_TIMEOUT_S)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    parameters = None if info.safetensors is None else info.safetensors.total
    return Source(repo, revision, info.sha or revision, sizes, parameters)


def _download(source: Source, report: Report, allowed: Allowed, check: Check) -> Path:
    """Downloads what is missing: the small files first, so that a model that is refused costs no more than those."""
    suffixes = SMALL_FILES | CODE_FILES if allowed.code else SMALL_FILES
    small = [name for name in source.files if '/' not in name and Path(name).suffix in suffixes]
    folder = _snapshot(source, small, report)
    checkpoint.check_configs(folder, allowed)
    weights = [checkpoint.SINGLE] if checkpoint.SINGLE in source.files else checkpoint.shards(folder)
    stored_bytes = sum(source.files.get(name, 0) for name in weights)
    check(RemoteWeights(stored_bytes, source.parameters or stored_bytes // WIDEST_BYTES,
                        bool(checkpoint.read_json(folder / 'config.json').get('quantization_config'))))
    return _snapshot(source, [*weights, *module_files(folder, source.files)], report)


def _snapshot(source: Source, names: list[str], report: Report) -> Path:
    missing = [name for name in names if not isinstance(
        try_to_load_from_cache(source.repo, name, revision=source.commit), str)]
    size = sum(source.files.get(name, 0) for name in missing)
    _check_disk(source.repo, size)
    return Path(snapshot_download(source.repo, revision=source.revision, allow_patterns=names,
                                  etag_timeout=CONNECT_TIMEOUT_S,
                                  tqdm_class=progress_class(Meter(source.repo, size, report))))


def _has_safetensors(files: dict[str, int]) -> bool:
    return checkpoint.SINGLE in files or checkpoint.INDEX in files


def _find_conversion(api: HfApi, repo: str) -> str | None:
    """Returns the pull request of the Hub's conversion service that adds safetensors, if there is one.

    Anyone may open a pull request with any weights; only that service's are taken.
    """
    for request in api.get_repo_discussions(repo, author=CONVERSION_AUTHOR, discussion_type='pull_request'):
        if request.author == CONVERSION_AUTHOR and 'safetensors' in request.title and request.status == 'open':
            return f'refs/pr/{request.num}'
    return None


def _cached_conversions(repo: str) -> list[str]:
    """Returns the pull requests whose files were downloaded before: only those that `_find_conversion` chose are."""
    folder = Path(constants.HF_HUB_CACHE, file_download.repo_folder_name(repo_id=repo, repo_type='model'))
    return [f'refs/pr/{file.name}' for file in sorted((folder / 'refs' / 'refs' / 'pr').glob('*'))]


def _check_disk(repo: str, size: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if size > free:
        raise LoadError(f'The model {repo!r} needs {gib(size)} on the disk of {cache}, where {gib(free)} are free: '
                        'make room, or set HF_HOME to a folder with more.')
