"""The tokenizer adapter: the library's own ids, and bytes that add up to the library's own text."""

import threading
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from hf_tokenizer import HfTokenizer, SpecialIds
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models

from sandle.engine.engine import Conversation, Grammar, TokenizerInfo
from sandle.engine.grammar import Grammars
from sandle.engine.text import Detokenizer

SPECIAL = SpecialIds(vocab_size=400, eos=frozenset({1}), bos=0)
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=['Cs']), max_size=30)


def adapter(tokenizer: Any) -> HfTokenizer:
    return HfTokenizer(tokenizer, SPECIAL)


def joined(tokenizer: HfTokenizer, ids: list[int]) -> bytes:
    return b''.join(map(tokenizer.token_bytes, ids))


@pytest.fixture(scope='module', params=['byte_level_tokenizer', 'metaspace_tokenizer'])
def both(request: pytest.FixtureRequest) -> Any:
    """Each of the two kinds, made once."""
    return request.getfixturevalue('tokenizer_kinds')[request.param]


@given(ANY_TEXT)
@example('日本語 🎉 é')
@example(' two  spaces\n\ttab \x00')
@settings(max_examples=60, deadline=None)
def test_bytes_of_the_tokens_add_up_to_the_text(both: Any, text: str) -> None:
    ours = adapter(both)
    ids = ours.encode(text, add_special_tokens=False)
    assert ids == both.encode(text, add_special_tokens=False)
    # Llama 2's manner puts a space before a text, and its decoder takes it away again.
    assert joined(ours, ids).decode('utf-8') in (ours.decode(ids), f' {ours.decode(ids)}')
    if not any(special in text for special in ('<s>', '</s>', '<unk>')) and '▁' not in text:
        assert joined(ours, ids).decode('utf-8') in (text, f' {text}')


@given(st.lists(st.integers(0, 279), max_size=12))
@example([0, 3 + 0xE6, 1, 3 + 0xBC, 2, 3 + 0xA2, 270])  # a character in bytes, special tokens inside it
@settings(max_examples=100, deadline=None)
def test_tokens_in_any_order_are_detokenized_one_by_one_as_the_library_does_at_once(both: Any, ids: list[int]) -> None:
    ours = adapter(both)
    data = joined(ours, ids)
    detokenizer = Detokenizer()
    text = ''.join(detokenizer.add(ours.token_bytes(token)) for token in ids)
    try:
        data.decode('utf-8')
    except UnicodeDecodeError:  # the library's two kinds differ in the number of marks for bytes that are no text
        assert text.replace('\ufffd', '') == data.decode('utf-8', errors='ignore')
    else:
        assert text in (ours.decode(ids), f' {ours.decode(ids)}')


def test_every_byte_has_its_token(byte_level: Any, metaspace: Any) -> None:
    ours = adapter(byte_level)
    single = {ours.token_bytes(token) for token in range(len(byte_level))}
    assert {bytes([byte]) for byte in range(256)} <= single
    ours = adapter(metaspace)
    assert ours.token_bytes(3 + 0xE2) == b'\xe2'
    assert ours.token_bytes(metaspace.convert_tokens_to_ids('▁w')) == b' w'


def test_special_tokens_in_a_prompt_are_parsed_and_add_no_text(both: Any) -> None:
    ours = adapter(both)
    ids = ours.encode('<s>hello</s>', add_special_tokens=False)
    assert (ids[0], ids[-1]) == (0, 1)
    assert ours.token_bytes(0) == ours.token_bytes(1) == b''
    assert ours.special_ids >= {0, 1, 2}
    assert ours.decode(ids).strip() == 'hello'
    assert ours.token_name(1) == '</s>'


@given(ANY_TEXT)
@example('<s>hello</s> the<unk>')
@example(' the  cat .\n')
@settings(max_examples=60, deadline=None)
def test_detokenized_text_is_encoded_to_the_same_ids(both: Any, text: str) -> None:
    """As harnesses need it that work with ids and send texts."""
    ours = adapter(both)
    ids = ours.encode(text, add_special_tokens=False)
    is_llama_2 = ours.token_bytes(len(both) - 4) == b' h'  # it puts a space before each piece between special tokens
    if not (is_llama_2 and ours.special_ids & set(ids)):
        assert ours.encode(ours.detokenize(ids), add_special_tokens=False) == ids


def test_detokenizing_writes_special_tokens_and_passes_over_ids_without_a_token(both: Any) -> None:
    ours = adapter(both)
    assert ours.detokenize([0, 399, 1]).replace(' ', '') == '<s></s>'
    assert ours.detokenize([]) == ''


def test_info_is_what_the_library_says(byte_level: Any) -> None:
    byte_level.chat_template = 'template'
    assert adapter(byte_level).info == TokenizerInfo(
        type(byte_level).__name__, bos_token='<s>', eos_token='</s>', unk_token='<unk>', chat_template='template')
    byte_level.chat_template = {'tools': 'other', 'default': 'template'}
    byte_level.pad_token, byte_level.eos_token = '<unk>', None
    info = adapter(byte_level).info
    assert (info.pad_token, info.chat_template) == ('<unk>', 'template')
    assert info.eos_token == '</s>'  # which the model's configuration names
    assert HfTokenizer(byte_level, SpecialIds(400, frozenset(), None)).info.eos_token is None


def test_chat_is_rendered_by_the_template_for_it(byte_level: Any) -> None:
    tool = {'type': 'function', 'function': {'name': 'f'}}
    plain, with_tools = Conversation([{'role': 'user', 'content': 'cat'}]), Conversation([], [tool])
    byte_level.chat_template = '{{ bos_token }}{{ messages[0].content }}{{ tools | length if tools }}'
    assert adapter(byte_level).render(plain) == '<s>cat'
    byte_level.chat_template = {'default': '{{ messages[0].content }}', 'tool_use': '{{ tools[0].function.name }}'}
    ours = adapter(byte_level)
    assert (ours.render(plain), ours.render(with_tools)) == ('cat', 'f')


def test_bos_is_added_only_when_asked_for(byte_level: Any) -> None:
    ours = adapter(byte_level)
    assert ours.encode('cat', True) == [0, *ours.encode('cat', False)]
    assert ours.encode('', True) == [0]
    assert ours.encode('', False) == []


def test_bos_written_out_is_not_doubled(byte_level: Any, metaspace: Any) -> None:
    """lm-evaluation-harness without tokenized_requests sends the text of its tokens, <s> included."""
    ours = adapter(byte_level)
    assert ours.encode('<s>cat', True) == ours.encode('cat', True) == [0, *ours.encode('cat', False)]
    assert ours.encode('<s><s>cat', True) == ours.encode('<s><s>cat', False)
    assert ours.encode('<s>', True) == [0]
    adds_none = adapter(metaspace)
    assert adds_none.encode('<s><s>hello', True) == adds_none.encode('<s><s>hello', False)


def test_spaces_are_not_cleaned_up(byte_level: Any) -> None:
    byte_level.clean_up_tokenization_spaces = True
    ours = adapter(byte_level)
    text = "a . b , c ! d 's n't"
    assert ours.decode(ours.encode(text, False)) == text


def test_truncation_of_training_is_switched_off(byte_level: Any) -> None:
    byte_level.backend_tokenizer.enable_truncation(4)
    byte_level.backend_tokenizer.enable_padding(length=64)
    assert len(adapter(byte_level).encode('x' * 50, False)) == 50


def test_added_tokens_are_text_unless_special(byte_level: Any) -> None:
    byte_level.add_tokens(['<think é>', '    '])
    byte_level.add_special_tokens({'additional_special_tokens': ['<end>']})
    ours = adapter(byte_level)
    ids = ours.encode('<think é>    <end>', False)
    assert [ours.token_bytes(token) for token in ids] == ['<think é>'.encode(), b'    ', b'']


def test_calls_may_begin_with_a_special_token_of_the_tokenizers_own(byte_level: Any, metaspace: Any) -> None:
    for tokenizer in (byte_level, metaspace):
        tokenizer.add_special_tokens({'additional_special_tokens': ['[TOOL_CALLS]']})
        ours = adapter(tokenizer)
        special = tokenizer.convert_tokens_to_ids('[TOOL_CALLS]')
        constraint = Grammars(ours).compile(Grammar('start: "[TOOL_CALLS]"', 'tools', ('[TOOL_CALLS]', '[ARGS]')))()
        mask = constraint.allowed(frozenset(), True)
        assert mask is not None and mask[special >> 3] >> (special & 7) & 1
        assert constraint.special == {special: b'[TOOL_CALLS]'} and ours.token_bytes(special) == b''


def test_ids_without_a_token_add_nothing(both: Any) -> None:
    ours = adapter(both)
    assert ours.token_bytes(399) == b''
    assert ours.token_name(399) == '<token 399>'
    assert ours.vocab_size == 400


@pytest.mark.parametrize(('special', 'prompt'), [
    (SpecialIds(9, frozenset({5, 3}), 7), (7,)), (SpecialIds(9, frozenset({5, 3}), None), (3,)),
    (SpecialIds(9, frozenset(), None), (0,))])
def test_default_prompt_is_bos_or_else_eos(byte_level: Any, special: SpecialIds, prompt: tuple[int, ...]) -> None:
    """The original began every empty prompt with `</s>`, whatever the model's token was."""
    ours = HfTokenizer(byte_level, special)
    assert ours.default_prompt == prompt
    assert ours.eos_ids == special.eos


@pytest.mark.parametrize(('decoder', 'names', 'text'), [
    (decoders.Metaspace(), ['▁the', '▁cat', 's'], b' the cats'),
    (decoders.WordPiece(), ['the', 'cat', '##s'], b' the cats'),
    (decoders.BPEDecoder(suffix='</w>'), ['the</w>', 'cat</w>', 's'], b'the cat s'),
    (None, ['the', 'cat', 's'], b'thecats')])
def test_other_vocabularies_are_decoded_as_their_decoder_does(decoder: Any, names: list[str], text: bytes) -> None:
    vocabulary = {name: index for index, name in enumerate(names)}
    inner = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=names[0]))
    if decoder is not None:
        inner.decoder = decoder
    ours = adapter(transformers.PreTrainedTokenizerFast(tokenizer_object=inner))
    assert joined(ours, [0, 1, 2]) == text


class CharacterTokenizer(transformers.PreTrainedTokenizer):  # type: ignore[misc]  # without types
    """A tokenizer in plain Python, as the library's slow ones are: a character a token."""

    def __init__(self, **options: Any) -> None:
        self._characters: list[str] = ['<s>', '</s>', '▁', '<0xE2>', *'abcé']
        super().__init__(bos_token='<s>', eos_token='</s>', **options)

    @property
    def vocab_size(self) -> int:
        return len(self._characters)

    def get_vocab(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self._characters)}

    def _tokenize(self, text: str, **options: Any) -> list[str]:
        return ['▁' if character == ' ' else character for character in text]

    def _convert_token_to_id(self, token: str) -> int:
        return self._characters.index(token)

    def _convert_id_to_token(self, index: int) -> str:
        return self._characters[index]


def test_slow_tokenizer_serves_too() -> None:
    slow = CharacterTokenizer()
    assert not slow.is_fast
    ours = HfTokenizer(slow, SPECIAL)
    ids = ours.encode('ab é</s>', False)
    assert joined(ours, ids) == 'ab é'.encode()
    assert ids[-1] == 1
    assert ours.token_bytes(3) == b'\xe2'
    assert ours.detokenize([6, 399, 1]).replace(' ', '') == 'c</s>'
    assert ours.info.tokenizer_class == 'CharacterTokenizer'


def test_encoding_on_many_threads_at_once(byte_level: Any) -> None:
    ours = adapter(byte_level)
    texts = [f'the cat {number} and the dog' for number in range(40)]
    expected = [ours.encode(text, True) for text in texts]
    found: list[list[list[int]]] = []

    def run() -> None:
        found.append([ours.encode(text, True) for _ in range(20) for text in texts])

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected * 20] * 8


def test_model_folder_gives_the_same_tokenizer(llama_folder: Path, byte_level: Any) -> None:
    loaded = transformers.AutoTokenizer.from_pretrained(llama_folder, local_files_only=True)
    assert adapter(loaded).encode('the cat <s> é', True) == adapter(byte_level).encode('the cat <s> é', True)
