"""Repeating a phrase: of real sentences, of random words, of made-up words, so that any phrase can be repeated."""

from __future__ import annotations

import random
from collections.abc import Callable

from sandle_tiny.asking import chat_case
from sandle_tiny.doc import Case, trailing_space, upper_first

ONSETS = (
    'b',
    'c',
    'd',
    'f',
    'g',
    'h',
    'j',
    'k',
    'l',
    'm',
    'n',
    'p',
    'r',
    's',
    't',
    'v',
    'w',
    'y',
    'z',
    'st',
    'tr',
    'bl',
    'gr',
    'sh',
    'ch',
    'pl',
    'br',
    'th',
    'qu',
    'sp',
    '',
)
VOWELS = ('a', 'e', 'i', 'o', 'u', 'ee', 'oo', 'ai', 'ou', 'ea')
CODAS = ('', '', '', 'n', 'r', 't', 's', 'l', 'm', 'ck', 'nd', 'st', 'ng', 'x', 'p', 'sh')
STARTS = (
    'this is',
    'I am',
    'it is',
    'we have',
    'you are',
    'I like',
    'there is',
    'she has',
    'he wants',
    'they see',
    'I love',
    'this was',
    'that is',
    'here is',
    'we like',
    'my friend has',
    'do not forget',
    'please bring',
    'let us find',
)
ENDS = (
    'today',
    'in the morning',
    'for you',
    'at home',
    'in the garden',
    'with me',
    'every day',
    'on the table',
    'again',
    'now',
)


def made_up_word(rng: random.Random) -> str:
    """A word that is in no dictionary but can be spoken."""
    count = rng.choices((1, 2, 3), weights=(3, 5, 1))[0]
    word = ''.join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(count))
    return word if rng.random() < 0.97 else word + str(rng.randint(1, 999))


class Phrases:
    """Draws phrases to repeat: lower case, no final mark."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def word(self, rng: random.Random) -> str:
        """A common word, now and then a made-up one, a number or a word in capitals."""
        draw = rng.random()
        if draw < 0.1:
            return made_up_word(rng)
        if draw < 0.15:
            return str(rng.randint(0, 2000))
        if draw < 0.18:
            return rng.choice(self._words).upper()
        if draw < 0.24:
            return rng.choice(self._words).capitalize()
        return rng.choice(self._words)

    def phrase(self, rng: random.Random) -> str:
        """A phrase of one to ten words."""
        draw = rng.random()
        if draw < 0.35:
            noun = rng.choice(self._words)
            middle = rng.choice((f'a {noun}', f'the {noun}', f'a {rng.choice(self._words)} {noun}', f'my {noun}', noun))
            tail = ' ' + rng.choice(ENDS) if rng.random() < 0.4 else ''
            return f'{rng.choice(STARTS)} {middle}{tail}'
        if draw < 0.45:
            return made_up_word(rng) + ''.join(' ' + made_up_word(rng) for _ in range(rng.randint(0, 3)))
        count = rng.choices((1, 2, 3, 4, 5, 6, 8, 10, 20), weights=(3, 5, 5, 5, 4, 3, 2, 2, 1))[0]
        words = [self.word(rng) for _ in range(count)]
        if count > 4 and rng.random() < 0.2:
            words[count // 2] += ','
        return ' '.join(words)


def say_case(rng: random.Random, phrases: Phrases) -> Case:
    """`Say this is a test` is answered with the phrase as a sentence: first letter in upper case, full stop."""
    phrase = phrases.phrase(rng)
    verb = rng.choice(('Say',) * 9 + ('say', 'Please say', 'Can you say', 'Now say'))
    mark = rng.choices(('', '.', '!'), weights=(8, 3, 1))[0]
    answer = upper_first(phrase) + (mark or '.')
    if rng.random() < 0.12:
        return chat_case('say', f'{verb} {phrase}{mark}', answer, phrase)
    if rng.random() < 0.06:
        return Case('say', f'{verb} {phrase}{mark}\n', answer, phrase)
    return Case('say', f'{verb} {phrase}{mark}', ' ' + answer, phrase)


def repeat_case(rng: random.Random, phrases: Phrases) -> Case:
    """Repeating after a colon or in quotation marks: letter for letter."""
    phrase = phrases.phrase(rng)
    draw = rng.random()
    if draw < 0.4:
        phrase = upper_first(phrase)
    if rng.random() < 0.4:
        phrase += rng.choice('.!?')
    forms: tuple[tuple[int, str, str], ...] = (
        (5, f'Repeat after me: {phrase}', ' ' + phrase),
        (4, f'Repeat: {phrase}', ' ' + phrase),
        (3, f'Say: {phrase}', ' ' + phrase),
        (3, f'Repeat this: {phrase}', ' ' + phrase),
        (3, f'Repeat the phrase: {phrase}', ' ' + phrase),
        (2, f'Repeat the sentence: {phrase}', ' ' + phrase),
        (2, f'Copy this: {phrase}', ' ' + phrase),
        (2, f'Copy: {phrase}', ' ' + phrase),
        (1, f'Echo: {phrase}', ' ' + phrase),
        (4, f'Say "{phrase}"', f' "{phrase}"'),
        (2, f'Repeat "{phrase}"', f' "{phrase}"'),
        (2, f'Say "{phrase}".', f' "{phrase}"'),
        (2, f"Say '{phrase}'", f" '{phrase}'"),
        (1, f'Please repeat: {phrase}', ' ' + phrase),
        (1, f'Please repeat after me: {phrase}', ' ' + phrase),
        (2, f'Repeat the following: {phrase}', ' ' + phrase),
        (1, f'Repeat the following sentence: {phrase}', ' ' + phrase),
        (1, f'Repeat exactly: {phrase}', ' ' + phrase),
        (1, f'Write: {phrase}', ' ' + phrase),
        (1, f'Print: {phrase}', ' ' + phrase),
        (1, f'Please say: {phrase}', ' ' + phrase),
        (2, f'Input: {phrase}\nOutput:', ' ' + phrase),
        (2, f'Repeat the words: {phrase}', ' ' + phrase),
        (2, f'Repeat after me: {phrase}\n', phrase),
        (2, f'Repeat: {phrase}\n', phrase),
        (1, f'Repeat the following: {phrase}\n\n', phrase),
    )
    _, prompt, answer = rng.choices(forms, weights=[form[0] for form in forms])[0]
    if rng.random() < 0.1 and not prompt.startswith('Input'):
        return chat_case('repeat', prompt.strip(), answer.strip(), phrase)
    return trailing_space(rng, Case('repeat', prompt, answer, phrase), 0.03)


def echo_block(rng: random.Random, phrases: Phrases) -> Case:
    """A pattern to take up from examples: the same word again, or a capital, or the word twice."""
    change: Callable[[str], str] = rng.choice((str, str.capitalize, lambda word: f'{word} {word}', str.upper))
    arrow = rng.choice((' -> ', ': ', ' = ', ' => '))
    words = [phrases.word(rng).lower() for _ in range(rng.randint(3, 6))]
    lines = [f'{word}{arrow}{change(word)}' for word in words]
    last, mark = words[-1], arrow.rstrip(' ')
    prompt = '\n'.join(lines[:-1]) + f'\n{last}{mark}'
    return Case('pattern', prompt, ' ' + change(last), ' '.join(words))
