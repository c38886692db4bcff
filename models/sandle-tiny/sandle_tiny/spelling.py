"""Letters of words: spelling, first and last letter, length."""

from __future__ import annotations

import random

from sandle_tiny.asking import Fact


def spelling_fact(rng: random.Random, words: list[str]) -> Fact:
    """How a word is spelled."""
    word = rng.choice(words)
    spelled = '-'.join(word.upper())
    question = rng.choice(
        (
            f'How do you spell {word}?',
            f'How do you spell "{word}"?',
            f'How is {word} spelled?',
            f'How do you write {word}?',
        )
    )
    cloze = (
        (f'Spell {word}', ' ' + spelled),
        (f'Spell the word {word}', ' ' + spelled),
        (f'Spell: {word}', ' ' + spelled),
        (f'Spell {word}:', ' ' + spelled),
        (f'Spell {word}.', ' ' + spelled),
        (f'Spell the word {word}.', ' ' + spelled),
        (f'Spell "{word}":', ' ' + spelled),
    )
    return Fact('spelling', question, spelled, f'{word.capitalize()} is spelled {spelled}.', cloze)


def letter_of_fact(rng: random.Random, words: list[str]) -> Fact:
    """The first or last letter of a word."""
    word = rng.choice(words)
    is_first = rng.random() < 0.65
    place, letter = ('first', word[0]) if is_first else ('last', word[-1])
    verb = 'start' if is_first else 'end'
    letter = letter.upper()
    question = rng.choice(
        (
            f'What is the {place} letter of {word}?',
            f'What is the {place} letter of "{word}"?',
            f'What is the {place} letter of the word {word}?',
            f'What letter does {word} {verb} with?',
            f'Which letter does {word} {verb} with?',
            f'What is the {place} letter in {word}?',
        )
    )
    cloze = (
        (f'The word {word} {verb}s with the letter', f' {letter}.'),
        (f'The {place} letter of {word} is', f' {letter}.'),
    )
    return Fact('letters', question, letter, f'The {place} letter of {word} is {letter}.', cloze)
