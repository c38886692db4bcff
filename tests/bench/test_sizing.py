"""The sizes that docs/scaling.md tells are those that the script computes, and the script's are the models' own."""

from pathlib import Path

import pytest

from bench.sizing import MODELS, WORKING_GB, Shape, fit_table, memory_table

PAGE = (Path(__file__).parents[2] / 'docs/scaling.md').read_text('utf-8')
# As the models' own files add up to.
PUBLISHED = {
    'LLaMA 2 7B': 6_738_415_616, 'Qwen 2.5 7B': 7_615_616_512, 'LLaMA 3.1 8B': 8_030_261_248,
    'LLaMA 3.1 70B': 70_553_706_496, 'Qwen 2.5 72B': 72_706_203_648, 'LLaMA 3.1 405B': 405_853_388_800}


@pytest.mark.parametrize('text', [memory_table(), fit_table()], ids=['memory', 'fit'])
def test_page_has_the_table_that_the_script_prints(text: str) -> None:
    assert f'\n{text}\n' in PAGE, 'run `python bench/sizing.py` and put its tables into docs/scaling.md'


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model.name)
def test_parameters_are_the_models_own(model: Shape) -> None:
    assert model.parameters == PUBLISHED[model.name]


def test_tokens_fill_what_the_weights_leave() -> None:
    model = Shape('one', 10, 1000, 1000, 10, 2, 1000, head_size=50)
    assert model.cache_bytes == 2 * 10 * 2 * 50 * 2
    assert model.tokens_in_flight(2, 10, 2.0) == int(
        (2 * (9 - WORKING_GB) * 10 ** 9 - 2 * model.parameters) / model.cache_bytes)
    assert model.tokens_in_flight(1, WORKING_GB, 2.0) is None


def test_heads_are_shared_out() -> None:
    """To four GPUs with two KV heads each head goes twice; ten heads cannot go to four."""
    twelve, ten = (Shape('one', 10, 1000, 1000, heads, 2, 1000) for heads in (12, 10))
    on_two, on_four = (twelve.tokens_in_flight(gpus, 10, 2.0) for gpus in (2, 4))
    assert on_two is not None and on_four is not None and abs(on_four - on_two) / on_two < 0.01
    assert ten.tokens_in_flight(4, 10, 2.0) is None
