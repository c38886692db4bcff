"""Reads the tables of facts and of free questions in `data/`, and draws facts from them."""

from __future__ import annotations

import pathlib
import random
from dataclasses import dataclass, field

from sandle_tiny.asking import Fact, FactMaker
from sandle_tiny.doc import upper_first

DATA = pathlib.Path(__file__).resolve().parent / 'data'
TABLES = ('facts_world.txt', 'facts_words.txt', 'facts_nature.txt', 'facts_time.txt')


@dataclass
class Table:
    """One kind of facts: rows of two values, and the sentences they are put into."""

    kind: str
    questions: list[str] = field(default_factory=list)
    cloze: list[tuple[str, str]] = field(default_factory=list)
    sentence: str = ''
    short: str = '{b}'
    rows: list[tuple[str, str]] = field(default_factory=list)

    def fact(self, question: str, row: tuple[str, str]) -> Fact:
        """The fact that a row makes with one of the questions."""
        a, b = row
        slots = {'a': a, 'b': b, 'A': upper_first(a), 'B': upper_first(b)}
        cloze = []
        for prompt, end in self.cloze:
            glue = '' if prompt.endswith('\n') else ' '
            cloze.append((prompt.format(**slots), glue + end.format(**slots)))
        short = self.short.format(**slots)
        return Fact(
            self.kind, question.format(**slots), short, upper_first(self.sentence.format(**slots)), tuple(cloze)
        )

    def draw(self, rng: random.Random) -> Fact:
        """A fact at random."""
        return self.fact(rng.choice(self.questions), rng.choice(self.rows))


def data_lines(name: str) -> list[str]:
    """The lines of a data file without its comments."""
    return [line for line in (DATA / name).read_text(encoding='utf-8').splitlines() if not line.startswith('#')]


def read_tables() -> dict[str, Table]:
    """All tables by kind. A row that starts with `~` holds both ways round where the kind is `opposite` or `rhyme`."""
    tables: dict[str, Table] = {}
    for name in TABLES:
        table = Table('')
        for line in filter(None, data_lines(name)):
            if line.startswith('['):
                table = tables[line[1:-1]] = Table(line[1:-1])
            else:
                read_line(table, line, tables)
    return tables


def read_line(table: Table, line: str, tables: dict[str, Table]) -> None:
    """Puts one line of a data file into its table."""
    field_name, _, value = line.partition(': ')
    if field_name == 'q':
        table.questions.append(value)
    elif field_name == 'cloze':
        prompt, _, end = value.replace('\\n', '\n').partition('|')
        prompt = prompt if prompt.endswith('\n') else prompt.rstrip(' ')
        table.cloze.append((prompt, end.strip()))
    elif field_name == 'long':
        table.sentence = value
    elif field_name == 'short':
        table.short = value
    elif field_name == 'reverse':
        known = set()
        for a, b in tables[value].rows:
            if b not in known:
                known.add(b)
                table.rows.append((b, a))
    else:
        a, _, b = line.removeprefix('~ ').partition(' | ')
        taken = {row[0] for row in table.rows}
        pairs = [(a, b), (b, a)] if line.startswith('~') and table.kind in ('opposite', 'rhyme') else [(a, b)]
        table.rows += [row for row in pairs if row[0] not in taken]


def free_questions() -> list[tuple[list[str], str, str]]:
    """Questions that fit no table: wordings, short answer, sentence."""
    found = []
    for line in filter(None, data_lines('questions.txt')):
        wordings, short, sentence = line.split(' | ')
        found.append((wordings.split('; '), short, sentence))
    return found


def free_question_maker() -> FactMaker:
    """Draws one of the free questions."""
    questions = free_questions()

    def draw(rng: random.Random) -> Fact:
        wordings, short, sentence = rng.choice(questions)
        return Fact('general', rng.choice(wordings), short, sentence, unfinished(short, sentence))

    return draw


def unfinished(short: str, sentence: str) -> tuple[tuple[str, str], ...]:
    """The sentence without its end, where the end is the short answer."""
    start = len(sentence) - len(short) - 1
    if start > 8 and sentence[start:-1].lower() == short.lower() and sentence[start - 1] == ' ':
        return ((sentence[:start - 1], sentence[start - 1:]),)
    return ()


def words() -> list[str]:
    """Common English words in lower case, without repeats."""
    return list(dict.fromkeys(' '.join(data_lines('words.txt')).split()))
