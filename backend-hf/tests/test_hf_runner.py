"""HfRunner against generate() of the same model, for several families, alone and with a reused or copied prefix."""

import pytest
import torch
import transformers
from hf_runner import HfRunner

from sandle.engine.runner import Work

VOCABULARY = 97
PROMPT = [5, 9, 11, 3, 42, 42, 17, 60]
OTHER = [5, 9, 11, 3, 8, 1, 2]


def tiny_model(family: str) -> transformers.PreTrainedModel:
    """A random model of a family, small enough to run in milliseconds, in fp32."""
    torch.manual_seed(0)
    common = {'vocab_size': VOCABULARY, 'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0}
    sizes = {'hidden_size': 32, 'intermediate_size': 64, 'num_hidden_layers': 3, 'num_attention_heads': 4,
             'max_position_embeddings': 64}
    configs = {
        'llama': lambda: transformers.LlamaConfig(**common, **sizes, num_key_value_heads=2),
        'mistral': lambda: transformers.MistralConfig(**common, **sizes, num_key_value_heads=2, sliding_window=6),
        'qwen2': lambda: transformers.Qwen2Config(**common, **sizes, num_key_value_heads=2),
        'gemma3': lambda: transformers.Gemma3TextConfig(**common, **sizes, num_key_value_heads=2, head_dim=8,
                                                        sliding_window=6),
        'phi': lambda: transformers.PhiConfig(**common, **sizes),
        'gpt_neox': lambda: transformers.GPTNeoXConfig(**common, **sizes),
        'gpt2': lambda: transformers.GPT2Config(**common, n_embd=32, n_layer=3, n_head=4, n_positions=64),
        'gptj': lambda: transformers.GPTJConfig(**common, n_embd=32, n_layer=3, n_head=4, n_positions=64, rotary_dim=4),
        'opt': lambda: transformers.OPTConfig(
            **common, hidden_size=32, ffn_dim=64, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=64, word_embed_proj_dim=32),
        'bloom': lambda: transformers.BloomConfig(**common, hidden_size=32, n_layer=3, n_head=4),
    }
    return transformers.AutoModelForCausalLM.from_config(configs[family]()).eval().float()


def generated(model: transformers.PreTrainedModel, prompt: list[int], count: int) -> list[int]:
    """What generate() answers greedily."""
    tokens = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                            max_new_tokens=count, min_new_tokens=count, do_sample=False)
    return list(tokens[0, len(prompt):].tolist())


def decode(runner: HfRunner, slot: int, logits: torch.Tensor, position: int, count: int) -> list[int]:
    """Continues a slot greedily; the end token is banned, as generate() was told."""
    tokens = []
    for step in range(count):
        row = logits[-1].clone()
        row[2] = -torch.inf
        tokens.append(int(row.argmax()))
        if step + 1 < count:
            logits = runner.step([Work(slot, position + step, tokens[-1:], 1)])
    return tokens


@pytest.mark.parametrize('family', ['llama', 'mistral', 'qwen2', 'gemma3', 'phi', 'gpt_neox', 'gpt2', 'gptj', 'opt',
                                    'bloom'])
def test_step_equals_generate_alone_in_chunks_and_after_reuse(family: str) -> None:
    model = tiny_model(family)
    wanted, wanted_other = generated(model, PROMPT, 10), generated(model, OTHER, 10)
    runner = HfRunner(model, slots=3)
    runner.step([Work(0, 0, PROMPT[:3], 0)])
    logits = runner.step([Work(0, 3, PROMPT[3:], 1)])
    assert decode(runner, 0, logits, len(PROMPT), 10) == wanted
    runner.copy_prefix(0, 1, 4)
    copied, reused = runner.step([Work(1, 4, OTHER[4:], 1), Work(0, 4, OTHER[4:], 1)])[:, None]
    assert decode(runner, 1, copied, len(OTHER), 10) == wanted_other
    assert decode(runner, 0, reused, len(OTHER), 10) == wanted_other


def test_step_returns_the_logits_asked_for() -> None:
    runner = HfRunner(tiny_model('llama'), slots=2)
    everything = runner.step([Work(0, 0, PROMPT, len(PROMPT)), Work(1, 0, PROMPT, 0)])
    last = runner.step([Work(1, 0, PROMPT, 1)])
    assert everything.shape == (len(PROMPT), VOCABULARY), 'no row where none is asked for'
    assert everything.dtype == torch.float32
    torch.testing.assert_close(everything[-1:], last)


def test_release_lets_go_of_the_model() -> None:
    runner = HfRunner(tiny_model('llama'), slots=1)
    runner.release()
    assert runner.slots == 0
