"""A LoRA adapter changes the numbers as its matrices say, and as strongly as it is told to."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from llama_convert import Source
from llama_library import Adapter
from llama_model import LlamaLoader, LoadOptions

from sandle.engine.runner import LoadError
from tests.llama_rig import SANDLE_TINY, score

RANK, ALPHA, SCALE = 4, 6.0, 0.5
ADAPTED = {'blk.1.ffn_down': 'model.layers.1.mlp.down_proj', 'blk.0.attn_v': 'model.layers.0.self_attn.v_proj'}


def write_adapter(path: Path, matrices: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> Path:
    """Writes an adapter as llama.cpp's converter does: A [rank, in] and B [out, rank] of each tensor."""
    writer = gguf.GGUFWriter(path, 'llama')
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, 'lora')
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, ALPHA)
    for name, (down, up) in matrices.items():
        writer.add_tensor(f'{name}.weight.lora_a', down.numpy().astype(np.float32))
        writer.add_tensor(f'{name}.weight.lora_b', up.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_adapter_is_added_to_the_weights(tmp_path: Path) -> None:
    reference = transformers.AutoModelForCausalLM.from_pretrained(SANDLE_TINY, dtype=torch.float32)
    source = torch.Generator().manual_seed(1)
    matrices = {}
    for name, module in ADAPTED.items():
        weight = reference.get_submodule(module).weight
        down = torch.randn(RANK, weight.shape[1], generator=source) / weight.shape[1] ** 0.5
        up = torch.randn(weight.shape[0], RANK, generator=source)
        matrices[name] = down, up
        with torch.no_grad():
            weight += SCALE * ALPHA / RANK * up @ down
    file = write_adapter(tmp_path / 'adapter.gguf', matrices)
    model = LlamaLoader(Source(SANDLE_TINY), LoadOptions(
        slots=1, cache_dir=tmp_path, adapters=(Adapter(file, SCALE),))).load('m', lambda line: None)
    ids = list(model.tokenizer.encode('The capital of France is Paris.', True))
    with torch.inference_mode():
        adapted = reference(torch.tensor([ids])).logits[0]
    assert (score(model, ids) - adapted).abs().max() < 1e-3
    plain = LlamaLoader(Source(SANDLE_TINY), LoadOptions(slots=1, cache_dir=tmp_path)).load('m', lambda line: None)
    assert (score(plain, ids) - adapted).abs().max() > 1, 'the adapter makes a difference'
    model.release()
    plain.release()


def test_adapter_of_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    file = write_adapter(tmp_path / 'adapter.gguf', {'blk.77.ffn_down': (torch.zeros(2, 3), torch.zeros(5, 2))})
    options = LoadOptions(slots=1, cache_dir=tmp_path, adapters=(Adapter(file),))
    with pytest.raises(LoadError, match=r'adapter\.gguf cannot be used as an adapter: .*blk\.77') as caught:
        LlamaLoader(Source(SANDLE_TINY), options).load('m', lambda line: None)
    assert '\n' not in str(caught.value)
