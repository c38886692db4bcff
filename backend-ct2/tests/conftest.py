"""Three models in CTranslate2's format, converted once."""

from pathlib import Path

import pytest

# Modules beside this one are imported by the fixtures: while conftest files are loaded `tests` is another folder yet.


@pytest.fixture(scope='session')
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """T5 and BART in the Hugging Face format, each in a folder of that name."""
    from tests.translators import write_bart, write_t5
    folder = tmp_path_factory.mktemp('originals')
    write_t5(folder / 't5')
    write_bart(folder / 'bart')
    return folder


@pytest.fixture(scope='session')
def models(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with T5, BART and sandle-tiny."""
    from tests.ct2_rig import SANDLE_TINY, convert
    folder = tmp_path_factory.mktemp('models')
    for source in (originals / 't5', originals / 'bart', SANDLE_TINY):
        convert(source, folder / source.name)
    return folder
