"""The stub's tokens: a fixed vocabulary that turns any text into ids and back.

Ids 0–255 are the bytes, 256 is the end-of-text token, from 257 on come words: each of WORDS plain, with a space in
front, and with a capital. A word that is in none of these forms, and everything that is not a word, is one token a
byte, but for `<|endoftext|>`. Words of the configured answer that are not among WORDS come last, so that an answer is
streamed by words. Knows nothing of requests.
"""

import re
from collections.abc import Iterable, Sequence

import stub_chat
from sandle.engine.engine import Conversation, TokenizerInfo

END_OF_TEXT = 256
END_OF_TEXT_NAME = '<|endoftext|>'
PIECE = re.compile(r'<\|endoftext\|>| ?[A-Za-z]+|(?:(?!<\|endoftext\|>)[^A-Za-z ])+| ')
WORDS = '''
a about after again all also always an and any are as ask at away back be because been before best better big black blue
book both boy bring but by call can capital car cat child city cold come could country day did do dog done door down
each eat end england every eye far fast father few find first five fish food for four france friend from full game get
girl give go good great green had hand happy hard has have he head hear hello help her here high him his home hot house
how i if in into is it its just keep kind know large last late left let life light like little live long look love make
man many me mean men moon more most mother much must my name need never new next night no not now number of off often
old on once one only open or other our out over own paris part people place play please put question rain read red right
room run said sand say school sea see she should show side sing sky sleep small so some song soon star still stop story
sun take talk tell ten test than thank that the their them then there these they thing think this those three time to
today together too took tree true turn two under up us very walk want warm was water way we well went were what when
where which white who why will wind wish with word work world would write year yellow yes yet you young your
'''.split()


class Vocabulary:
    """Encodes text and looks up tokens: a TextTokenizer. Immutable, so it may be used from any thread."""

    def __init__(self, answer: str) -> None:
        pieces: list[bytes] = [bytes([byte]) for byte in range(256)] + [END_OF_TEXT_NAME.encode()]
        ids = {piece: number for number, piece in enumerate(pieces)}
        for piece in (*_word_forms(), *_words_of(answer)):
            if piece not in ids:
                ids[piece] = len(pieces)
                pieces.append(piece)
        self._pieces = tuple(pieces)
        self._ids = ids

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def vocab_size(self) -> int:
        """See TextTokenizer.vocab_size."""
        return len(self._pieces)

    @property
    def info(self) -> TokenizerInfo:
        """See TextTokenizer.info."""
        return TokenizerInfo('Vocabulary', eos_token=END_OF_TEXT_NAME, chat_template=stub_chat.TEMPLATE)

    def encode(self, text: str, add_special_tokens: bool = False) -> tuple[int, ...]:
        """Returns the ids of a text, which holds no lone surrogates. No special token is ever added."""
        tokens: list[int] = []
        for match in PIECE.finditer(text):
            piece = match.group().encode('utf-8')
            number = self._ids.get(piece)
            tokens += piece if number is None else (number,)
        return tuple(tokens)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See TextTokenizer.detokenize."""
        return b''.join(map(self.shown, tokens)).decode('utf-8', errors='replace')

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        return stub_chat.render(conversation)

    def shown(self, token: int) -> bytes:
        """Returns the bytes of a token by itself, special tokens included."""
        return self._pieces[token]

    def token_bytes(self, token: int) -> bytes:
        """Returns the bytes that a token adds to a text: none for the end of text."""
        return b'' if token == END_OF_TEXT else self._pieces[token]


def _word_forms() -> Iterable[bytes]:
    for word in WORDS:
        for form in (word, ' ' + word, word.capitalize(), ' ' + word.capitalize()):
            yield form.encode('ascii')


def _words_of(answer: str) -> Iterable[bytes]:
    return (piece.encode('ascii') for piece in PIECE.findall(answer) if piece.strip().isalpha() and piece.isascii())
