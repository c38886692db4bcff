"""How much memory a model and its users' texts take: `python bench/sizing.py` prints the tables of docs/scaling.md.

Computed from the shapes in the models' published config.json, for decoders of the LLaMA kind (grouped-query attention,
gated feed-forward part); nothing is measured. GB are 10⁹ bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GB = 10 ** 9
CACHE_BYTES = 2  # of a number in the cache: bfloat16
UTILIZATION = 0.9  # the share of a GPU's memory that vLLM takes
WORKING_GB = 2  # on each GPU, beside weights and cache: activations, CUDA graphs, communication
TEXT_TOKENS = 4096
MACHINE_GPUS = 8
FORMATS = (('bf16', 2.0), ('8 bit', 1.0), ('4 bit', 0.5))  # bytes a parameter; the scales of small formats add a little
GPUS = ((1, 24), (1, 80), (2, 80), (4, 80), (8, 80), (16, 80))  # how many of how many GB


@dataclass(frozen=True, slots=True)
class Shape:
    """A model: the numbers of its config.json. `has_qkv_bias` as in Qwen 2."""

    name: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int
    head_size: int = 128
    has_qkv_bias: bool = False

    @property
    def parameters(self) -> int:
        """How many parameters it has, the input and the output embedding apart."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        attention = 2 * self.hidden * queries + 2 * self.hidden * keys
        bias = queries + 2 * keys if self.has_qkv_bias else 0
        layer = attention + bias + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return 2 * self.vocabulary * self.hidden + self.layers * layer + self.hidden

    @property
    def cache_bytes(self) -> int:
        """Bytes of key and value cache that one token takes."""
        return 2 * self.layers * self.kv_heads * self.head_size * CACHE_BYTES

    def weights_gb(self, parameter_bytes: float) -> float:
        """The weights' size."""
        return self.parameters * parameter_bytes / GB

    def tokens_in_flight(self, gpus: int, memory_gb: int, parameter_bytes: float) -> int | None:
        """Tokens of all users' texts together that fit beside the weights; None if the model cannot run there.

        Each GPU of a machine has a part of every layer's heads; a KV head cannot be parted, so several have it whole.
        """
        parts = min(gpus, MACHINE_GPUS)
        left = gpus * (memory_gb * UTILIZATION - WORKING_GB) * GB - self.parameters * parameter_bytes
        tokens = int(left / (self.cache_bytes * max(1, parts // self.kv_heads)))
        return tokens if tokens >= TEXT_TOKENS and self.heads % parts == 0 else None


MODELS = (
    Shape('LLaMA 2 7B', 32, 4096, 11008, 32, 32, 32000),
    Shape('Qwen 2.5 7B', 28, 3584, 18944, 28, 4, 152064, has_qkv_bias=True),
    Shape('LLaMA 3.1 8B', 32, 4096, 14336, 32, 8, 128256),
    Shape('LLaMA 3.1 70B', 80, 8192, 28672, 64, 8, 128256),
    Shape('Qwen 2.5 72B', 80, 8192, 29568, 64, 8, 152064, has_qkv_bias=True),
    Shape('LLaMA 3.1 405B', 126, 16384, 53248, 128, 8, 128256),
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table, the first column to the left and the others to the right."""
    lines = [head, ['---', *['--:'] * (len(head) - 1)], *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def memory_table() -> str:
    """What weights and a token take."""
    head = ['model', 'parameters', *(f'weights, {name}' for name, _ in FORMATS), 'layers × KV heads × head size',
            'cache a token', f'a text of {TEXT_TOKENS:,} tokens']
    return table(head, ([
        model.name, f'{model.parameters / 1e9:.1f} · 10⁹',
        *(f'{model.weights_gb(size):.0f} GB' for _, size in FORMATS),
        f'{model.layers} × {model.kv_heads} × {model.head_size}', f'{model.cache_bytes / 1000:.0f} kB',
        f'{model.cache_bytes * TEXT_TOKENS / GB:.1f} GB'] for model in MODELS))


def fit_table() -> str:
    """How many tokens fit on how many GPUs."""
    head = ['model', 'weights', *(f'{count} × {memory} GB' for count, memory in GPUS)]
    return table(head, ([model.name, name, *(_tokens(model.tokens_in_flight(*gpus, size)) for gpus in GPUS)]
                        for model in MODELS for name, size in FORMATS))


def _tokens(count: int | None) -> str:
    return '–' if count is None else f'{count / 1000:,.0f} k'


if __name__ == '__main__':
    print(memory_table(), fit_table(), sep='\n\n')
