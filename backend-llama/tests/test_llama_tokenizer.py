"""Texts and tokens: as on backend-hf where the file holds the tokenizer, by llama.cpp alone where it does not."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest
import sentencepiece
import transformers
from gguf import TokenType
from llama_convert import Source, to_gguf
from llama_library import Model, load_library
from llama_tokenizer import LlamaTokenizer
from llama_vocabulary import from_tokenizer_model

from sandle.engine.engine import Conversation
from tests.llama_rig import SANDLE_TINY, write_meta

TEXTS = ['', ' ', 'Once upon a time', 'né 🙂 日本語\n\t "x"', '  two  spaces  5 12 345\n\n7', '<s>Hello</s>',
         '<|user|>\nHi', '\0\x7f', 'a' * 300]
SIZE = 350


@pytest.fixture(scope='module')
def ours(folder: Path) -> LlamaTokenizer:
    """sandle-tiny's, from a file that holds its tokenizer.json."""
    library = load_library()
    file = to_gguf(library, Source(folder), None, None, lambda line: None)
    return LlamaTokenizer(Model(library, file, vocabulary_only=True))


@pytest.fixture(scope='module')
def theirs() -> Any:
    """sandle-tiny's in transformers."""
    return transformers.AutoTokenizer.from_pretrained(SANDLE_TINY)


@pytest.fixture(scope='module')
def by_llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaTokenizer]:
    """sandle-tiny's, as llama.cpp splits by itself, from a checkpoint of Meta's."""
    library = load_library()
    folder = write_meta(tmp_path_factory.mktemp('meta') / 'llama', 1)
    yield LlamaTokenizer(Model(library, to_gguf(library, Source(folder, 'T'), None, None, lambda line: None),
                               vocabulary_only=True))


@pytest.mark.parametrize('text', TEXTS)
def test_text_is_split_by_the_tokenizer_that_the_model_came_with(ours: LlamaTokenizer, theirs: Any,
                                                                 text: str) -> None:
    plain = theirs(text, add_special_tokens=False).input_ids
    assert ours.encode(text, False) == plain
    assert ours.encode(text, True) == (plain if plain[:1] == [1] else [1, *plain])
    assert ours.detokenize(plain) == text


def test_tokens_have_the_same_bytes_and_names(ours: LlamaTokenizer, theirs: Any) -> None:
    assert (ours.vocab_size, ours.default_prompt) == (3072, (1,)) and set(ours.eos_ids) == {2}
    assert [ours.token_name(token) for token in range(3072)] == theirs.convert_ids_to_tokens(list(range(3072)))
    assert [ours.token_bytes(token) for token in range(6)] == [b''] * 6
    for token in range(300, 3072, 7):
        assert ours.token_bytes(token).decode('utf-8', 'replace') == theirs.decode([token])


def test_info_is_what_the_file_says(ours: LlamaTokenizer, theirs: Any) -> None:
    info = ours.info
    assert (info.bos_token, info.eos_token, info.pad_token) == ('<s>', '</s>', '<pad>')
    assert not ours.can_infill


@pytest.mark.parametrize('text', TEXTS)
def test_llama_cpp_gives_a_text_back(by_llama_cpp: LlamaTokenizer, text: str) -> None:
    ids = by_llama_cpp.encode(text, True)
    assert ids[:1] == list(by_llama_cpp.default_prompt)
    assert by_llama_cpp.detokenize(ids[1:]) == text
    assert b''.join(by_llama_cpp.token_bytes(token) for token in ids) == text.encode()


def test_special_tokens_of_llama_3_have_their_places(by_llama_cpp: LlamaTokenizer) -> None:
    names = [by_llama_cpp.token_name(token) for token in range(by_llama_cpp.vocab_size - 256, by_llama_cpp.vocab_size)]
    assert (names[0], names[1], names[9]) == ('<|begin_of_text|>', '<|end_of_text|>', '<|eot_id|>')
    assert {by_llama_cpp.token_name(token) for token in by_llama_cpp.eos_ids} >= {'<|end_of_text|>', '<|eot_id|>'}
    assert by_llama_cpp.encode('<|eot_id|>', False) == [by_llama_cpp.vocab_size - 256 + 9]


def test_many_threads_may_split_at_once(by_llama_cpp: LlamaTokenizer) -> None:
    text = ' '.join(TEXTS)
    expected = by_llama_cpp.encode(text, True)
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.extend(by_llama_cpp.encode(text, True) for _ in range(20)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


def test_vocabulary_of_sentencepiece(tmp_path: Path) -> None:
    corpus = tmp_path / 'corpus.txt'
    corpus.write_text('\n'.join(entry['prompt'] for entry in json.loads((SANDLE_TINY / 'prompts.json').read_text())))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / 'tokenizer'), vocab_size=SIZE, model_type='bpe',
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2, character_coverage=0.98)
    vocabulary = from_tokenizer_model(tmp_path / 'tokenizer.model', SIZE + 5)
    assert (vocabulary.kind, vocabulary.bos, vocabulary.eos, vocabulary.unk) == ('llama', 1, 2, 0)
    assert vocabulary.tokens[1:4] == [b'<s>', b'</s>', b'<0x00>'] and vocabulary.types[3] == TokenType.BYTE
    assert vocabulary.types[-1] == TokenType.UNUSED and len(vocabulary.scores) == SIZE + 5


def test_file_without_a_tokenizer_of_its_own_is_read(by_llama_cpp: LlamaTokenizer, ours: LlamaTokenizer,
                                                     folder: Path) -> None:
    [file] = folder.glob('*-plain-*.gguf')
    reader = gguf.GGUFReader(file)
    assert gguf.Keys.Tokenizer.HF_JSON in reader.fields
    text = 'Once upon a time'
    assert by_llama_cpp.encode(text, False) != ours.encode(text, False), 'they are numbered anew'


def test_chat_is_rendered_by_the_template_in_the_file(ours: LlamaTokenizer, theirs: Any,
                                                      by_llama_cpp: LlamaTokenizer) -> None:
    messages = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'né 🙂'}]
    assert ours.render(Conversation(messages)) == theirs.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True)
    assert by_llama_cpp.info.chat_template is None
