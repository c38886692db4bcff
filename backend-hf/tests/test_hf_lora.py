"""LoRA adapters: peft's own numbers, beside each other and their base in one batch; and what is refused."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hf_kernels
import pytest
import safetensors.torch
import torch
from hf_adapters import CONFIG, WEIGHTS, Adapter, read_adapter
from hf_batched import BatchedRunner
from hf_decoder import LowRank, UnknownDecoderError
from hf_device_runner import DeviceRunner
from hf_lora import layer_adapters
from hf_readers import describe
from hf_runner import HfRunner
from tests.hf_families import CONTEXT, PROMPTS, build
from tests.hf_lora_rig import make_adapter, peft_logits
from tests.kernels_here import NEEDS_KERNELS

from sandle.engine.runner import LoadError, ModelRunner, Work

# One for each way in which a family's modules are put together.
FAMILIES = ('llama', 'gpt2', 'opt', 'gpt_neox', 'gptj', 'phi3', 'gemma2')
TOKENS = PROMPTS[3]
TOLERANCE = 1e-4  # of logits of magnitude 10
SETTINGS: dict[str, dict[str, Any]] = {
    'plain': {}, 'wide': {'r': 21, 'use_rslora': True, 'lora_bias': True, 'lora_alpha': 9}}
Made = tuple[Any, list[Adapter], dict[str | None, torch.Tensor]]


@pytest.fixture(scope='module', params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A model, two adapters of it as we read them, and the logits that peft computes: of none, and of each."""
    folder, model = tmp_path_factory.mktemp('adapters'), build(request.param, 0)
    with_adapter = {name: make_adapter(model, folder / name, seed, **settings)
                    for seed, (name, settings) in enumerate(SETTINGS.items())}
    expected = {name: peft_logits(each, TOKENS) for name, each in ({None: model} | with_adapter).items()}
    assert (expected['plain'] - expected[None]).abs().max() > 1
    return model, [read_adapter(name, folder / name, model) for name in SETTINGS], expected


def general(model: Any, adapters: list[Adapter]) -> ModelRunner:
    return HfRunner(copy.deepcopy(model), 4, adapters)


def batched(model: Any, adapters: list[Adapter]) -> ModelRunner:
    model = copy.deepcopy(model)
    decoder = describe(model, CONTEXT)
    return BatchedRunner(decoder, torch.float32, 4, hf_kernels.load(),
                         adapters=layer_adapters(model, decoder, adapters))


def device(model: Any, adapters: list[Adapter]) -> ModelRunner:
    model = copy.deepcopy(model)
    decoder = describe(model, CONTEXT)
    return DeviceRunner(decoder, torch.float32, 4, torch.device('cpu'),
                        adapters=layer_adapters(model, decoder, adapters))


@pytest.fixture(params=[general, pytest.param(batched, marks=NEEDS_KERNELS), device],
                ids=lambda make: make.__name__)
def runner(request: pytest.FixtureRequest, made: Made) -> Iterator[ModelRunner]:
    """Each runner with that model and both adapters."""
    runner = request.param(*made[:2])
    yield runner
    runner.release()


def test_adapters_and_their_base_in_one_batch_are_what_peft_computes(runner: ModelRunner, made: Made) -> None:
    expected, whole = made[2], len(TOKENS)
    order: list[str | None] = ['wide', None, 'plain']
    first = runner.step([Work(slot, 0, TOKENS[:20], 20, adapter) for slot, adapter in enumerate(order)])
    rest = runner.step([Work(3, 0, TOKENS[:7], 0, 'plain'),
                        *(Work(slot, 20, TOKENS[20:], whole - 20, adapter) for slot, adapter in enumerate(order))])
    last = runner.step([Work(2, 19, TOKENS[19:20], 1, 'plain'), Work(3, 7, TOKENS[7:8], 1, 'plain'),
                        Work(1, 9, TOKENS[9:10], 1), Work(0, 4, TOKENS[4:5], 1, 'wide')])
    for slot, adapter in enumerate(order):
        found = torch.cat([first[20 * slot:20 * slot + 20], rest[(whole - 20) * slot:(whole - 20) * (slot + 1)]])
        torch.testing.assert_close(found, expected[adapter], rtol=0, atol=TOLERANCE)
    wanted = torch.stack([expected['plain'][19], expected['plain'][7], expected[None][9], expected['wide'][4]])
    torch.testing.assert_close(last, wanted, rtol=0, atol=TOLERANCE)


@NEEDS_KERNELS
def test_kernels_give_the_same_bits_alone_and_in_a_batch(made: Made) -> None:
    runner = batched(*made[:2])
    names: list[str | None] = [None, 'wide', 'plain']
    works = [Work(slot, 0, TOKENS[:5 + slot], 2, adapter) for slot, adapter in enumerate(names)]
    together = runner.step(works)
    assert torch.equal(together, torch.cat([runner.step([work]) for work in works]))


@pytest.fixture
def model() -> Any:
    """A small Llama."""
    return build('llama', 0)


@pytest.fixture
def saved(model: Any, tmp_path: Path) -> Callable[..., Path]:
    """A function that saves an adapter of it with peft, and then changes its configuration and its tensors."""
    def save(config: Mapping[str, object] = {}, tensors: Callable[[dict[str, torch.Tensor]], object] = len,
             **settings: Any) -> Path:
        make_adapter(model, tmp_path, 0, **{'target_modules': ['q_proj'], **settings})
        file = tmp_path / CONFIG
        file.write_text(json.dumps(json.loads(file.read_text()) | config))
        stored = safetensors.torch.load_file(tmp_path / WEIGHTS)
        tensors(stored)
        safetensors.torch.save_file(stored, tmp_path / WEIGHTS)
        return tmp_path

    return save


def rename(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], object]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        for key in list(tensors):
            tensors[key.replace(old, new)] = tensors.pop(key)

    return change


@pytest.mark.parametrize(('arguments', 'words'), [
    ({'use_dora': True}, 'use_dora is set'),
    ({'rank_pattern': {'q_proj': 2}}, 'rank_pattern is set'),
    ({'alpha_pattern': {'q_proj': 2}}, 'alpha_pattern is set'),
    ({'config': {'bias': 'all'}}, "bias is 'all'"),
    ({'config': {'peft_type': 'IA3'}}, "of the type 'IA3'"),
    ({'config': {'init_lora_weights': 'pissa'}}, "init_lora_weights is 'pissa'"),
    ({'config': {'modules_to_save': ['lm_head']}}, 'modules_to_save is set'),
    ({'config': {'what_comes_next': True}}, 'what_comes_next is set'),
    ({'config': {'r': 0}}, 'no rank'),
    ({'config': {'r': 3}}, 'another rank'),
    ({'target_modules': ['lm_head']}, 'lm_head'),
    ({'target_modules': ['embed_tokens']}, 'embed_tokens'),
    ({'tensors': rename('self_attn.q_proj', 'self_attn')}, "self_attn' is not a linear module of a layer"),
    ({'tensors': rename('q_proj', 'w_proj')}, "no module 'model.layers.0.self_attn.w_proj'"),
    ({'tensors': rename('lora_B', 'lora_magnitude_vector')}, 'no part of a LoRA adapter'),
    ({'tensors': rename('q_proj', 'k_proj')}, 'other sizes than in the model'),
    ({'tensors': lambda tensors: tensors.popitem()}, 'one lora_A and one lora_B'),
    ({'tensors': lambda tensors: tensors.clear()}, 'holds nothing'),
])
def test_what_is_not_supported_is_refused_in_one_line(saved: Callable[..., Path], model: Any,
                                                      arguments: dict[str, Any], words: str) -> None:
    folder = saved(**arguments)
    with pytest.raises(LoadError) as caught:
        read_adapter('pirate', folder, model)
    assert words in str(caught.value)
    assert str(caught.value).startswith("The adapter 'pirate' cannot be used: ") and '\n' not in str(caught.value)


@pytest.mark.parametrize(('name', 'words'), [(CONFIG, 'has no adapter_config.json'), (WEIGHTS, 'pickles are not read')])
def test_missing_file_is_named(saved: Callable[..., Path], model: Any, name: str, words: str) -> None:
    folder = saved()
    (folder / name).unlink()
    with pytest.raises(LoadError, match=words):
        read_adapter('pirate', folder, model)


def test_damaged_weights_are_refused(saved: Callable[..., Path], model: Any) -> None:
    folder = saved()
    (folder / WEIGHTS).write_bytes(b'not safetensors at all')
    with pytest.raises(LoadError, match='cannot be read'):
        read_adapter('pirate', folder, model)


def test_module_outside_of_the_layers_is_left_to_the_general_runner(model: Any) -> None:
    model.extra = torch.nn.Linear(4, 4)
    some = read_adapter_of(model, 'extra')
    with pytest.raises(UnknownDecoderError, match="'extra', which is in no layer"):
        layer_adapters(model, describe(model, CONTEXT), [some])


def read_adapter_of(model: Any, module: str) -> Adapter:
    inputs = model.get_submodule(module).in_features
    return Adapter('some', {module: LowRank(torch.ones(1, inputs), torch.ones(4, 1))})
