"""llama.cpp as this process has it, by way of llama-cpp-python's low-level bindings.

Knows the library's own log and how its objects are made and freed; knows nothing of slots, text or requests.
"""

import ctypes
import functools
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandle.engine.runner import LoadError

logger = logging.getLogger(__name__)

WARN, ERROR, CONTINUED = 3, 4, 5  # of ggml_log_level
KEPT_LINES = 8
HOW_TO = 'install what backend-llama/requirements.txt lists; its library is compiled for this machine then'


class Library:
    """The bindings' functions as `functions`, and the last errors that the library has logged.

    There is one for the process, `load_library()`: what is logged goes to it as long as the process lives.
    """

    def __init__(self) -> None:
        """Raises LoadError when the library is not installed or does not run here."""
        try:
            from llama_cpp import llama_cpp as functions
        except (ImportError, OSError, RuntimeError) as error:
            raise LoadError(f'llama.cpp cannot be used ({error}): {HOW_TO}.') from error
        self.functions: Any = functions  # Any: C functions, of which a checker learns little
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._line = ''
        self._level = 0
        self._callback = functions.llama_log_callback(self._log)
        functions.llama_log_set(self._callback, ctypes.c_void_p())
        functions.llama_backend_init()

    def last_error(self) -> str:
        """Returns what the library said went wrong since the last call, in one line."""
        found = next(iter(self._errors), 'it does not say why')
        self._errors.clear()
        return found

    def _log(self, level: int, text: bytes, _: ctypes.c_void_p) -> None:
        """Gathers pieces into lines; a piece may continue the one before it."""
        self._level = self._level if level == CONTINUED else level
        self._line += text.decode('utf-8', 'replace')
        if not self._line.endswith('\n'):
            return
        line, self._line = ' '.join(self._line.split()), ''
        if self._level == ERROR:
            self._errors.append(line)
        logger.log(logging.WARNING if self._level == ERROR else logging.DEBUG, 'llama.cpp: %s', line)


@functools.cache
def load_library() -> Library:
    """Returns llama.cpp. Raises LoadError when it is not installed or does not run here."""
    return Library()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter in a GGUF file, and how strongly it is added."""

    path: Path
    scale: float = 1.0


class Model:
    """Weights in memory, with their vocabulary; or the vocabulary alone."""

    def __init__(self, library: Library, path: Path, gpu_layers: int = 0, *, vocabulary_only: bool = False) -> None:
        """Raises LoadError."""
        self.library = library
        functions = library.functions
        params = functions.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.vocab_only = vocabulary_only
        self.pointer = functions.llama_model_load_from_file(str(path).encode(), params)
        if not self.pointer:
            raise LoadError(f'{path} cannot be loaded: {library.last_error()}.')
        self.vocab = functions.llama_model_get_vocab(self.pointer)
        kind = next((word for word, is_kind in (
            ('an encoder', functions.llama_model_has_encoder),
            ('a diffusion model', functions.llama_model_is_diffusion),
            ('a recurrent model', functions.llama_model_is_recurrent),
            ('a partly recurrent model', functions.llama_model_is_hybrid)) if is_kind(self.pointer)), None)
        if kind is not None:
            self.free()
            raise LoadError(f'{path} is {kind}, which cannot go back to an earlier place in a text: not supported.')

    @property
    def vocab_size(self) -> int:
        """The number of token ids that the model takes."""
        return int(self.library.functions.llama_vocab_n_tokens(self.vocab))

    @property
    def context_length(self) -> int:
        """The number of tokens that it was trained with."""
        return int(self.library.functions.llama_model_n_ctx_train(self.pointer))

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of key-value cache that a token needs at most, in 16-bit numbers."""
        functions = self.library.functions
        head_bytes = functions.llama_model_n_embd(self.pointer) // functions.llama_model_n_head(self.pointer) * 2
        return int(2 * functions.llama_model_n_layer(self.pointer)
                   * functions.llama_model_n_head_kv(self.pointer) * head_bytes)

    def metadata(self, key: str) -> str | None:
        """Returns a value of the file's metadata as text."""
        read = self.library.functions.llama_model_meta_val_str
        length = read(self.pointer, key.encode(), None, 0)
        if length < 0:
            return None
        buffer = ctypes.create_string_buffer(length + 1)
        read(self.pointer, key.encode(), buffer, length + 1)
        return buffer.value.decode('utf-8', 'replace')

    def load_adapters(self, adapters: Sequence[Adapter]) -> list[Any]:
        """Returns pointers to the adapters; they are freed with the model. Raises LoadError."""
        pointers = []
        for adapter in adapters:
            pointer = self.library.functions.llama_adapter_lora_init(self.pointer, str(adapter.path).encode())
            if not pointer:
                raise LoadError(f'{adapter.path} cannot be used as an adapter: {self.library.last_error()}.')
            pointers.append(pointer)
        return pointers

    def free(self) -> None:
        """Gives the memory back; the model is not used again."""
        pointer, self.pointer = self.pointer, None
        if pointer is not None:
            self.library.functions.llama_model_free(pointer)
