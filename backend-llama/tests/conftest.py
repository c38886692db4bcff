"""sandle-tiny to put something beside; and whether llama.cpp is here at all."""

import importlib.util
import shutil
from pathlib import Path

import pytest

SANDLE_TINY = Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
FILES = ('config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what needs llama.cpp where it is not: it takes minutes to compile, and the stack runs without it."""
    if importlib.util.find_spec('llama_cpp') is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason='NO llama.cpp HERE: backend-llama is NOT tested'))


@pytest.fixture(scope='session')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sandle-tiny as a folder in the Hugging Face format, for all tests: what is converted is put there."""
    folder = tmp_path_factory.mktemp('tiny') / 'sandle-tiny'
    folder.mkdir()
    for name in FILES:
        shutil.copy(SANDLE_TINY / name, folder)
    return folder
