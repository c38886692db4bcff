"""Small encoder-decoder models that have learned a few sentences: their answers differ, and end by themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors

PAIRS = (('the cat sleeps', 'die Katze schläft'), ('a dog and a bird', 'ein Hund und ein Vogel'),
         ('good morning', 'guten Morgen'), ('where is the red house?', 'wo ist das rote Haus?'),
         ('I do not know', 'ich weiß es nicht'))
PAD, START, END, UNKNOWN = '<pad>', '<s>', '</s>', '<unk>'
SPECIAL = [PAD, START, END, UNKNOWN]
STEPS = 60
POSITIONS = 64  # of BART; T5 counts without an end


def write_t5(folder: Path, **changes: Any) -> Path:
    """Saves a T5 with pieces as SentencePiece makes them; `changes` are of its configuration."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False)
    tokenizer = _trained(inner, trainer, f'$A {END}')
    config = transformers.T5Config(vocab_size=len(tokenizer) + 3, d_model=48, d_kv=12, d_ff=96, num_layers=2,
                                   num_heads=4, decoder_start_token_id=0, pad_token_id=0, eos_token_id=2,
                                   dropout_rate=0.0, **changes)
    return _save(folder, transformers.T5ForConditionalGeneration, config, tokenizer)


def write_bart(folder: Path, **changes: Any) -> Path:
    """Saves a BART with byte-level pieces; `changes` are of its configuration."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False,
                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer = _trained(inner, trainer, f'{START} $A {END}')
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=48, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=POSITIONS,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None, dropout=0.0,
        # What its converter to CTranslate2's format still asks for.
        normalize_before=False, normalize_embedding=True, **changes)
    return _save(folder, transformers.BartForConditionalGeneration, config, tokenizer)


def generated(folder: Path, prompt: str, count: int) -> str:
    """Returns what transformers' own generate() writes, greedily."""
    auto_model: Any = transformers.AutoModelForSeq2SeqLM
    model = auto_model.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = torch.tensor([tokenizer(prompt).input_ids])
    answer = model.generate(ids, max_new_tokens=count, do_sample=False, num_beams=1)[0]
    return str(tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _trained(inner: Any, trainer: Any, template: str) -> Any:  # Any: the library has no types
    inner.train_from_iterator([text for pair in PAIRS for text in pair] * 3, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(name, inner.token_to_id(name)) for name in (START, END)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=PAD, bos_token=START, eos_token=END,
                                                unk_token=UNKNOWN)


def _save(folder: Path, architecture: Any, config: Any, tokenizer: Any) -> Path:  # Any: as above
    torch.manual_seed(0)
    model = architecture(config)
    batch = tokenizer([source for source, _ in PAIRS], return_tensors='pt', padding=True)
    labels = torch.full((len(PAIRS), 64), -100)
    for row, (_, target) in enumerate(PAIRS):
        ids: Sequence[int] = tokenizer(target).input_ids
        labels[row, :len(ids)] = torch.tensor(ids)
    labels = labels[:, :int((labels >= 0).sum(-1).max())].contiguous()
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them would wait for each other where others compute, too
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(input_ids=batch['input_ids'], attention_mask=batch['attention_mask'], labels=labels).loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
