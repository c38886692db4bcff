"""The tokenizer: byte-level BPE, single digits, one id for each special token, and the chat template."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from sandle_tiny.doc import ASSISTANT, SYSTEM, USER

VOCAB_SIZE = 3072
CONTEXT = 1024
BOS, EOS, PAD = '<s>', '</s>', '<pad>'
SPECIALS = (PAD, BOS, EOS, USER, ASSISTANT, SYSTEM)
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
SPLIT = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"
"""Words with the space before them, single digits, runs of marks, single white space."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|assistant|>\n' + message['content'] + eos_token }}"
    "{% elif message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + '\n' }}"
    "{% else %}{{ '<|user|>\n' + message['content'] + '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterator[str]) -> Tokenizer:
    """Learns the merges from texts; every byte has its own symbol, so any text comes back as it was."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), 'isolated'),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIALS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{BOS} $A', pair=f'{BOS} $A $B', special_tokens=[(BOS, BOS_ID)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: pathlib.Path) -> None:
    """Writes tokenizer.json, tokenizer_config.json and the chat template."""
    tokenizer.save(str(folder / 'tokenizer.json'))
    settings = {
        'tokenizer_class': 'PreTrainedTokenizerFast',
        'bos_token': BOS,
        'eos_token': EOS,
        'pad_token': PAD,
        'add_bos_token': True,
        'add_eos_token': False,
        'clean_up_tokenization_spaces': False,
        'model_max_length': CONTEXT,
        'padding_side': 'left',
        'extra_special_tokens': [USER, ASSISTANT, SYSTEM],
        'chat_template': CHAT_TEMPLATE,
    }
    (folder / 'tokenizer_config.json').write_text(json.dumps(settings, indent=2) + '\n')
    (folder / 'chat_template.jinja').write_text(CHAT_TEMPLATE)
