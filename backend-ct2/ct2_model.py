"""Brings a CTranslate2 model into memory, and says what it can do. Knows nothing of requests."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ct2_checkpoint import Checkpoint
from ct2_library import DecoderOnly, EncoderDecoder, Library
from ct2_steps import BatchOptions, BatchSteps
from ct2_tokenizer import Ct2Tokenizer

from sandle.engine.runner import LoadError
from sandle.engine.statistics import Recorder
from sandle.errors import ContextLengthExceededError

# What the library lets each request have. Not here: `seed`, since its random numbers are one sequence for all requests;
# penalties, biases, `min_p` and `typical_p`, which it does not have or, as repetition_penalty, counts otherwise.
CAPABILITIES = frozenset({'best_of', 'ignore_eos', 'logprobs', 'n', 'return_token_ids', 'tokenize', 'top_k'})


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded; as the options of serve-backend-ct2.py. `threads` compute for each batch."""

    compute_type: str
    max_seq_len: int
    threads: int
    batching: BatchOptions


def capabilities_of(checkpoint: Checkpoint) -> frozenset[str]:
    """Returns the request fields that a model supports. The tokens of an encoder's prompt have no probabilities."""
    return CAPABILITIES if checkpoint.is_encoder_decoder else CAPABILITIES | {'echo'}


class Ct2Loader:
    """Implements `sandle.engine.runner.ModelLoader` for models by their ids."""

    def __init__(self, checkpoints: Mapping[str, Checkpoint], options: LoadOptions) -> None:
        self._checkpoints = checkpoints
        self._options = options

    def load(self, model_id: str, report: Callable[[str], None]) -> 'Ct2Model':
        """See ModelLoader.load."""
        checkpoint, options = self._checkpoints[model_id], self._options
        tokenizer = Ct2Tokenizer(checkpoint)
        report('loading the weights')
        kind = EncoderDecoder if checkpoint.is_encoder_decoder else DecoderOnly
        try:
            library = kind(str(checkpoint.folder), device='cpu', compute_type=options.compute_type,
                           inter_threads=options.batching.batches, intra_threads=options.threads)
        except (RuntimeError, ValueError) as error:
            raise LoadError(f'{checkpoint.folder} cannot be loaded: {error}.') from error
        context_length = min(options.max_seq_len, checkpoint.positions or options.max_seq_len)
        return Ct2Model(checkpoint, library, tokenizer, context_length, options.batching)


class Ct2Model:
    """Implements `sandle.engine.runner.TextModel`."""

    lacks: frozenset[str] = frozenset()

    def __init__(self, checkpoint: Checkpoint, library: Library, tokenizer: Ct2Tokenizer, context_length: int,
                 batching: BatchOptions) -> None:
        self.tokenizer = tokenizer
        self.capabilities = frozenset({'chat'} if tokenizer.info.chat_template is not None else ())
        self.context_length = context_length
        self.slots = batching.batches * batching.max_batch_size
        self.strips_first_space = checkpoint.is_encoder_decoder and tokenizer.strips_first_space
        self._checkpoint = checkpoint
        self._library = library
        self._batching = batching
        self._pool = ThreadPoolExecutor(batching.batches, 'batch')

    def room(self, prompt_tokens: int) -> int:
        """See TextModel.room. An encoder-decoder model reads and writes in different places."""
        if self._checkpoint.is_encoder_decoder:
            return self.context_length if prompt_tokens <= self.context_length else 0
        return self.context_length - prompt_tokens

    def check_length(self, prompt_tokens: int, max_tokens: int) -> None:
        """See TextModel.check_length."""
        if max_tokens > self.room(prompt_tokens):
            raise ContextLengthExceededError(self.context_length, prompt_tokens, max_tokens)

    def new_steps(self, max_batch_tokens: int, recorder: Recorder) -> BatchSteps:
        """See TextModel.new_steps. How many tokens a step has is the library's."""
        return BatchSteps(self._checkpoint, self._library, self._pool, self._batching, recorder)

    def release(self) -> None:
        """See Resident.release. Batches whose answers are all over end within a token."""
        self._pool.shutdown()
        self._library.release()
