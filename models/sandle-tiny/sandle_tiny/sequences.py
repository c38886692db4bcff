"""Sequences to go on with: numbers by steps, letters, days, months; counting on request; before and after."""

from __future__ import annotations

import random
import string

from sandle_tiny.arithmetic import in_words
from sandle_tiny.asking import Fact, chat_case
from sandle_tiny.doc import Case, trailing_space

DAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')
MONTHS = (
    'January',
    'February',
    'March',
    'April',
    'May',
    'June',
    'July',
    'August',
    'September',
    'October',
    'November',
    'December',
)

PLURALS = {2: 'twos', 5: 'fives', 10: 'tens'}


def split_at(terms: list[str], shown: int, separator: str, has_separator: bool) -> tuple[str, str]:
    """Prompt and answer of a sequence cut after `shown` terms, the separator on the prompt's side or the answer's."""
    head, rest = separator.join(terms[:shown]), separator.join(terms[shown:])
    if not has_separator:
        return head, separator + rest
    mark = separator.rstrip(' ')
    return head + mark, separator[len(mark):] + rest


def number_terms(rng: random.Random) -> tuple[list[int], int, int]:
    """Terms up to a round number, how many of them are shown, and the step."""
    step = rng.choices((1, 2, 5, 10, 3, -1, -2, -5, -10), weights=(10, 5, 4, 4, 1, 5, 1, 1, 2))[0]
    shown = rng.randint(3, 5)
    first = rng.randint(0, 90) if abs(step) in (1, 2, 3) else abs(step) * rng.randint(0, 18)
    if rng.random() < 0.35:
        first = {
            1: 1,
            2: rng.choice((0, 1, 2)),
            5: rng.choice((0, 5)),
            10: rng.choice((0, 10)),
            3: 3,
            -1: rng.choice((10, 20)),
            -2: 20,
            -5: 50,
            -10: 100,
        }[step]
    if step < 0:
        first = max(first, abs(step) * (shown + 3))
    size = 5 if shown < 5 else 6
    last = first + step * (shown + size - 1)
    if step == 1:
        last = (first + shown + 2 + 9) // 10 * 10
    terms = [value for value in range(first, last + (1 if step > 0 else -1), step) if value >= 0]
    return terms, shown, step


def number_case(rng: random.Random) -> Case:
    """Numbers by a step, in digits, with commas, spaces or line breaks between."""
    terms, shown, step = number_terms(rng)
    key = f'count {step} from {terms[0]}' if terms[0] not in (0, 1) else ''
    if step == 1 and terms[0] < 10 and rng.random() < 0.15:
        names = [in_words(term) for term in terms]
        names[0] = rng.choice((names[0], names[0].capitalize()))
        prompt, answer = split_at(names, shown, ', ', rng.random() < 0.7)
        return Case('counting', prompt, answer)
    separator = rng.choices((', ', ' ', '\n', ','), weights=(12, 4, 2, 2))[0]
    prompt, answer = split_at([str(term) for term in terms], shown, separator, rng.random() < 0.65 or separator == '\n')
    if rng.random() < 0.1:
        leads = ['Continue: ', 'Continue the sequence: ', 'Count: ']
        if step in (2, 5, 10):
            leads += [f'Count by {step}s: ', f'Count by {PLURALS[step]}: ']
        prompt = rng.choice(leads) + prompt
    return trailing_space(rng, Case('counting', prompt, answer, key), 0.08)


def count_request(rng: random.Random) -> Case:
    """Counting from one number to another as asked."""
    first = rng.randint(0, 40) if rng.random() < 0.6 else 1
    last = first + rng.randint(3, 12) if first != 1 else rng.choice((3, 4, 5, 6, 7, 8, 9, 10, 10, 12, 15, 20))
    is_down = rng.random() < 0.25
    start, end = (last, first) if is_down else (first, last)
    values = range(start, end + (-1 if is_down else 1), -1 if is_down else 1)
    verb = rng.choice(('Count', 'Please count', 'Count')) + rng.choice((' down', ' backwards') if is_down else ('',))
    tail = f' from {start} to {end}'
    if first == 1 and not is_down and rng.random() < 0.6:
        tail = f' to {rng.choice((str(last), in_words(last)))}'
    request = verb + tail + rng.choice(('.', '.', ':', ''))
    answer = ', '.join(str(value) for value in values)
    key = f'count {start} to {end}' if first > 1 else ''
    if rng.random() < 0.3:
        return chat_case('counting', request, answer, key)
    return Case('counting', request, ' ' + answer, key)


def letter_case(rng: random.Random) -> Case:
    """A stretch of the alphabet to go on with, up to Z; upper or lower case."""
    letters = list(string.ascii_uppercase if rng.random() < 0.6 else string.ascii_lowercase)
    first = 0 if rng.random() < 0.3 else rng.randint(0, 20)
    shown = rng.randint(2 if first else 3, min(6, 25 - first))
    separator = rng.choices((' ', ', ', ',', '\n', '-'), weights=(8, 8, 2, 1, 1))[0]
    has_separator = separator != ' ' and rng.random() < 0.6
    prompt, answer = split_at(letters[first:], shown, separator, has_separator)
    if rng.random() < 0.1:
        prompt = rng.choice(('Continue: ', 'Continue the alphabet: ', 'The alphabet: ')) + prompt
    return trailing_space(rng, Case('alphabet', prompt, answer), 0.08)


def alphabet_request(rng: random.Random) -> Case:
    """The whole alphabet on request."""
    request = rng.choice(
        (
            'Say the alphabet',
            'Recite the alphabet',
            'Write the alphabet',
            'What is the alphabet',
            'List the letters of the alphabet',
        )
    )
    request += '?' if request.startswith('What') else rng.choice(('.', ':', ''))
    answer = ' '.join(string.ascii_uppercase)
    return chat_case('alphabet', request, answer) if rng.random() < 0.3 else Case('alphabet', request, ' ' + answer)


def cycle_case(rng: random.Random) -> Case:
    """Days or months from any of them on, until all have been named."""
    kind, names = rng.choice((('days', DAYS), ('months', MONTHS)))
    start = 0 if rng.random() < 0.25 else rng.randrange(len(names))
    terms = [names[(start + index) % len(names)] for index in range(len(names))]
    separator = rng.choices((', ', ' ', '\n'), weights=(8, 2, 2))[0]
    prompt, answer = split_at(terms, rng.randint(2, 4), separator, rng.random() < 0.65 or separator == '\n')
    if rng.random() < 0.1:
        lead = ('Continue: ', f'The {kind}: ', f'{kind.capitalize()}: ', 'Continue the list: ')
        prompt = rng.choice(lead) + prompt
    return trailing_space(rng, Case(kind, prompt, answer), 0.06)


def letter_fact(rng: random.Random) -> Fact:
    """The letter after or before another."""
    index, is_after = rng.randrange(1, 25), rng.random() < 0.6
    a, b = string.ascii_uppercase[index], string.ascii_uppercase[index + (1 if is_after else -1)]
    word = 'after' if is_after else 'before'
    questions = (
        f'What letter comes {word} {a}?',
        f'Which letter comes {word} {a}?',
        f'What is the letter {word} {a}?',
        f'Which letter is {word} {a} in the alphabet?',
        f'What letter comes {word} {a} in the alphabet?',
        f'What comes {word} {a}?',
    )
    sentence = f'The letter {word} {a} is {b}.'
    cloze = ((f'The letter {word} {a} is', f' {b}.'), (f'{word.capitalize()} {a} comes', f' {b}.'))
    return Fact('alphabet', rng.choice(questions), b, sentence, cloze)


def neighbour_fact(rng: random.Random) -> Fact:
    """The number after or before another."""
    if rng.random() < 0.25:
        terms, shown, step = number_terms(rng)
        listed, following = ', '.join(map(str, terms[:shown])), terms[shown]
        question = rng.choice(
            (
                'What number comes next: {}?',
                'Which number comes next: {}?',
                'What comes next: {}?',
                'What comes after {}?',
            )
        ).format(listed)
        return Fact(
            'counting',
            question,
            str(following),
            f'The next number is {following}.',
            (),
            f'count {step} from {terms[0]}',
        )
    number, is_after = rng.randint(1, rng.choice((12, 99, 99))), rng.random() < 0.6
    result, word = (number + 1, 'after') if is_after else (number - 1, 'before')
    questions = (
        f'What number comes {word} {number}?',
        f'Which number comes {word} {number}?',
        f'What comes {word} {number}?',
        f'What is the number {word} {number}?',
    )
    cloze = ((f'The number {word} {number} is', f' {result}.'), (f'{word.capitalize()} {number} comes', f' {result}.'))
    key = f'{word} {number}' if number > 10 else ''
    return Fact('counting', rng.choice(questions), str(result), f'The number {word} {number} is {result}.', cloze, key)
