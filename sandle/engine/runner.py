"""The seam between the engine and a model: what the scheduler's plan needs done, and who does it.

A runner knows tensors and slots; it knows neither text nor requests. Everything here runs on the engine thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from sandle.engine.download import Download
from sandle.engine.engine import TextTokenizer
from sandle.errors import ContextLengthExceededError

if TYPE_CHECKING:  # types only: the scheduler and its tests need no torch
    import torch

    from sandle.engine.statistics import Recorder
    from sandle.engine.stepping import Steps


Report = Callable[[str | Download], None]
"""Takes how far a load has come: one line, or the state of a download."""


class LoadError(Exception):
    """A model cannot be loaded. The message is one line: the cause, and what the operator can do about it."""


@dataclass(frozen=True, slots=True)
class Work:
    """One sequence's share of a step: `tokens` go into `slot` from position `start` on.

    Whatever the slot holds from `start` on is overwritten. The logits after the last `logits` of the tokens are wanted:
    0 in the middle of a prompt, 1 where a token is to be chosen, all of them where a prompt is scored. `adapter` names
    the adapter that the model is to have for this sequence, if any: for all of what the slot holds. `prompt_length` of
    the sequence's tokens are its prompt, which is what an encoder reads.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    logits: int
    adapter: str | None = None
    prompt_length: int = 0


class ModelRunner(Protocol):
    """A model with a fixed number of slots; a slot is one sequence's KV cache."""

    @property
    def slots(self) -> int:
        """The number of slots."""
        ...

    def step(self, batch: Sequence[Work]) -> 'torch.Tensor':
        """Runs the model over prefill chunks and decode tokens together; every slot occurs at most once.

        Returns one float32 tensor [sum of work.logits, vocabulary], whose rows are in the order of the work. The next
        step may overwrite it.
        """
        ...

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Makes the first `length` positions of slot `target` those of slot `source`."""
        ...

    def release(self) -> None:
        """Frees the model's memory; the runner is not used again."""
        ...


class Tokenizer(TextTokenizer, Protocol):
    """A model's tokenizer, as the engine uses it. Every method may be called on any thread."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ...

    @property
    def can_infill(self) -> bool:
        """Whether the model knows tokens that ask it to write what stands between two texts."""
        ...

    @property
    def infill_ends(self) -> frozenset[int]:
        """The tokens that end what stands between two texts, beside those that end any answer."""
        ...

    def infill(self, prefix: str | Sequence[int], suffix: str, add_special_tokens: bool) -> Sequence[int]:
        """Returns the prompt that asks for what stands between two texts; only where `can_infill`."""
        ...

    @property
    def default_prompt(self) -> tuple[int, ...]:
        """What stands for an empty prompt: the beginning-of-text token, or else the end-of-text token."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """Returns the bytes that a token adds to a text; none for a special token."""
        ...

    def token_name(self, token: int) -> str:
        """Returns how a special token is written, such as `</s>`."""
        ...


class Resident(Protocol):
    """Any model in memory, whatever it makes."""

    @property
    def context_length(self) -> int:
        """The most tokens of one text."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do beyond what every model of its kind can."""
        ...

    @property
    def lacks(self) -> frozenset[str]:
        """What it cannot do of what every other model of its kind can."""
        ...

    def release(self) -> None:
        """Frees its memory; it is not used again. On the thread that loaded it."""
        ...


class TextModel(Resident, Protocol):
    """A model in memory that writes text, as `sandle.engine.loop` uses it."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What it reads and writes."""
        ...

    @property
    def slots(self) -> int:
        """The number of sequences that are worked on at once."""
        ...

    @property
    def strips_first_space(self) -> bool:
        """Whether an answer is a text of its own, whose tokenizer writes a space before every text."""
        ...

    def room(self, prompt_tokens: int) -> int:
        """Returns how many tokens there is room for after so many of a prompt: none below 1. Any thread."""
        ...

    def check_length(self, prompt_tokens: int, max_tokens: int) -> None:
        """Raises ContextLengthExceededError where it does not take so many tokens. Any thread."""
        ...

    def new_steps(self, max_batch_tokens: int, recorder: 'Recorder') -> 'Steps':
        """Returns what works on its sequences."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A TextModel over a ModelRunner.

    `context_length` is the most tokens of prompt and completion together, or of each where the model has an encoder.
    """

    runner: ModelRunner
    tokenizer: Tokenizer
    context_length: int
    is_encoder_decoder: bool = False
    strips_first_space: bool = False

    @property
    def capabilities(self) -> frozenset[str]:
        """See Resident.capabilities."""
        info = self.tokenizer.info
        return frozenset(name for name, is_there in (
            ('suffix', self.tokenizer.can_infill), ('chat', info.chat_template is not None),
            ('tools', info.template_with_tools is not None)) if is_there)

    @property
    def lacks(self) -> frozenset[str]:
        """See Resident.lacks."""
        return frozenset({'echo'} if self.is_encoder_decoder else ())

    @property
    def slots(self) -> int:
        """See TextModel.slots."""
        return self.runner.slots

    def room(self, prompt_tokens: int) -> int:
        """See TextModel.room."""
        if self.is_encoder_decoder:
            return self.context_length if prompt_tokens <= self.context_length else 0
        return self.context_length - prompt_tokens

    def check_length(self, prompt_tokens: int, max_tokens: int) -> None:
        """See TextModel.check_length."""
        if max_tokens > self.room(prompt_tokens):
            raise ContextLengthExceededError(self.context_length, prompt_tokens, max_tokens)

    def new_steps(self, max_batch_tokens: int, recorder: 'Recorder') -> 'Steps':
        """See TextModel.new_steps."""
        from sandle.engine.stepper import Stepper  # needs torch, and this module must not
        return Stepper(self, max_batch_tokens, recorder)

    def release(self) -> None:
        """See Resident.release."""
        self.runner.release()


Loaded = TypeVar('Loaded', bound=Resident, covariant=True)


class ModelLoader(Protocol[Loaded]):
    """Brings a model into memory, on the thread that will use it. Its `release` undoes it."""

    def load(self, model_id: str, report: Report) -> Loaded:
        """Loads a model of the catalog; `report` takes how far it has come. Raises LoadError."""
        ...
