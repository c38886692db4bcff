"""The mixture: which share of the documents is of which kind. Endless, seeded, and free of everything held out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from sandle_tiny import arithmetic, copying, everyday, judging, sequences
from sandle_tiny.asking import FactMaker, ask, block, conversation, seen
from sandle_tiny.doc import Case, Doc, Part
from sandle_tiny.facts import data_lines, free_question_maker, read_tables, words
from sandle_tiny.stories import StoryTeller

FACT_WEIGHTS = {
    'capital': 6.5,
    'country_of': 1.5,
    'opposite': 5.0,
    'plural': 3.3,
    'past': 3.8,
    'rhyme': 3.2,
    'french': 2.8,
    'spanish': 2.3,
    'colour': 1.5,
    'category': 2.0,
    'currency': 1.2,
    'language': 1.2,
    'continent': 1.0,
    'general': 6.0,
    'sum': 14.0,
    'difference': 12.0,
    'product': 3.5,
    'comparison': 12.0,
    'letter': 1.0,
    'neighbour': 1.5,
    'unknown': 0.4,
}
"""Weights of the kinds of facts among single questions; `OTHER_FACTS` where none is named."""
OTHER_FACTS = 0.8


class Corpus:
    """All makers of documents and facts, with their weights."""

    def __init__(self) -> None:
        self.words = words()
        self.phrases = copying.Phrases(self.words)
        self.stories = StoryTeller()
        self.old_texts = everyday.OldTexts()
        self.fact_makers = self._fact_makers()
        self._fact_weights = [FACT_WEIGHTS.get(kind, OTHER_FACTS) for kind in self.fact_makers]
        self._block_makers = [
            maker
            for weight, maker in zip(self._fact_weights, self.fact_makers.values())
            for _ in range(max(1, round(weight)))
        ]
        self._tables = read_tables()
        greetings = everyday.Greetings()
        self._makers: tuple[tuple[float, Callable[[random.Random], Doc]], ...] = (
            (50.0, self._fact_doc),
            (6.5, lambda rng: block(rng, self._block_makers)),
            (1.0, lambda rng: conversation(rng, self._block_makers)),
            (18.0, self._of(lambda rng: copying.say_case(rng, self.phrases))),
            (15.0, self._of(lambda rng: copying.repeat_case(rng, self.phrases))),
            (6.0, self._of(lambda rng: copying.echo_block(rng, self.phrases))),
            (7.0, arithmetic.exercise),
            (6.0, self._of(sequences.number_case)),
            (1.5, self._of(sequences.count_request)),
            (2.5, self._of(sequences.letter_case)),
            (0.3, self._of(sequences.alphabet_request)),
            (2.5, self._of(sequences.cycle_case)),
            (5.0, self.stories.doc),
            (1.3, self._of(greetings.case)),
            (0.7, everyday.self_portrait),
            (0.5, everyday.letter),
            (1.4, self._of(everyday.listing)),
            (0.8, self.old_texts.doc),
            (0.4, everyday.remark),
            (0.5, everyday.poem),
            (0.6, self._of(judging.judging_case)),
            (0.5, self._word_map),
        )

    def _fact_makers(self) -> dict[str, FactMaker]:
        unknown = [line for line in data_lines('unknown.txt') if line]
        plain_words = [word for word in self.words if 2 < len(word) < 7]
        return {kind: table.draw for kind, table in read_tables().items()} | {
            'general': free_question_maker(),
            'sum': arithmetic.sum_fact,
            'difference': arithmetic.difference_fact,
            'product': arithmetic.product_fact,
            'comparison': arithmetic.comparison_fact,
            'letter': sequences.letter_fact,
            'neighbour': sequences.neighbour_fact,
            'unknown': lambda rng: everyday.unknown_fact(rng, unknown, plain_words),
        }

    @staticmethod
    def _of(maker: Callable[[random.Random], Case]) -> Callable[[random.Random], Doc]:
        return lambda rng: seen(rng, maker).doc()

    def fact_case(self, rng: random.Random) -> Case:
        """A single question on any fact, held out or not."""
        makers = list(self.fact_makers.values())
        return ask(rng, rng.choices(makers, weights=self._fact_weights)[0](rng))

    def _fact_doc(self, rng: random.Random) -> Doc:
        return seen(rng, self.fact_case).doc()

    def _word_map(self, rng: random.Random) -> Doc:
        """Pairs of words line by line, the pattern to be taken up: opposites, plurals, past tenses, translations."""
        table = self._tables[rng.choice(('opposite', 'plural', 'past', 'french', 'spanish', 'capital'))]
        rows = rng.sample(table.rows, rng.randint(3, 6))
        arrow = rng.choice((' -> ', ': ', ' = ', ' => ', ' - '))
        parts = []
        for index, (a, b) in enumerate(rows):
            parts += [Part(('\n' if index else '') + a + arrow.rstrip(' '), False), Part(' ' + b, index > 0)]
        return Doc('pattern', tuple(parts))

    def docs(self, seed: int) -> Iterator[Doc]:
        """Training documents without end, the same for the same seed."""
        rng = random.Random(seed)
        weights, makers = zip(*self._makers)
        while True:
            yield rng.choices(makers, weights=weights)[0](rng)

    def long_docs(self, seed: int) -> Iterator[Doc]:
        """Documents of several hundred tokens: long blocks, long chats, stories of several adventures."""
        rng = random.Random(seed)
        while True:
            draw = rng.random()
            if draw < 0.45:
                yield block(rng, self._block_makers, 14, 34)
            elif draw < 0.6:
                yield conversation(rng, self._block_makers, 8, 20)
            else:
                yield Doc('story', (Part(self.stories.long_story(rng), True),))
