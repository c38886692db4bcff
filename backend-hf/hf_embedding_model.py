"""Brings an embedding model into memory, and turns tokens into vectors with it.

Loading is as safe as that of other models: safetensors alone, no code from the folder. Knows transformers; knows
nothing of requests. Runs on the embedding thread, but for what says otherwise.
"""

import gc
import logging
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import transformers
from hf_device import DTYPES, HEADROOM, Hardware, available_memory, choose_dtype
from hf_download import fetch
from hf_embedding_folder import EmbeddingFolder, read_embedding_folder
from hf_embedding_modules import Head
from hf_embedding_text import EncodedText, TextEncoder
from hf_model import CONTEXT_KEYS, FROM_FOLDER, ONE_AT_A_TIME, quiet_library, told_in_a_line
from hf_tokenizer import HfTokenizer, SpecialIds

from sandle.catalog import CatalogEntry
from sandle.checkpoint import Checkpoint, inspect
from sandle.engine.runner import LoadError, Report
from sandle.units import gib

logger = logging.getLogger(__name__)

ENCODERS = {'t5': 'T5EncoderModel', 'mt5': 'MT5EncoderModel', 'umt5': 'UMT5EncoderModel'}  # of models with a decoder
OF_COMPLETIONS = ('tokenizer', 'device_map', 'config', 'trust_remote_code', 'quantization', 'adapters')  # of an entry
UNUSED = ('pooler.', 'embeddings.position_ids')  # weights that the hidden states do not depend on


class HfEmbeddingModel:
    """An embedding model in memory: `sandle.engine.runner.Resident`. `embed` and `release` are its thread's alone."""

    capabilities: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()

    def __init__(self, model: Any, head: Head, encoder: TextEncoder, tokenizer: HfTokenizer,
                 context_length: int) -> None:  # Any: transformers' models share no typed base
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.context_length = context_length
        self._model = model
        self._head = head
        self.size = len(self.embed([EncodedText((0,))])[0])

    @torch.inference_mode()
    def embed(self, texts: Sequence[EncodedText]) -> list['array[float]']:
        """Returns the vectors of texts in one pass; they are padded to the longest."""
        device = self._model.device
        lengths = torch.tensor([len(text.ids) for text in texts])
        longest = int(lengths.max())
        ids = torch.tensor([text.ids + (0,) * (longest - len(text.ids)) for text in texts])  # [B, T]
        is_padded = int(lengths.min()) < longest
        mask = (torch.arange(longest) < lengths[:, None]).long().to(device) if is_padded else None
        hidden = self._model(input_ids=ids.to(device), attention_mask=mask).last_hidden_state  # [B, T, H]
        skips = torch.tensor([text.skip for text in texts], device=device)
        return [array('f', vector) for vector in self._head(hidden, lengths.to(device), skips).tolist()]

    def release(self) -> None:
        """See Resident.release."""
        del self._model, self._head
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class HfEmbeddingLoader:
    """Implements `sandle.engine.runner.ModelLoader` for embedding models. `dtype` and `device` as of LoadOptions."""

    def __init__(self, catalog: Iterable[CatalogEntry], dtype: str, device: str, hardware: Hardware) -> None:
        self._catalog = {entry.id: entry for entry in catalog}
        self._dtype = dtype
        self._device = 'cuda:0' if device == 'cuda' else device  # whole on one
        self._hardware = hardware
        quiet_library()

    def load(self, model_id: str, report: Report) -> HfEmbeddingModel:
        """See ModelLoader.load. Raises LoadError."""
        entry = self._catalog[model_id]
        if strange := [name for name in OF_COMPLETIONS if getattr(entry, name)]:
            raise LoadError(f'models.json sets {strange[0]!r} for {model_id!r}: an embedding model cannot have that.')
        dtype_option = entry.dtype or self._dtype
        folder = entry.path
        if folder is None:
            assert entry.repo is not None, 'an entry has a path or a repo'
            folder = fetch(entry.repo, entry.revision, report, check=lambda weights: self._check_memory(
                weights.parameters * self._choose_dtype(dtype_option, weights.parameters).itemsize))
        parts = read_embedding_folder(folder)
        checkpoint = inspect(parts.transformer)
        with told_in_a_line(folder, checkpoint.stored_bytes, 'choose a smaller one'):
            return self._load(checkpoint, parts, dtype_option, report)

    def _load(self, checkpoint: Checkpoint, parts: EmbeddingFolder, dtype_option: str,
              report: Report) -> HfEmbeddingModel:
        dtype = self._choose_dtype(dtype_option, checkpoint.parameters)
        size = checkpoint.parameters * dtype.itemsize
        self._check_memory(size)
        report(f'loading {gib(size)} of weights')
        model = load_transformer(checkpoint, dtype, self._device)
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, **FROM_FOLDER)
        head = Head(parts.modules, self._device)
        encoder = TextEncoder(tokenizer, parts.lowers_case, parts.prompts, parts.default_prompt,
                              head.pooling.skips_prompt)
        vocab_size = int(model.get_input_embeddings().weight.shape[0])
        length = context_tokens(model, tokenizer, parts.max_tokens)
        logger.info('loaded %s: %.0f M parameters as %s on %s, texts of %d tokens', checkpoint.folder,
                    checkpoint.parameters / 1e6, str(dtype).removeprefix('torch.'), self._device, length)
        return HfEmbeddingModel(model, head, encoder,
                                HfTokenizer(tokenizer, SpecialIds(vocab_size, frozenset(), None)), length)

    def _check_memory(self, size: int) -> None:
        """Raises LoadError where there is no room for weights of so many bytes."""
        free = available_memory(self._device, self._hardware)
        if size * HEADROOM > free:
            raise LoadError(f'The model needs {gib(int(size * HEADROOM))} of memory and {gib(free)} are free: choose '
                            'a smaller one.')

    def _choose_dtype(self, option: str, parameters: int) -> torch.dtype:
        """Returns the number format: on a CPU float32 where nothing else is asked for, so that indexes stay good."""
        if option == 'auto' and self._device == 'cpu':
            return torch.float32
        return DTYPES.get(option) or choose_dtype(option, self._device, self._hardware, parameters, 0)


def load_transformer(checkpoint: Checkpoint, dtype: torch.dtype, device: str) -> Any:  # Any: as above
    """Returns the model that makes hidden states; of a model with a decoder, its encoder. Raises LoadError."""
    config = transformers.AutoConfig.from_pretrained(checkpoint.folder, **FROM_FOLDER)
    config._attn_implementation = None  # never what the file says: it may name code on the Hub
    kind: Any = getattr(transformers, ENCODERS.get(config.model_type, 'AutoModel'))  # Any: as above
    with ONE_AT_A_TIME:
        model, found = kind.from_pretrained(checkpoint.folder, config=config, dtype=dtype, use_safetensors=True,
                                            output_loading_info=True, device_map={'': device}, **FROM_FOLDER)
    if missing := sorted(key for key in map(str, found['missing_keys']) if not key.startswith(UNUSED)):
        raise LoadError(f'{checkpoint.folder} lacks {len(missing)} weights ({missing[0]} …): the files are not whole, '
                        'or not of this architecture.')
    return model.eval()


def context_tokens(model: Any, tokenizer: Any, max_tokens: int | None) -> int:  # Any: as above
    """Returns the most tokens of a text: what the folder or else the tokenizer says, and no more than has a place."""
    config = model.config.get_text_config()
    limits = [value for key in CONTEXT_KEYS if isinstance(value := getattr(config, key, None), int) and value > 0]
    places = getattr(getattr(model, 'embeddings', None), 'position_embeddings', None)
    first = getattr(places, 'padding_idx', None)  # RoBERTa's kind counts places from behind the padding's
    if limits and first is not None:
        limits = [limits[0] - first - 1]
    return min([max_tokens or tokenizer.model_max_length, *limits[:1]])
