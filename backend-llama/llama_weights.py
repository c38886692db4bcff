"""What a LLaMA-shaped model is, whatever files it comes in: its measures, its vocabulary, its tensors.

Names of tensors and what is in the vocabulary are GGUF's. Knows no file format.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

Tensors = Callable[[], Iterator[tuple[str, torch.Tensor]]]


@dataclass(frozen=True, slots=True)
class Measures:
    """The numbers of a model."""

    vocab_size: int
    context_length: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward_width: int
    norm_epsilon: float
    rope_base: float
    rope_linear_factor: float | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens by id. `kind` is GGUF's: `gpt2` for byte-level pairs with `merges`, `llama` for SentencePiece's `scores`.

    `types` are gguf.TokenType's numbers. `huggingface` is a tokenizer.json to be kept as it is.
    """

    kind: str
    tokens: list[bytes]
    types: list[int]
    scores: list[float] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    pre: str = 'default'
    bos: int | None = None
    eos: int | None = None
    eot: int | None = None
    pad: int | None = None
    unk: int | None = None
    adds_bos: bool = False
    adds_space: bool = False
    template: str | None = None
    huggingface: str | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that can be written as GGUF. `tensors` reads one at a time, so that memory holds no more than one."""

    name: str
    measures: Measures
    vocabulary: Vocabulary
    tensors: Tensors
    parameters: int


def slowed(base: float, width: int, scaling: Mapping[str, float]) -> torch.Tensor:
    """Returns what the frequency of each pair of a head's numbers is divided by, as Llama 3.1 does it. [width / 2]

    Long waves are slowed by `factor`, short ones not at all, and those between the two by something between.
    """
    turns = scaling['original_max_position_embeddings'] / (2 * math.pi) * base ** (-torch.arange(0, width, 2) / width)
    low, high = scaling['low_freq_factor'], scaling['high_freq_factor']
    share = ((turns - low) / (high - low)).clamp(0, 1)  # of the wave that is kept as it is
    return 1 / ((1 - share) / scaling['factor'] + share)


def paired(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Returns a query or key projection with the two numbers that rope turns together side by side.

    Meta and llama.cpp have them so; Hugging Face has the first ones of all pairs before the second ones. [rows, …]
    """
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)
