"""A model without weights for the engine's tests: its next token is a function of all tokens before it."""

import threading
from collections.abc import Callable, Sequence

import torch

from sandle.engine.engine import Conversation, TokenizerInfo
from sandle.engine.runner import LoadedModel, LoadError, Work

VOCABULARY = 300  # bytes, then special tokens
EOS = 256
BOS = 257
PREFIX, SUFFIX, MIDDLE = 258, 259, 260


class ByteTokenizer:
    """One token a byte, and two special ones."""

    vocab_size = VOCABULARY
    eos_ids = frozenset({EOS})
    default_prompt = (BOS,)
    infill_ends = frozenset({PREFIX, SUFFIX, MIDDLE})
    info = TokenizerInfo('ByteTokenizer', bos_token='<s>', eos_token='</s>')

    def __init__(self, can_infill: bool) -> None:
        self.can_infill = can_infill

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """See Tokenizer.encode."""
        return [BOS] * add_special_tokens + ([BOS] if text == '<s>' else list(text.encode()))

    def infill(self, prefix: str | Sequence[int], suffix: str, add_special_tokens: bool) -> list[int]:
        """See Tokenizer.infill."""
        before = prefix.encode() if isinstance(prefix, str) else prefix
        return [BOS] * add_special_tokens + [PREFIX, *before, SUFFIX, *suffix.encode(), MIDDLE]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See TextTokenizer.detokenize."""
        return ''.join(chr(token) if token < 128 else self.token_name(token) for token in tokens)

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        raise AssertionError('it has no template')

    def token_bytes(self, token: int) -> bytes:
        """See Tokenizer.token_bytes."""
        return bytes([token]) if token < 256 else b''

    def token_name(self, token: int) -> str:
        """See Tokenizer.token_name."""
        return {EOS: '</s>', BOS: '<s>'}.get(token, f'<{token}>')


def next_token(tokens: Sequence[int]) -> int:
    """What the scripted model finds likeliest: lower-case letters in an order that depends on every token before."""
    return ord('a') + (31 * sum(tokens) + 7 * len(tokens)) % 26


class ScriptedRunner:
    """A ModelRunner that checks what it is told: a slot must hold exactly what the work builds upon."""

    def __init__(self, slots: int, likeliest: Callable[[Sequence[int]], int] = next_token) -> None:
        self.slots = slots
        self.held: list[list[int]] = [[] for _ in range(slots)]
        self.steps: list[list[Work]] = []
        self.copies: list[tuple[int, int, int]] = []
        self.is_released = False
        self.fails_on: Callable[[Work], bool] = lambda work: False
        self.gate: threading.Event | None = None  # when set, a step waits for it
        self._likeliest = likeliest

    def step(self, batch: Sequence[Work]) -> torch.Tensor:
        """See ModelRunner.step."""
        assert not self.is_released
        if self.gate is not None:
            assert self.gate.wait(10)
        assert len({work.slot for work in batch}) == len(batch)
        self.steps.append(list(batch))
        return torch.cat([torch.empty(0, VOCABULARY), *map(self._forward, batch)])

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """See ModelRunner.copy_prefix."""
        assert length <= len(self.held[source])
        self.copies.append((source, target, length))
        self.held[target] = self.held[source][:length]

    def release(self) -> None:
        """See ModelRunner.release."""
        self.is_released = True

    def _forward(self, work: Work) -> torch.Tensor:
        if self.fails_on(work):
            raise RuntimeError('the scripted model fails')
        held = self.held[work.slot]
        assert work.start <= len(held), 'a slot cannot be continued behind its end'
        held[work.start:] = work.tokens
        first = len(held) - work.logits
        return torch.stack([self._logits(held[:first + row + 1]) for row in range(work.logits)]) if work.logits else (
            torch.empty(0, VOCABULARY))

    def _logits(self, tokens: Sequence[int]) -> torch.Tensor:
        logits = torch.linspace(0, 1, VOCABULARY)
        logits[self._likeliest(tokens)] = 5.0
        return logits


class ScriptedLoader:
    """A ModelLoader of scripted models. `broken` names those that cannot be loaded."""

    def __init__(self, slots: int = 4, context_length: int = 128,
                 likeliest: Callable[[Sequence[int]], int] = next_token, can_infill: bool = False) -> None:
        self._slots = slots
        self._tokenizer = ByteTokenizer(can_infill)
        self._likeliest = likeliest
        self.runners: dict[str, ScriptedRunner] = {}
        self.loads: list[str] = []
        self.broken: set[str] = set()
        self._context_length = context_length

    def load(self, model_id: str, report: Callable[[str], None]) -> LoadedModel:
        """See ModelLoader.load."""
        assert all(runner.is_released for runner in self.runners.values()), 'two models are in memory at once'
        self.loads.append(model_id)
        report('half way')
        if model_id in self.broken:
            raise LoadError('its file is broken; download it again')
        self.runners[model_id] = runner = ScriptedRunner(self._slots, self._likeliest)
        return LoadedModel(runner, self._tokenizer, self._context_length)


def completion(prompt: Sequence[int], count: int) -> list[int]:
    """What the scripted model answers greedily."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(next_token(tokens))
    return tokens[len(prompt):]
