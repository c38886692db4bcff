"""Small sums, differences and products, and comparing of numbers. A held-out sum is held out in all its wordings."""

from __future__ import annotations

import random

from sandle_tiny.asking import Fact
from sandle_tiny.doc import Doc, Part, is_held_out

UNITS = (
    'zero',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
    'ten',
    'eleven',
    'twelve',
    'thirteen',
    'fourteen',
    'fifteen',
    'sixteen',
    'seventeen',
    'eighteen',
    'nineteen',
)
TENS = ('', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety')
NAMES = ('Tom', 'Anna', 'Ben', 'Lily', 'Sam', 'Mia', 'Max', 'Lucy')
GOODS = ('apples', 'books', 'cookies', 'pencils', 'balls', 'flowers', 'stones', 'toys', 'eggs', 'coins')


def in_words(number: int) -> str:
    """A number below 100 in words."""
    if number < 20:
        return UNITS[number]
    return TENS[number // 10] + ('-' + UNITS[number % 10] if number % 10 else '')


def key_of(a: int, sign: str, b: int) -> str:
    """What decides whether a sum is held out; sums within ten, which anyone tries first, never are."""
    return f'{a}{sign}{b}' if max(a, b) > 10 else ''


def operands(rng: random.Random) -> tuple[int, int]:
    """Two numbers with a sum of at most 100; half of the time both are below 21."""
    draw = rng.random()
    top = 10 if draw < 0.3 else 20 if draw < 0.5 else 99
    a = rng.randint(0, top)
    return a, rng.randint(0, min(100 - a, top if rng.random() < 0.8 else 10))


def calculation(kind: str, a: int, sign: str, b: int, result: int, spoken: tuple[str, ...], rng: random.Random) -> Fact:
    """The wordings of one calculation; `spoken` are words for the sign, as plus."""
    word = rng.choice(spoken)
    signed = f'{a} {sign} {b}'
    in_signs, spoken_sentence = f'{signed} = {result}.', f'{a} {word} {b} is {result}.'
    questions = (
        (f'What is {signed}?', in_signs),
        (f'What is {signed}?', in_signs),
        (f'What is {a} {word} {b}?', spoken_sentence),
        (f'How much is {signed}?', in_signs),
        (f'What is {a}{sign}{b}?', in_signs),
        (f'Calculate {signed}.', in_signs),
        (f'How much is {a} {word} {b}?', spoken_sentence),
        (f'What does {signed} equal?', in_signs),
    )
    cloze = (
        [(f'{signed} =', f' {result}')] * 4
        + [(f'{a}{sign}{b}=', str(result))] * 3
        + [
            (signed, f' = {result}'),
            (f'{a}{sign}{b}', f'={result}'),
            (f'{signed} = ?', f' {result}'),
            (f'{signed}?', f' {result}'),
            (f'{a} {word} {b} is', f' {result}.'),
            (f'{a} {word} {b} equals', f' {result}.'),
            (f'{a}{sign}{b} =', f' {result}'),
        ]
    )
    if max(a, b, result) <= 20:
        spelled = f'{in_words(a)} {word} {in_words(b)}'
        cloze += [(f'{upper(spelled)} is', f' {in_words(result)}.'), (f'{spelled} is', f' {in_words(result)}.')] * 2
        if rng.random() < 0.25:
            name = in_words(result)
            return Fact(
                kind, f'What is {spelled}?', name, f'{upper(spelled)} is {name}.', tuple(cloze[-2:]), key_of(a, sign, b)
            )
    question, sentence = rng.choice(questions)
    return Fact(kind, question, str(result), sentence, tuple(cloze), key_of(a, sign, b))


def upper(text: str) -> str:
    """First letter in upper case."""
    return text[0].upper() + text[1:]


def sum_fact(rng: random.Random) -> Fact:
    """An addition."""
    a, b = operands(rng)
    if rng.random() < 0.1:
        name, other, what = rng.choice(NAMES), rng.choice(('mother', 'teacher', 'friend', 'brother')), rng.choice(GOODS)
        question = (
            f'{name} has {a + 2} {what}. A {other} gives {name} {b + 2} more. How many {what} does {name} have now?'
        )
        return Fact('sum', question, str(a + b + 4), f'{name} has {a + b + 4} {what}.', (), key_of(a + 2, '+', b + 2))
    return calculation('sum', a, '+', b, a + b, ('plus', 'plus', 'and'), rng)


def difference_fact(rng: random.Random) -> Fact:
    """A subtraction whose result is not below zero."""
    first, second = operands(rng)
    a, b = (first + second, second) if rng.random() < 0.5 else (max(first, second), min(first, second))
    if rng.random() < 0.1:
        name, what = rng.choice(NAMES), rng.choice(GOODS)
        question = f'{name} has {a + 2} {what} and gives away {b}. How many {what} does {name} have left?'
        return Fact(
            'difference', question, str(a + 2 - b), f'{name} has {a + 2 - b} {what} left.', (), key_of(a + 2, '-', b)
        )
    return calculation('difference', a, '-', b, a - b, ('minus',), rng)


def product_fact(rng: random.Random) -> Fact:
    """A product of the tables up to ten."""
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    return calculation('product', a, rng.choice('**x'), b, a * b, ('times', 'times', 'multiplied by'), rng)


def equation(rng: random.Random) -> tuple[str, int]:
    """A calculation in digits that is not held out, and its result."""
    while True:
        a, b = operands(rng)
        sign = rng.choices('+-*', weights=(55, 35, 10))[0]
        if sign == '*':
            a, b = rng.randint(0, 10), rng.randint(0, 10)
        elif sign == '-':
            a, b = max(a, b), min(a, b)
        if not is_held_out(key_of(a, sign, b)):
            return f'{a} {sign} {b} =', a * b if sign == '*' else a + b if sign == '+' else a - b


def exercise(rng: random.Random) -> Doc:
    """A page of calculations, one a line: much practice in few tokens."""
    parts: list[Part] = []
    is_tight = rng.random() < 0.25
    for index in range(rng.randint(4, 10)):
        question, result = equation(rng)
        if is_tight:
            question = question.replace(' ', '')
        parts.append(Part(('\n' if index else '') + question, False))
        parts.append(Part(f'{result}' if is_tight else f' {result}', True))
    return Doc('exercise', tuple(parts))


def two_numbers(rng: random.Random) -> tuple[int, int]:
    """Two different numbers, small or below 100."""
    top = rng.choice((10, 20, 99, 99))
    a, b = rng.sample(range(top + 1), 2)
    if rng.random() < 0.3:
        b = a // 10 * 10 + rng.randint(0, 9)
    return (a, b) if a != b else (a, a + 1)


def comparison_fact(rng: random.Random) -> Fact:
    """Which of two numbers is larger or smaller, or whether one is."""
    a, b = two_numbers(rng)
    is_larger = rng.random() < 0.6
    word = rng.choice(('larger', 'bigger', 'greater', 'more') if is_larger else ('smaller', 'less', 'smaller'))
    right = max(a, b) if is_larger else min(a, b)
    key = f'{a}?{b}' if max(a, b) > 10 else ''
    if rng.random() < 0.4:
        word = 'larger' if word == 'more' else 'smaller' if word == 'less' else word
        answer = 'Yes' if right == a else 'No'
        sign = word if right == a else {True: 'smaller', False: 'larger'}[is_larger]
        return Fact('comparison', f'Is {a} {word} than {b}?', answer, f'{answer}, {a} is {sign} than {b}.', (), key)
    other = min(a, b) if is_larger else max(a, b)
    questions = [
        f'Which is {word}, {a} or {b}?',
        f'Which number is {word}, {a} or {b}?',
        f'Which is {word}: {a} or {b}?',
        f'What is {word}, {a} or {b}?',
    ]
    if word in ('larger', 'bigger', 'greater', 'smaller'):
        top = {'larger': 'largest', 'bigger': 'biggest', 'greater': 'greatest', 'smaller': 'smallest'}[word]
        questions.append(f'Which number is the {top}, {a} or {b}?')
    cloze = ((f'The {word if word != "more" else "larger"} number of {a} and {b} is', f' {right}.'),)
    return Fact('comparison', rng.choice(questions), str(right), f'{right} is {word} than {other}.', cloze, key)
