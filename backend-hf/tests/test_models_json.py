"""The models.json that this backend comes with."""

from pathlib import Path

from sandle.catalog import read_catalog
from sandle.checkpoint import inspect

MODELS_FILE = Path(__file__).resolve().parent.parent / 'models.json'
OF_THE_ORIGINAL = {
    *(f'bigscience/{family}{size}' for family in ('bloom', 'bloomz')
      for size in ('-560m', '-1b1', '-1b7', '-3b', '-7b1', '')),
    'EleutherAI/gpt-j-6B',
    *(f'facebook/opt-{size}' for size in ('125m', '350m', '1.3b', '2.7b', '6.7b', '13b', '30b', '66b')),
}


def test_embedded_model_is_first_and_there() -> None:
    first = read_catalog(MODELS_FILE)[0]
    assert first.id == 'sandle-tiny'
    assert first.path is not None
    assert inspect(first.path).stored_bytes < 16 * 10 ** 6


def test_models_of_the_original_are_on_offer() -> None:
    assert len(OF_THE_ORIGINAL) == 21
    assert OF_THE_ORIGINAL <= {entry.repo for entry in read_catalog(MODELS_FILE)}


def test_every_other_model_is_named_as_the_hub_names_it() -> None:
    for entry in read_catalog(MODELS_FILE)[1:]:
        assert entry.repo == entry.id and entry.id.count('/') == 1
        assert entry.owned_by == entry.id.split('/')[0]
