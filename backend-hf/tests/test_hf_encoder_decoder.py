"""T5 and BART under the engine: what transformers' generate() writes, in any company and however it is asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hf_encoder_decoder import EncoderDecoderRunner

from sandle import errors
from sandle.engine.engine import FinishReason, Handle, Token
from sandle.engine.loop import EngineLoop
from sandle.engine.runner import Work
from tests.hf_engine_rig import deltas, running, submit
from tests.translators import PAIRS, generated, write_bart, write_t5

FAMILIES: dict[str, tuple[Callable[..., Path], dict[str, Any]]] = {
    't5': (write_t5, {}), 'flan': (write_t5, {'feed_forward_proj': 'gated-gelu', 'tie_word_embeddings': False}),
    'bart': (write_bart, {}), 'forced': (write_bart, {'forced_bos_token_id': 1})}
SOURCES = [source for source, _ in PAIRS]
ODD = [*SOURCES, 'the dog sleeps', 'one red bird is not good', '', SOURCES[0]]


def texts(handle: Handle) -> list[str]:
    """Returns what every choice says."""
    found: dict[int, str] = {}
    for delta in deltas(handle):
        found[delta.choice] = found.get(delta.choice, '') + delta.text
    return [found[choice] for choice in sorted(found)]


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each family, in float32."""
    return {name: write(tmp_path_factory.mktemp(name), **changes) for name, (write, changes) in FAMILIES.items()}


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """Each of them."""
    return folders[request.param]


@pytest.fixture
def engine(folder: Path) -> Iterator[EngineLoop]:
    """An engine with three slots, and steps shorter than prompts."""
    with running(folder) as engine:
        yield engine


def test_text_is_what_generate_writes(engine: EngineLoop, folder: Path) -> None:
    expected = [generated(folder, source, 24) for source in ODD[:-3]]
    assert expected[:len(PAIRS)] == [target for _, target in PAIRS], 'the model has learned to answer'
    for source, text in zip(ODD, expected):
        assert texts(submit(engine, [source])) == [text]
    # All at once: more than slots, of different lengths, so that they join and leave each other in mid-flight.
    assert texts(submit(engine, ODD[:-3] * 2)) == expected * 2
    assert texts(submit(engine, [SOURCES[1]], candidates=4)) == [expected[1]] * 4
    [info] = engine.models()
    assert 'echo' not in info.capabilities


def test_logprobs_are_the_models_own(folders: dict[str, Path]) -> None:
    auto: Any = transformers.AutoModelForSeq2SeqLM
    model = auto.from_pretrained(folders['t5'], local_files_only=True).eval()
    with running(folders['t5']) as engine:
        handle = submit(engine, SOURCES, logprobs=2)
        found: dict[int, list[Token]] = {}
        for delta in deltas(handle):
            found.setdefault(delta.choice, []).extend(delta.tokens)
    for choice, tokens in found.items():
        written = torch.tensor([[0, *(token.id for token in tokens[:-1])]])  # T5 begins with its padding
        with torch.inference_mode():
            expected = model(input_ids=torch.tensor([handle.prompt_ids[choice]]), decoder_input_ids=written).logits[0]
        for token, row in zip(tokens, expected.log_softmax(-1)):
            assert token.logprob == pytest.approx(row[token.id].item(), abs=2e-4)
            assert token.top is not None
            assert [other.logprob for other in token.top] == pytest.approx(row.topk(2).values.tolist(), abs=2e-4)


def test_seeded_sample_is_the_same_in_any_company(folders: dict[str, Path]) -> None:
    with running(folders['bart']) as engine:
        alone = texts(submit(engine, [SOURCES[0]], candidates=3, temperature=2.0, seed=7))
        crowd = [submit(engine, [source], temperature=1.5, seed=1) for source in SOURCES]
        assert texts(submit(engine, [SOURCES[0]], candidates=3, temperature=2.0, seed=7)) == alone
        assert len(set(alone)) > 1 and all(texts(handle) for handle in crowd)


def test_answer_ends_at_a_stop_string_and_at_its_length(folders: dict[str, Path]) -> None:
    with running(folders['t5']) as engine:
        text = PAIRS[1][1]
        assert texts(submit(engine, [SOURCES[1]], stops=(' und',))) == [text.partition(' und')[0]]
        handle = submit(engine, [SOURCES[1]], max_tokens=2)
        assert deltas(handle)[-1].finish_reason is FinishReason.LENGTH
        assert handle.cancel().completion_tokens == 2


def test_prompt_and_answer_have_a_context_each(folders: dict[str, Path]) -> None:
    with running(folders['bart']) as engine:  # of 64 tokens
        assert texts(submit(engine, [(5,) * 64], max_tokens=4))
        for prompt, count in (((5,) * 65, 1), ((5,), 65)):
            with pytest.raises(errors.ContextLengthExceededError):
                submit(engine, [prompt], max_tokens=count)


def test_slots_keep_what_they_hold_when_others_leave(folders: dict[str, Path]) -> None:
    auto: Any = transformers.AutoModelForSeq2SeqLM
    model = auto.from_pretrained(folders['bart'], local_files_only=True).eval()
    runner = EncoderDecoderRunner(model, 3)
    prompts = [[1, 9, 8, 2], [1, 20, 21, 22, 23, 2], [1, 30, 2]]
    answers = [[40, 41, 42], [50, 51, 52], [60, 61, 62]]

    def expected(row: int, length: int) -> torch.Tensor:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompts[row]]),
                           decoder_input_ids=torch.tensor([[2, *answers[row][:length]]])).logits
        return torch.as_tensor(logits[0, -1])

    def work(row: int, length: int) -> Work:
        start = len(prompts[row]) + length
        tokens = answers[row][length - 1:length] if length else prompts[row]
        return Work(row, start - len(tokens), tokens, 1, prompt_length=len(prompts[row]))

    # (row, length of its answer) in each step: together, apart, beside others that are elsewhere, together again.
    for step in ([(0, 0), (1, 0)], [(0, 1), (1, 1)], [(0, 2)], [(2, 0), (1, 2)], [(2, 1)], [(2, 2)],
                 [(0, 3), (1, 3), (2, 3)]):
        found = runner.step([work(*each) for each in step])
        torch.testing.assert_close(found, torch.stack([expected(*each) for each in step]), rtol=1e-4, atol=1e-4)
