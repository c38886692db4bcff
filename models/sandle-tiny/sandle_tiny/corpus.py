"""The mixture: which share of the documents is of which kind. Endless, seeded, and free of everything held out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from sandle_tiny import arithmetic, copying, everyday, judging, sequences, spelling
from sandle_tiny.asking import FactMaker, ask, block, conversation, seen
from sandle_tiny.doc import Case, Doc, Part
from sandle_tiny.facts import data_lines, free_question_maker, read_tables, words
from sandle_tiny.stories import StoryTeller

TABLE_WEIGHTS = {
    'capital': 6.0,
    'country_of': 1.5,
    'opposite': 3.5,
    'plural': 2.5,
    'past': 2.5,
    'rhyme': 1.5,
    'french': 2.0,
    'spanish': 1.5,
    'colour': 1.5,
    'category': 2.0,
    'currency': 1.2,
    'language': 1.2,
    'continent': 1.0,
}
"""Documents of a table by weight; 0.8 where none is named."""
FACT_FOCUS = {
    1: {},
    2: {'past': 2.5, 'spelling': 1.8, 'letters': 1.5, 'sum': 1.3, 'difference': 2.0, 'capital': 0.5,
        'month_number': 0.5},
    3: {'past': 2.0, 'spelling': 0.6, 'letters': 0.5, 'sum': 1.5, 'difference': 1.5, 'comparison': 3.0, 'capital': 1.2,
        'opposite': 1.3, 'plural': 1.2},
    4: {'past': 1.6, 'spelling': 0.15, 'letters': 0.15, 'sum': 1.6, 'difference': 1.6, 'comparison': 2.5,
        'capital': 1.2, 'opposite': 1.4, 'plural': 1.4, 'general': 1.2, 'unknown': 0.4},
    5: {'past': 1.4, 'spelling': 0.1, 'letters': 0.1, 'sum': 1.4, 'difference': 1.6, 'product': 2.5, 'comparison': 3.5,
        'plural': 1.4, 'french': 1.2, 'spanish': 1.2, 'unknown': 0.3},
}
"""Factors on these weights, by stage of the training."""


class Corpus:
    """All makers of documents and facts, with their weights."""

    def __init__(self, stage: int = 1) -> None:
        """Later stages have more of what is hard to learn (repeating, calculating), less of the rest."""
        self._stage = stage
        self.words = words()
        self.phrases = copying.Phrases(self.words)
        self.stories = StoryTeller()
        self.old_texts = everyday.OldTexts()
        self.plain_words = [word for word in self.words if 2 < len(word) < 7]
        self.fact_makers = self._fact_makers()
        self._tables = read_tables()
        greetings = everyday.Greetings()
        self._makers: tuple[tuple[tuple[float, ...], Callable[[random.Random], Doc]], ...] = (
            ((44.0, 46.0, 44.0, 52.0, 52.0), self._fact_doc),
            ((7.0, 5.0, 5.0, 7.0, 7.0), lambda rng: block(rng, self._plain_fact_makers)),
            ((1.0, 1.0, 1.0, 1.0, 1.0), lambda rng: conversation(rng, self._plain_fact_makers)),
            ((11.0, 22.0, 22.0, 20.0, 24.0), self._of(lambda rng: copying.say_case(rng, self.phrases))),
            ((11.0, 16.0, 15.0, 14.0, 17.0), self._of(lambda rng: copying.repeat_case(rng, self.phrases))),
            ((2.5, 7.0, 5.0, 1.5, 1.5), self._of(lambda rng: copying.echo_block(rng, self.phrases))),
            ((5.0, 10.0, 8.0, 8.0, 8.0), arithmetic.exercise),
            ((7.0, 5.0, 5.0, 7.0, 7.0), self._of(sequences.number_case)),
            ((1.5, 1.5, 1.5, 1.5, 1.5), self._of(sequences.count_request)),
            ((2.5, 1.5, 2.0, 2.5, 2.5), self._of(sequences.letter_case)),
            ((0.2, 0.2, 0.3, 0.3, 0.3), self._of(sequences.alphabet_request)),
            ((2.0, 1.2, 2.0, 2.5, 2.5), self._of(sequences.cycle_case)),
            ((6.0, 3.5, 6.0, 6.0, 6.0), self.stories.doc),
            ((1.0, 1.0, 1.5, 1.5, 1.5), self._of(greetings.case)),
            ((0.8, 0.8, 0.8, 0.6, 0.6), everyday.self_portrait),
            ((0.7, 0.7, 0.5, 0.4, 0.4), everyday.letter),
            ((1.2, 1.2, 1.2, 1.5, 1.5), self._of(everyday.listing)),
            ((1.2, 1.2, 0.8, 0.8, 0.8), self.old_texts.doc),
            ((2.5, 5.0, 4.0, 0.8, 0.8), self._of(everyday.reading)),
            ((0.4, 0.4, 0.4, 0.3, 0.3), everyday.remark),
            ((0.6, 0.6, 0.5, 0.4, 0.4), everyday.poem),
            ((0.7, 0.7, 0.7, 0.5, 0.5), self._of(judging.judging_case)),
            ((0.6, 0.6, 0.8, 0.4, 0.4), self._word_map),
        )

    def _fact_makers(self) -> dict[str, tuple[float, FactMaker]]:
        unknown = [line for line in data_lines('unknown.txt') if line]
        makers: dict[str, tuple[float, FactMaker]] = {
            kind: (TABLE_WEIGHTS.get(kind, 0.8), table.draw) for kind, table in read_tables().items()
        }
        makers |= {
            'general': (5.0, free_question_maker()),
            'sum': (10.0, arithmetic.sum_fact),
            'difference': (7.0, arithmetic.difference_fact),
            'product': (2.5, arithmetic.product_fact),
            'comparison': (4.0, arithmetic.comparison_fact),
            'letter': (1.0, sequences.letter_fact),
            'neighbour': (1.2, sequences.neighbour_fact),
            'spelling': (3.0, lambda rng: spelling.spelling_fact(rng, self.plain_words)),
            'letters': (3.0, lambda rng: spelling.letter_of_fact(rng, self.plain_words)),
            'unknown': (0.8, lambda rng: everyday.unknown_fact(rng, unknown, self.plain_words)),
        }
        self._plain_fact_makers = [maker for weight, maker in makers.values() for _ in range(max(1, round(weight)))]
        focus = FACT_FOCUS[self._stage]
        return makers | {kind: (makers[kind][0] * factor, makers[kind][1]) for kind, factor in focus.items()}

    @staticmethod
    def _of(maker: Callable[[random.Random], Case]) -> Callable[[random.Random], Doc]:
        return lambda rng: seen(rng, maker).doc()

    def fact_case(self, rng: random.Random) -> Case:
        """A single question on any fact, held out or not."""
        pairs = tuple(self.fact_makers.values())
        maker = rng.choices(pairs, weights=[pair[0] for pair in pairs])[0][1]
        return ask(rng, maker(rng))

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
        weights = [by_stage[self._stage - 1] for by_stage, _ in self._makers]
        makers = [maker for _, maker in self._makers]
        while True:
            yield rng.choices(makers, weights=weights)[0](rng)

    def long_docs(self, seed: int) -> Iterator[Doc]:
        """Documents of several hundred tokens: long blocks, long chats, stories of several adventures."""
        rng = random.Random(seed)
        while True:
            draw = rng.random()
            if draw < 0.45:
                yield block(rng, self._plain_fact_makers, 14, 34)
            elif draw < 0.6:
                yield conversation(rng, self._plain_fact_makers, 8, 20)
            else:
                yield Doc('story', (Part(self.stories.long_story(rng), True),))
