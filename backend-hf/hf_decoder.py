"""What a decoder-only transformer is made of: the parts of a transformers model, in one form for all known families.

A family differs from another in its norms, its positions, its feed-forward part and where its weights stand.
`hf_readers` finds them in transformers' classes, and the runners compute from this form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import torch


class NormKind(IntEnum):
    """The values are those of native/decoder.cpp, as in the other enums here."""

    NONE = 0
    RMS = 1
    LAYER = 2


class Activation(IntEnum):
    """The feed-forward part's non-linearity."""

    SILU = 0
    GELU_TANH = 1
    GELU_ERF = 2
    RELU = 3


class Rotation(IntEnum):
    """Which dimensions rotary embedding turns together: those half a head apart, or neighbours."""

    NONE = 0
    HALVES = 1
    PAIRS = 2


class UnknownDecoderError(Exception):
    """The model is not of a form that is known here. The message says in what."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalization of vectors. `weight` and `bias` are float32."""

    kind: NormKind
    weight: torch.Tensor
    bias: torch.Tensor | None
    epsilon: float


@dataclass(frozen=True, slots=True)
class Affine:
    """`weight` is [outputs, inputs], `bias` [outputs]."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter adds to a product: up(down(input)). `down` is [rank, inputs], `up` [outputs, rank]."""

    down: torch.Tensor
    up: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class LayerAdapter:
    """What an adapter adds to a layer's products: `qkv` to queries, keys and values one below the other."""

    qkv: LowRank | None
    out: LowRank | None
    gate: LowRank | None
    up: LowRank | None
    down: LowRank | None


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """One layer. `window` is the number of positions a token sees, 0 for all; `rotation` indexes Decoder.rotations."""

    attention_norm: Norm
    query: Affine
    key: Affine
    value: Affine
    out: Affine
    mlp_norm: Norm
    up: Affine
    down: Affine
    gate: Affine | None = None
    post_attention_norm: Norm | None = None
    post_mlp_norm: Norm | None = None
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    window: int = 0
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class Decoder:
    """A whole model. `layer(i)` builds a layer; `modules[i]` is where its weights stand in the transformers model.

    `rotations` are tables of [positions, rotated / 2, (cosine, sine)]. In a parallel model attention and feed-forward
    part read the same residual stream.
    """

    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    positions: int
    activation: Activation
    attention_scale: float
    embedding: torch.Tensor
    final_norm: Norm
    head: Affine
    is_tied: bool
    modules: tuple[torch.nn.Module, ...]
    layer: Callable[[int], DecoderLayer]
    rotation: Rotation = Rotation.NONE
    rotations: tuple[torch.Tensor, ...] = ()
    is_parallel: bool = False
    attention_cap: float = 0.0
    logit_cap: float = 0.0
    embedding_scale: float = 1.0
    position_embedding: torch.Tensor | None = None
    position_offset: int = 0
    alibi: torch.Tensor | None = None
    embedding_norm: Norm | None = None
