"""Reads what a transformers model is made of into the one form of `hf_decoder`: a function for each way to build one.

Knows where each family keeps its weights and what it does with them; computes nothing.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from hf_decoder import Activation, Affine, Decoder, DecoderLayer, Norm, NormKind, Rotation, UnknownDecoderError

ACTIVATIONS = {'silu': Activation.SILU, 'swish': Activation.SILU, 'gelu_new': Activation.GELU_TANH,
               'gelu_fast': Activation.GELU_TANH, 'gelu_pytorch_tanh': Activation.GELU_TANH,
               'gelu': Activation.GELU_ERF, 'relu': Activation.RELU}
STATIC_ROPE = frozenset({'default', 'linear', 'llama3', 'yarn'})  # the others change with the length of the text
OPT_POSITION_OFFSET = 2


def describe(model: Any, positions: int) -> Decoder:  # Any: transformers' models share no typed base
    """Returns what a model is made of, for texts of at most `positions` tokens. Raises UnknownDecoderError."""
    family = model.config.model_type
    reader = FAMILIES.get(family)
    if reader is None:
        raise UnknownDecoderError(f'the family {family!r} is not known')
    decoder = reader(model, positions)
    if decoder.head_size * decoder.heads != decoder.layer(0).query.weight.shape[0]:
        raise UnknownDecoderError('the heads do not add up to the queries')
    return decoder


def _llama(model: Any, positions: int) -> Decoder:
    """LLaMA and its like: RMS norms, rotary positions, a gated feed-forward part; Gemma with norms after them, too."""
    config, inner = model.config, model.model
    is_gemma = config.model_type.startswith('gemma')
    has_post_norms = config.model_type in ('gemma2', 'gemma3_text')
    head_size = getattr(config, 'head_dim', None) or config.hidden_size // config.num_attention_heads
    kinds = list(getattr(config, 'layer_types', None) or ['full_attention'] * config.num_hidden_layers)
    tables = list(dict.fromkeys(kinds)) if config.model_type == 'gemma3_text' else [None]
    rotations = tuple(_rotation_table(inner.rotary_emb, positions, kind) for kind in tables)
    window = getattr(config, 'sliding_window', None) or 0
    is_alternating = bool(getattr(config, 'layer_types', None))

    def norm(module: Any) -> Norm:
        return _rms(module, offset=1.0 if is_gemma else 0.0)

    def layer(index: int) -> DecoderLayer:
        module = inner.layers[index]
        attention, mlp = module.self_attn, module.mlp
        sizes = [config.num_attention_heads * head_size, *[config.num_key_value_heads * head_size] * 2]
        query, key, value = _split(attention.qkv_proj, sizes) if hasattr(attention, 'qkv_proj') else (
            _affine(attention.q_proj), _affine(attention.k_proj), _affine(attention.v_proj))
        gate, up = _split(mlp.gate_up_proj, [config.intermediate_size] * 2) if hasattr(mlp, 'gate_up_proj') else (
            _affine(mlp.gate_proj), _affine(mlp.up_proj))
        is_windowed = not is_alternating or kinds[index] == 'sliding_attention'
        return DecoderLayer(
            attention_norm=norm(module.input_layernorm), query=query, key=key, value=value,
            out=_affine(attention.o_proj),
            mlp_norm=norm(module.pre_feedforward_layernorm if has_post_norms else module.post_attention_layernorm),
            up=up, down=_affine(mlp.down_proj), gate=gate,
            post_attention_norm=norm(module.post_attention_layernorm) if has_post_norms else None,
            post_mlp_norm=norm(module.post_feedforward_layernorm) if has_post_norms else None,
            query_norm=norm(attention.q_norm) if hasattr(attention, 'q_norm') else None,
            key_norm=norm(attention.k_norm) if hasattr(attention, 'k_norm') else None,
            window=window if is_windowed else 0,
            rotation=tables.index(kinds[index]) if len(tables) > 1 else 0)

    scale = getattr(config, 'query_pre_attn_scalar', None) or head_size
    return Decoder(
        config.hidden_size, config.num_attention_heads, config.num_key_value_heads, head_size, positions,
        _activation(getattr(config, 'hidden_activation', None) or config.hidden_act), scale ** -0.5,
        inner.embed_tokens.weight, norm(inner.norm), _affine(model.lm_head), _is_tied(model), tuple(inner.layers),
        layer, Rotation.HALVES, rotations, attention_cap=getattr(config, 'attn_logit_softcapping', None) or 0.0,
        logit_cap=getattr(config, 'final_logit_softcapping', None) or 0.0,
        embedding_scale=_stored(config.hidden_size ** 0.5, inner.embed_tokens.weight) if is_gemma else 1.0)


def _opt(model: Any, positions: int) -> Decoder:
    config, inner = model.config, model.model.decoder
    if not config.do_layer_norm_before or inner.project_in is not None or inner.final_layer_norm is None:
        raise UnknownDecoderError('OPT with norms after its blocks, or with projected embeddings')

    def layer(index: int) -> DecoderLayer:
        module = inner.layers[index]
        attention = module.self_attn
        return DecoderLayer(
            _layer_norm(module.self_attn_layer_norm), _affine(attention.q_proj), _affine(attention.k_proj),
            _affine(attention.v_proj), _affine(attention.out_proj), _layer_norm(module.final_layer_norm),
            _affine(module.fc1), _affine(module.fc2))

    head_size = config.hidden_size // config.num_attention_heads
    return Decoder(
        config.hidden_size, config.num_attention_heads, config.num_attention_heads, head_size, positions,
        _activation(config.activation_function), head_size ** -0.5, inner.embed_tokens.weight,
        _layer_norm(inner.final_layer_norm), _affine(model.lm_head), _is_tied(model), tuple(inner.layers), layer,
        position_embedding=inner.embed_positions.weight, position_offset=OPT_POSITION_OFFSET)


def _gpt2(model: Any, positions: int) -> Decoder:
    config, inner = model.config, model.transformer
    if config.scale_attn_by_inverse_layer_idx or config.reorder_and_upcast_attn or config.add_cross_attention:
        raise UnknownDecoderError('GPT-2 with attention of another kind')

    def layer(index: int) -> DecoderLayer:
        module = inner.h[index]
        query, key, value = (_transposed(part, config.hidden_size) for part in
                             zip(module.attn.c_attn.weight.split(config.hidden_size, 1),
                                 module.attn.c_attn.bias.split(config.hidden_size)))
        return DecoderLayer(
            _layer_norm(module.ln_1), query, key, value, _conv1d(module.attn.c_proj), _layer_norm(module.ln_2),
            _conv1d(module.mlp.c_fc), _conv1d(module.mlp.c_proj))

    head_size = config.hidden_size // config.num_attention_heads
    return Decoder(
        config.hidden_size, config.num_attention_heads, config.num_attention_heads, head_size, positions,
        _activation(config.activation_function), head_size ** -0.5 if config.scale_attn_weights else 1.0,
        inner.wte.weight, _layer_norm(inner.ln_f), _affine(model.lm_head), _is_tied(model), tuple(inner.h), layer,
        position_embedding=inner.wpe.weight)


def _gpt_neox(model: Any, positions: int) -> Decoder:
    config, inner = model.config, model.gpt_neox
    heads, head_size = config.num_attention_heads, config.hidden_size // config.num_attention_heads

    def layer(index: int) -> DecoderLayer:
        module = inner.layers[index]
        return _interleaved_layer(module, module.attention, heads, head_size)

    return Decoder(
        config.hidden_size, heads, heads, head_size, positions, _activation(config.hidden_act), head_size ** -0.5,
        inner.embed_in.weight, _layer_norm(inner.final_layer_norm), _affine(model.lm_head), _is_tied(model),
        tuple(inner.layers), layer, Rotation.HALVES, (_rotation_table(inner.rotary_emb, positions, None),),
        is_parallel=config.use_parallel_residual)


def _gptj(model: Any, positions: int) -> Decoder:
    config, inner = model.config, model.transformer
    head_size = config.hidden_size // config.num_attention_heads
    sines, cosines = inner.h[0].attn.embed_positions.float().chunk(2, -1)  # [positions, rotated / 2] each

    def layer(index: int) -> DecoderLayer:
        module = inner.h[index]
        attention, norm = module.attn, _layer_norm(module.ln_1)
        return DecoderLayer(
            norm, _affine(attention.q_proj), _affine(attention.k_proj), _affine(attention.v_proj),
            _affine(attention.out_proj), norm, _affine(module.mlp.fc_in), _affine(module.mlp.fc_out))

    return Decoder(
        config.hidden_size, config.num_attention_heads, config.num_attention_heads, head_size, positions,
        _activation(config.activation_function), head_size ** -0.5, inner.wte.weight, _layer_norm(inner.ln_f),
        _affine(model.lm_head), _is_tied(model), tuple(inner.h), layer, Rotation.PAIRS,
        (torch.stack([cosines, sines], -1)[:positions],), is_parallel=True)


def _phi(model: Any, positions: int) -> Decoder:
    config, inner = model.config, model.model
    head_size = config.hidden_size // config.num_attention_heads
    if config.qk_layernorm:
        raise UnknownDecoderError('Phi with normed queries and keys')

    def layer(index: int) -> DecoderLayer:
        module = inner.layers[index]
        attention, norm = module.self_attn, _layer_norm(module.input_layernorm)
        return DecoderLayer(
            norm, _affine(attention.q_proj), _affine(attention.k_proj), _affine(attention.v_proj),
            _affine(attention.dense), norm, _affine(module.mlp.fc1), _affine(module.mlp.fc2))

    return Decoder(
        config.hidden_size, config.num_attention_heads, config.num_key_value_heads, head_size, positions,
        _activation(config.hidden_act), head_size ** -0.5, inner.embed_tokens.weight,
        _layer_norm(inner.final_layernorm), _affine(model.lm_head), _is_tied(model), tuple(inner.layers), layer,
        Rotation.HALVES, (_rotation_table(inner.rotary_emb, positions, None),), is_parallel=True)


def _bloom(model: Any, positions: int) -> Decoder:
    config, inner = model.config, model.transformer
    heads, head_size = config.n_head, config.hidden_size // config.n_head
    if config.apply_residual_connection_post_layernorm:
        raise UnknownDecoderError('BLOOM whose residual stream is what its norms give')

    def layer(index: int) -> DecoderLayer:
        module = inner.h[index]
        return _interleaved_layer(module, module.self_attention, heads, head_size)

    return Decoder(
        config.hidden_size, heads, heads, head_size, positions, Activation.GELU_TANH, head_size ** -0.5,
        inner.word_embeddings.weight, _layer_norm(inner.ln_f), _affine(model.lm_head), _is_tied(model), tuple(inner.h),
        layer, alibi=alibi_slopes(heads), embedding_norm=_layer_norm(inner.word_embeddings_layernorm))


FAMILIES: dict[str, Callable[[Any, int], Decoder]] = {
    **dict.fromkeys(('llama', 'mistral', 'qwen2', 'qwen3', 'phi3', 'gemma', 'gemma2', 'gemma3_text'), _llama),
    'opt': _opt, 'gpt2': _gpt2, 'gpt_neox': _gpt_neox, 'gptj': _gptj, 'phi': _phi, 'bloom': _bloom}


def alibi_slopes(heads: int) -> torch.Tensor:
    """Returns each head's slope (Press et al. 2022): powers of two, filled up from the next power's series."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (index + 1) / power) for index in range(power)]
    slopes += [2 ** (-4 * (2 * index + 1) / power) for index in range(heads - power)]
    return torch.tensor(slopes)


def _rotation_table(rotary: Any, positions: int, kind: str | None) -> torch.Tensor:
    """Returns [positions, rotated / 2, 2] of cosines and sines, the scaling of attention in them."""
    rope_type = rotary.rope_type if kind is None else rotary.rope_type[kind]
    if rope_type not in STATIC_ROPE:
        raise UnknownDecoderError(f'rotary positions of the type {rope_type!r}')
    places = torch.arange(positions)[None]
    with torch.inference_mode():
        cosines, sines = rotary(torch.zeros(1), places, *([] if kind is None else [kind]))
    half = cosines.shape[-1] // 2
    return torch.stack([cosines[0, :, :half], sines[0, :, :half]], -1).float().contiguous()


def _rms(module: Any, offset: float) -> Norm:
    epsilon = getattr(module, 'variance_epsilon', None) or module.eps
    return Norm(NormKind.RMS, module.weight.detach().float() + offset, None, float(epsilon))


def _layer_norm(module: torch.nn.LayerNorm) -> Norm:
    bias = None if module.bias is None else module.bias.detach().float()
    return Norm(NormKind.LAYER, module.weight.detach().float(), bias, module.eps)


def _affine(module: Any) -> Affine:
    return Affine(module.weight.detach(), None if module.bias is None else module.bias.detach())


def _conv1d(module: Any) -> Affine:
    return Affine(module.weight.detach().T, module.bias.detach())


def _transposed(part: tuple[torch.Tensor, torch.Tensor], outputs: int) -> Affine:
    weight, bias = part
    assert weight.shape[1] == outputs, 'a part of the queries, keys and values is one of three'
    return Affine(weight.detach().T, bias.detach())


def _split(module: Any, sizes: list[int]) -> tuple[Affine, ...]:
    """Takes apart what one module computes together, one part after the other."""
    biases = [None] * len(sizes) if module.bias is None else module.bias.detach().split(sizes)
    return tuple(map(Affine, module.weight.detach().split(sizes), biases))


def _interleaved_layer(module: Any, attention: Any, heads: int, head_size: int) -> DecoderLayer:
    """Reads a layer of GPT-NeoX and of BLOOM, which name their parts alike."""
    query, key, value = _interleaved(attention.query_key_value, heads, head_size)
    return DecoderLayer(
        _layer_norm(module.input_layernorm), query, key, value, _affine(attention.dense),
        _layer_norm(module.post_attention_layernorm), _affine(module.mlp.dense_h_to_4h),
        _affine(module.mlp.dense_4h_to_h))


def _interleaved(module: Any, heads: int, head_size: int) -> tuple[Affine, ...]:
    """Takes apart queries, keys and values that stand head by head."""
    weight = module.weight.detach().view(heads, 3, head_size, -1)
    bias = None if module.bias is None else module.bias.detach().view(heads, 3, head_size)
    return tuple(Affine(weight[:, part].flatten(0, 1), None if bias is None else bias[:, part].flatten())
                 for part in range(3))


def _activation(name: str) -> Activation:
    if name not in ACTIVATIONS:
        raise UnknownDecoderError(f'the activation {name!r}')
    return ACTIVATIONS[name]


def _is_tied(model: Any) -> bool:
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    return bool(head.weight.data_ptr() == embedding.weight.data_ptr())


def _stored(value: float, like: torch.Tensor) -> float:
    """Returns a number as the model's own format rounds it."""
    return float(torch.tensor(value, dtype=like.dtype))
