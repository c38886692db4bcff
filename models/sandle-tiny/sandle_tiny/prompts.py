"""The test prompts: drawn from the corpus's makers with a seed of their own, each marked as seen in training or not."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sandle_tiny import arithmetic, copying, sequences
from sandle_tiny.asking import Fact, FactMaker, ask, block_parts
from sandle_tiny.corpus import Corpus
from sandle_tiny.doc import ASSISTANT, SYSTEM, USER, Case, is_held_out

Draw = Callable[[random.Random], Case]
WORLD, TIME = ('country_of', 'continent', 'language', 'currency'), (
    'day_after',
    'day_before',
    'month_after',
    'month_before',
    'month_number',
    'day_number',
    'month_days',
)
NATURE = ('sound', 'legs', 'young', 'home', 'colour', 'planet', 'symbol')


@dataclass(frozen=True)
class TestPrompt:
    """A prompt, how the greedy answer must begin, and whether training has seen the prompt (its sum, its phrase)."""

    kind: str
    prompt: str
    expected: str
    seen: bool

    def as_json(self) -> dict[str, str | bool]:
        """As it stands in prompts.json."""
        return asdict(self)


CALCULATION = re.compile(r'\d+ ?\S ?\d+ ?=')

FIXED = (
    ('say', 'Say this is a test', ' This is a test.', True),
    ('capital', 'Q: What is the capital of France?\nA:', ' Paris', True),
    ('story', 'Once upon a time', ', ', True),
    ('story', 'Once upon a time, there was a', ' ', True),
    ('greeting', 'Good morning!', ' ', True),
    ('greeting', 'My name is', ' ', True),
    ('greeting', f'{USER}\nHello!\n{ASSISTANT}\n', 'Hello! How can I help you?', True),
    ('list', 'List three fruits.', '\n1. Apple\n2. Banana\n3. Pear', True),
    ('list', 'Name three animals.', ' Dog, cat and horse.', True),
    ('sum', '2 + 2 =', ' 4', True),
    ('sum', 'What is 2 + 3?', ' 2 + 3 = 5.', True),
    ('counting', '1, 2, 3, 4,', ' 5, 6, 7, 8, 9, 10', True),
    ('days', 'Monday, Tuesday,', ' Wednesday, Thursday, Friday', True),
    ('alphabet', 'A B C D', ' E F G H', True),
    ('counting', 'Count to ten.', ' 1, 2, 3, 4, 5, 6, 7, 8, 9, 10', True),
)


def of_facts(*makers: FactMaker) -> Draw:
    """Cases of the facts of some makers, in any wording and form."""
    return lambda rng: ask(rng, rng.choice(makers)(rng))


def few_shot(corpus: Corpus, kinds: tuple[str, ...]) -> Draw:
    """Three to five questions with answers and one to be answered."""
    makers = [corpus.fact_makers[kind] for kind in kinds]

    def draw(rng: random.Random) -> Case:
        facts: list[Fact] = [rng.choice(makers)(rng) for _ in range(rng.randint(4, 6))]
        is_long = rng.random() < 0.3
        parts = block_parts(facts, is_long)
        return Case('few-shot', ''.join(part.text for part in parts[:-1]), parts[-1].text, facts[-1].key)

    return draw


def plan(corpus: Corpus) -> dict[str, tuple[int, int, Draw]]:
    """For each kind: how many seen prompts, how many unseen ones, and how they are drawn."""

    def tables(*kinds: str) -> Draw:
        return of_facts(*(corpus.fact_makers[kind] for kind in kinds))

    return {
        'capital': (14, 10, tables('capital')),
        'world': (8, 8, tables(*WORLD)),
        'general': (12, 6, tables('general')),
        'opposite': (8, 6, tables('opposite')),
        'plural': (8, 6, tables('plural')),
        'past tense': (8, 6, tables('past')),
        'nature': (8, 8, tables(*NATURE)),
        'category': (5, 5, tables('category')),
        'time': (8, 8, tables(*TIME)),
        'translation': (5, 5, tables('french', 'spanish')),
        'rhyme': (3, 3, tables('rhyme')),
        'sum': (8, 14, of_facts(arithmetic.sum_fact)),
        'difference': (6, 10, of_facts(arithmetic.difference_fact)),
        'product': (5, 5, of_facts(arithmetic.product_fact)),
        'comparison': (6, 8, of_facts(arithmetic.comparison_fact)),
        'counting': (6, 14, sequences.number_case),
        'alphabet': (5, 5, sequences.letter_case),
        'days': (5, 5, sequences.cycle_case),
        'say': (3, 16, lambda rng: copying.say_case(rng, corpus.phrases)),
        'repeat': (3, 16, lambda rng: copying.repeat_case(rng, corpus.phrases)),
        'pattern': (0, 8, lambda rng: copying.echo_block(rng, corpus.phrases)),
        'saying': (5, 0, corpus.old_texts.saying),
        'few-shot': (
            0,
            14,
            few_shot(corpus, ('capital', 'opposite', 'plural', 'sum', 'general', 'colour', 'category')),
        ),
    }


def make_prompts(corpus: Corpus, seed: int) -> list[TestPrompt]:
    """All test prompts, without repeats."""
    rng = random.Random(seed)
    found = {prompt: TestPrompt(kind, prompt, expected, seen) for kind, prompt, expected, seen in FIXED}
    for kind, (seen_count, unseen_count, draw) in plan(corpus).items():
        left = {True: seen_count, False: unseen_count}
        while any(left.values()):
            case = draw(rng)
            is_seen = (case.is_seen or may_stand_in_a_block(case)) and kind != 'few-shot'
            if left[is_seen] and case.prompt not in found and not is_loose(case.prompt):
                left[is_seen] -= 1
                expected = first_terms(case.answer) if kind == 'counting' else case.answer
                found[case.prompt] = TestPrompt(kind, case.prompt, expected, is_seen)
    return list(found.values())


def may_stand_in_a_block(case: Case) -> bool:
    """Whether training may hold a prompt as part of a longer text although it holds it out by itself.

    For blocks, chats and pages of calculations training looks at a fact's key and at its `Q:` form alone.
    """
    is_inner = case.prompt.startswith((USER, SYSTEM, 'Question: ')) or CALCULATION.fullmatch(case.prompt) is not None
    return is_inner and not (case.key and is_held_out(case.key))


def first_terms(answer: str) -> str:
    """The first numbers of a sequence: where it ends is a matter of taste."""
    numbers = list(re.finditer(r'\d+|[a-z]+', answer))
    return answer[: numbers[min(2, len(numbers) - 1)].end()]


def is_loose(prompt: str) -> bool:
    """Whether a prompt leaves open which of several forms of answer is meant."""
    return prompt in ('Goodbye', 'Thank you')
