"""Small random embedding models, saved by sentence-transformers itself, and its own vectors to compare with."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling, Transformer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

TEXTS = ('the cat', 'a', 'The dog and the bird and the cat, and the dog and the bird!', 'bird ' * 60, 'CAT and Dog')
SIZES = {'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'intermediate_size': 64}


def word_pieces() -> transformers.PreTrainedTokenizerFast:
    """BERT's manner: words in lower case and their ends, between [CLS] and [SEP]."""
    specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    words = [*specials, 'the', 'cat', 'and', 'dog', 'bird', '##s', 'a', *'bcdefghijklmnopqrstuvwxyz,!',
             *(f'##{letter}' for letter in 'abcdefghijklmnopqrstuvwxyz'), ':']
    inner = tokenizers.Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)},
                                                  unk_token='[UNK]'))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.post_processor = processors.TemplateProcessing(
        single='[CLS] $A [SEP]', special_tokens=[('[CLS]', 2), ('[SEP]', 3)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token='[PAD]', unk_token='[UNK]', cls_token='[CLS]', sep_token='[SEP]',
        mask_token='[MASK]', model_max_length=40)


def write_transformer(folder: Path, family: str) -> Path:
    """Saves a random model of a family, with a tokenizer that goes with it."""
    torch.manual_seed(0)
    configs: dict[str, transformers.PreTrainedConfig] = {
        'bert': transformers.BertConfig(vocab_size=96, max_position_embeddings=48, **SIZES),
        'mpnet': transformers.MPNetConfig(vocab_size=96, max_position_embeddings=48, pad_token_id=1, **SIZES),
        'xlm-roberta': transformers.XLMRobertaConfig(vocab_size=96, max_position_embeddings=48, pad_token_id=0,
                                                     **SIZES),
        'distilbert': transformers.DistilBertConfig(vocab_size=96, max_position_embeddings=48, dim=32, n_layers=2,
                                                    n_heads=4, hidden_dim=64),
        'modernbert': transformers.ModernBertConfig(vocab_size=96, max_position_embeddings=48, pad_token_id=0,
                                                    cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3,
                                                    **SIZES),
        'qwen3': transformers.Qwen3Config(vocab_size=96, max_position_embeddings=48, num_key_value_heads=2, head_dim=8,
                                          pad_token_id=0, **SIZES),
        't5': transformers.T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                                    pad_token_id=0)}
    auto_model: Any = transformers.AutoModel  # Any: its result depends on its arguments
    model = auto_model.from_config(configs[family])
    with torch.no_grad():  # what begins as zero or one would hide what is left out
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    word_pieces().save_pretrained(folder)
    return folder


def write_folder(folder: Path, family: str = 'bert', *, pooling: str | tuple[str, ...] = 'mean',
                 include_prompt: bool = True, layers: Sequence[str] = (), **options: Any) -> Path:
    """Saves a sentence-transformers model: a transformer, a pooling, and layers by their class's names."""
    transformer = Transformer(str(write_transformer(folder / 'transformer', family)))
    pool = Pooling(32, pooling_mode=pooling, include_prompt=include_prompt)
    size = 32 * (1 if isinstance(pooling, str) else len(pooling))
    made: dict[str, Any] = {
        'Dense': lambda: Dense(size, 16), 'Linear': lambda: Dense(size, 16, bias=False, activation_function=None),
        'LayerNorm': lambda: LayerNorm(size), 'Normalize': Normalize}
    torch.manual_seed(1)
    model = SentenceTransformer(modules=[transformer, pool, *(made[name]() for name in layers)], device='cpu',
                                **options)
    with torch.no_grad():
        for parameter in itertools.chain.from_iterable(module.parameters() for module in list(model)[2:]):
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save(str(folder / 'saved'))
    return folder / 'saved'


def library_vectors(folder: Path, texts: Sequence[str] = TEXTS, **options: Any) -> torch.Tensor:
    """Returns the vectors of the library for texts, one at a time and without padding."""
    model = SentenceTransformer(str(folder), device='cpu', local_files_only=True)
    return torch.stack([torch.from_numpy(model.encode(text, **options)) for text in texts])
