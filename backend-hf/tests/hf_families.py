"""A small random model of every family that the runners are tested with, and what generate() says it answers.

Every parameter is random, biases and norms too, so that nothing a runner might leave out goes unnoticed; and weights
are large enough that attention decides what comes next.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers

VOCABULARY = 288
CONTEXT = 64
WINDOW = 8  # of the families whose attention slides: shorter than most of the prompts
MIN_MARGIN = 1e-3  # between the two likeliest tokens of every reference: below it fp32 itself may decide
MIN_DISTINCT = 10  # tokens in all answers together: a model that repeats itself would prove little
SEEDS = 40

Config = Callable[[], transformers.PreTrainedConfig]

SPECIAL = {'vocab_size': VOCABULARY, 'bos_token_id': 0, 'eos_token_id': 1, 'pad_token_id': 2}
SIZES = SPECIAL | {'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4,
                   'max_position_embeddings': CONTEXT}
GROUPED = SIZES | {'num_key_value_heads': 2}
GEMMA = GROUPED | {'head_dim': 16, 'query_pre_attn_scalar': 24}
GPT2 = SPECIAL | {'n_embd': 32, 'n_layer': 2, 'n_head': 4, 'n_positions': CONTEXT}
OPT = SPECIAL | {'hidden_size': 32, 'ffn_dim': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4,
                 'max_position_embeddings': CONTEXT, 'word_embed_proj_dim': 32}
EXPERTS = GROUPED | {'num_experts_per_tok': 2, 'moe_intermediate_size': 24, 'decoder_sparse_step': 1}
ALTERNATING = ['sliding_attention', 'full_attention']


def _llama(**changes: Any) -> Config:
    return lambda: transformers.LlamaConfig(**GROUPED | changes)


def _scaled(kind: str, **parameters: Any) -> Config:
    return _llama(rope_parameters={'rope_type': kind, 'rope_theta': 10000.0, 'factor': 4.0} | parameters)


FAMILIES: dict[str, Config] = {
    'opt': lambda: transformers.OPTConfig(**OPT),
    'opt-350m': lambda: transformers.OPTConfig(**OPT | {'word_embed_proj_dim': 16, 'do_layer_norm_before': False}),
    'bloom': lambda: transformers.BloomConfig(**SPECIAL, hidden_size=32, n_layer=2, n_head=4),
    'bloom-6-heads': lambda: transformers.BloomConfig(**SPECIAL, hidden_size=48, n_layer=2, n_head=6),
    'gptj': lambda: transformers.GPTJConfig(**GPT2, rotary_dim=4),
    'gpt2': lambda: transformers.GPT2Config(**GPT2),
    'gpt_neox': lambda: transformers.GPTNeoXConfig(**SIZES),
    'gpt_neox-sequential': lambda: transformers.GPTNeoXConfig(
        **SIZES, use_parallel_residual=False,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0, 'partial_rotary_factor': 0.5}),
    'llama': _llama(),
    'llama-tied': _llama(tie_word_embeddings=True),
    'llama-biased': _llama(attention_bias=True, mlp_bias=True),
    'llama-all-heads': _llama(num_key_value_heads=4, head_dim=12),
    'llama-llama3': _scaled('llama3', low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
    'llama-linear': _scaled('linear'),
    'llama-dynamic': _scaled('dynamic'),
    'llama-yarn': _scaled('yarn', original_max_position_embeddings=16),
    'mistral': lambda: transformers.MistralConfig(**GROUPED, sliding_window=WINDOW),
    'mistral-no-window': lambda: transformers.MistralConfig(**GROUPED, sliding_window=None),
    'qwen2': lambda: transformers.Qwen2Config(**GROUPED),
    'qwen2-window': lambda: transformers.Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=WINDOW,
                                                     max_window_layers=1),
    'qwen3': lambda: transformers.Qwen3Config(**GROUPED, head_dim=16),
    'gemma': lambda: transformers.GemmaConfig(**GROUPED, head_dim=16),
    'gemma2': lambda: transformers.Gemma2Config(
        **GEMMA, sliding_window=WINDOW, layer_types=ALTERNATING, attn_logit_softcapping=3.0,
        final_logit_softcapping=10.0),
    'gemma3': lambda: transformers.Gemma3TextConfig(**GEMMA, sliding_window=WINDOW, layer_types=ALTERNATING),
    'phi': lambda: transformers.PhiConfig(**SIZES),
    'phi3': lambda: transformers.Phi3Config(**GROUPED),
    'phi3-window': lambda: transformers.Phi3Config(**GROUPED, sliding_window=WINDOW),
    'phi3-longrope': lambda: transformers.Phi3Config(
        **GROUPED, original_max_position_embeddings=14, rope_parameters={
            'rope_type': 'longrope', 'rope_theta': 10000.0, 'short_factor': [1.0, 1.1, 1.2, 1.3],
            'long_factor': [2.0, 3.0, 4.0, 5.0], 'original_max_position_embeddings': 14}),
    'mixtral': lambda: transformers.MixtralConfig(**GROUPED, num_local_experts=4, sliding_window=WINDOW),
    'qwen2_moe': lambda: transformers.Qwen2MoeConfig(**EXPERTS, num_experts=4, shared_expert_intermediate_size=24),
    'qwen3_moe': lambda: transformers.Qwen3MoeConfig(**EXPERTS, num_experts=4, head_dim=16),
    'falcon': lambda: transformers.FalconConfig(
        **SPECIAL, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=CONTEXT),
    'falcon-alibi': lambda: transformers.FalconConfig(
        **SPECIAL, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True, bias=True,
        new_decoder_architecture=False, multi_query=False, max_position_embeddings=CONTEXT),
    'starcoder2': lambda: transformers.Starcoder2Config(**GROUPED, sliding_window=WINDOW),
    'gpt_bigcode': lambda: transformers.GPTBigCodeConfig(**GPT2),
    'gpt_neo': lambda: transformers.GPTNeoConfig(
        **SPECIAL, hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48, window_size=WINDOW,
        attention_types=[[['global', 'local'], 1]], max_position_embeddings=CONTEXT),
    'stablelm': lambda: transformers.StableLmConfig(**GROUPED, use_qkv_bias=True),
    'olmo2': lambda: transformers.Olmo2Config(**GROUPED),
}

# PROMPTS[1] and PROMPTS[2] share 9 tokens, and PROMPTS[3] begins with all of PROMPTS[1].
PROMPTS = [
    [5, 9, 11],
    [7, 120, 33, 33, 250, 8, 19, 77, 101, 64, 3, 12],
    [7, 120, 33, 33, 250, 8, 19, 77, 101, 205, 41, 6, 92, 140, 9, 270, 18],
    [7, 120, 33, 33, 250, 8, 19, 77, 101, 64, 3, 12, 211, 44, 160, 31, 15, 88, 273, 20, 65, 65, 109, 54, 230, 17],
]
COUNTS = [12, 12, 12, CONTEXT - len(PROMPTS[3])]  # the last one to the last position that the model has


@dataclass(frozen=True)
class Reference:
    """What generate() answers to a prompt, and the logits [tokens, V] that it chose by."""

    tokens: list[int]
    logits: torch.Tensor


@dataclass(frozen=True)
class Tiny:
    """A model, and the answers to PROMPTS."""

    model: Any
    references: list[Reference]


@functools.cache
def tiny(family: str) -> Tiny:
    """Returns the first model of a family, over the seeds, whose answers leave no doubt. fp32, on the CPU."""
    for seed in range(SEEDS):
        model = build(family, seed)
        references = [generate(model, prompt, count) for prompt, count in zip(PROMPTS, COUNTS)]
        ranked = torch.cat([reference.logits for reference in references]).topk(2).values
        distinct = {token for reference in references for token in reference.tokens}
        if float((ranked[:, 0] - ranked[:, 1]).min()) > MIN_MARGIN and len(distinct) >= MIN_DISTINCT:
            return Tiny(model, references)
    raise AssertionError(f'no seed gives a {family} with clear answers')


def build(family: str, seed: int) -> Any:
    """Returns a model of a family with every parameter drawn."""
    config = FAMILIES[family]()
    # The fast kernels leave out the capping of scores, and say so; the loader chooses likewise.
    eager = {'attn_implementation': 'eager'} if getattr(config, 'attn_logit_softcapping', None) else {}
    auto_model: Any = transformers.AutoModelForCausalLM
    model = auto_model.from_config(config, dtype=torch.float32, **eager).eval()
    model.generation_config.eos_token_id = None
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter += 0.3 * noise
            elif 'embed' in name or 'wte' in name or 'wpe' in name:
                parameter.copy_(0.15 * noise)  # little, or a model whose output is its embedding says its input again
            else:
                parameter.copy_(noise * 2 / parameter.shape[-1] ** 0.5)
    return model


def generate(model: Any, prompt: list[int], count: int) -> Reference:
    """Asks generate() for greedy tokens."""
    output = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                            max_new_tokens=count, do_sample=False, return_dict_in_generate=True, output_logits=True)
    tokens = output.sequences[0, len(prompt):].tolist()
    assert len(tokens) == count
    return Reference(tokens, torch.cat(output.logits).float())
