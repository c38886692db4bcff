"""Everyday texts: greetings, people who tell of themselves, letters, lists, old rhymes."""

from __future__ import annotations

import random

from sandle_tiny.asking import Fact, chat_case
from sandle_tiny.doc import ASSISTANT, USER, Case, Doc, Part, upper_first, whole
from sandle_tiny.facts import data_lines
from sandle_tiny.stories import BOYS, GIRLS, PARENTS, PLACES

NAMES = GIRLS + BOYS
LISTS = {
    'fruits': ('apple', 'banana', 'pear', 'orange', 'cherry', 'grape', 'lemon', 'peach'),
    'animals': ('dog', 'cat', 'horse', 'cow', 'lion', 'elephant', 'rabbit', 'sheep'),
    'colours': ('red', 'blue', 'green', 'yellow', 'black', 'white', 'pink', 'brown'),
    'colors': ('red', 'blue', 'green', 'yellow', 'black', 'white', 'pink', 'brown'),
    'vegetables': ('carrot', 'potato', 'onion', 'cabbage', 'pea', 'cucumber'),
    'countries': ('France', 'Germany', 'Italy', 'Spain', 'Japan', 'Brazil', 'Egypt', 'Canada'),
    'cities': ('Paris', 'London', 'Rome', 'Berlin', 'Tokyo', 'Madrid', 'Vienna'),
    'birds': ('sparrow', 'eagle', 'parrot', 'owl', 'robin', 'penguin'),
    'planets': ('Mercury', 'Venus', 'Earth', 'Mars', 'Jupiter'),
    'flowers': ('rose', 'tulip', 'daisy', 'lily', 'sunflower'),
    'sports': ('football', 'tennis', 'swimming', 'running', 'skating'),
    'drinks': ('water', 'milk', 'tea', 'coffee', 'juice'),
    'languages': ('English', 'French', 'German', 'Spanish', 'Italian'),
    'trees': ('oak', 'pine', 'birch', 'maple'),
    'toys': ('ball', 'doll', 'train', 'kite', 'drum'),
}
COUNTS = ('one', 'two', 'three', 'four', 'five')
OCCASIONS = (
    ('party', 'There will be cake and music'),
    ('meeting', 'We will talk about the new plan'),
    ('trip', 'We will go to the lake'),
    ('concert', 'I will play the piano'),
    ('picnic', 'Please bring some fruit'),
    ('birthday', 'There will be a big cake'),
    ('school play', 'I have the part of the king'),
)
WEEKDAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')


class Greetings:
    """Greetings and their replies, from `data/greetings.txt`."""

    def __init__(self) -> None:
        text, _, chat = '\n'.join(data_lines('greetings.txt')).partition('[chat]\n')
        self.starts = [line.split('|') for line in text.splitlines() if '|' in line]
        self.turns = [line.split('|') for line in chat.splitlines()]

    def case(self, rng: random.Random) -> Case:
        """A greeting and its reply, bare or in a chat."""
        if rng.random() < 0.5:
            prompt, answer = rng.choice(self.starts)
            return Case('greeting', prompt, answer)
        if rng.random() < 0.2:
            prompt, answer = rng.choice(self.turns)
            return Case('greeting', prompt + '\n', answer)
        prompt, answer = rng.choice(self.turns)
        return chat_case('greeting', prompt, answer)


def self_portrait(rng: random.Random) -> Doc:
    """A person who tells of himself or herself."""
    name, age = rng.choice(NAMES), rng.randint(5, 40)
    home = rng.choice(
        LISTS['countries'] + ('England', 'Norway', 'Greece', 'Ireland', 'Poland', 'Mexico', 'India', 'China')
    )
    job = (
        rng.choice(('a teacher', 'a student', 'a baker', 'a doctor', 'a farmer', 'a pilot', 'a singer'))
        if age > 17
        else ''
    )
    pet = rng.choice(('dog', 'cat', 'rabbit', 'horse', 'bird'))
    parts = [f'My name is {name}.', f'I am {age} years old.', f'I live in {home}.']
    more = [
        f'I am {job}.' if job else 'I go to school.',
        f'I have a {pet} named {rng.choice(("Rex", "Coco", "Milo", "Pip"))}.',
        f'I like to {rng.choice(("read", "swim", "sing", "cook", "play football", "dance", "paint"))}.',
        f'My favourite colour is {rng.choice(("blue", "red", "green", "yellow"))}.',
    ]
    text = ' '.join(parts + rng.sample(more, rng.randint(1, 3)))
    return whole('everyday', rng.choice(('', '', 'Hello everyone! ', 'Hi all! ')) + text)


def letter(rng: random.Random) -> Doc:
    """A short letter, bare or asked for."""
    (event, remark), sender, friend = rng.choice(OCCASIONS), rng.choice(NAMES), rng.choice(NAMES)
    day, hour = rng.choice(WEEKDAYS), rng.randint(1, 11)
    closing = rng.choice(('Best wishes', 'Yours', 'Love', 'Kind regards', 'See you soon'))
    text = (
        f'Dear {friend},\n\n'
        + rng.choice(('I hope you are well. ', 'How are you? ', 'Thank you for your letter. '))
        + rng.choice(
            (
                f'I would like to invite you to my {event} on {day}',
                f'Please come to the {event} on {day}',
                f'The {event} is on {day}',
            )
        )
        + f' at {hour} o\'clock. {remark}.'
        + rng.choice((' Please let me know if you can come.', ' I hope to see you there.', ''))
        + f'\n\n{closing},\n{sender}'
    )
    if rng.random() < 0.5:
        return whole('letter', text)
    what = rng.choice(('a letter', 'an email', 'a short email', 'a short letter', 'an e-mail'))
    request = f'Write {what} to {friend} about the {event}' + rng.choice(('.', '.', ':', ''))
    if rng.random() < 0.4:
        return Doc('letter', (Part(f'{USER}\n{request}\n{ASSISTANT}\n', False), Part(text, True)))
    return Doc('letter', (Part(request + rng.choice(('\n', '\n\n')), False), Part(text, True)))


def listing(rng: random.Random) -> Case:
    """Some things of a kind: numbered, or in a sentence."""
    kind = rng.choice(tuple(LISTS))
    count = rng.randint(2, min(5, len(LISTS[kind])))
    chosen = LISTS[kind][:count] if rng.random() < 0.85 else rng.sample(LISTS[kind], count)
    number = rng.choice((COUNTS[count - 1], COUNTS[count - 1], str(count)))
    if rng.random() < 0.5:
        request = rng.choice(
            (f'List {number} {kind}', f'Write a list of {number} {kind}', f'Make a list of {number} {kind}')
        )
        answer = '\n'.join(f'{index}. {upper_first(name)}' for index, name in enumerate(chosen, 1))
        glue = '\n'
    else:
        request = rng.choice((f'Name {number} {kind}', f'Tell me {number} {kind}', f'Give me {number} {kind}'))
        answer = upper_first(', '.join(chosen[:-1]) + ' and ' + chosen[-1]) + '.'
        glue = ' '
    request += rng.choice(('.', '.', ':', ''))
    if rng.random() < 0.3:
        return chat_case('list', request, answer)
    return Case('list', request, glue + answer)


class OldTexts:
    """Rhymes, openings of old books and sayings, all in the public domain."""

    def __init__(self) -> None:
        blocks = '\n'.join(data_lines('texts.txt')).split('\n\n')
        self.texts = [tuple(block.removeprefix('= ').split('\n', 1)) for block in blocks]
        self.sayings = [tuple(line.split(' | ')) for line in filter(None, data_lines('proverbs.txt'))]

    def doc(self, rng: random.Random) -> Doc:
        """An old text, or a saying to finish."""
        if rng.random() < 0.5:
            title, text = rng.choice(self.texts)
            return whole('old text', f'{title}\n\n{text}' if rng.random() < 0.2 else text)
        return self.saying(rng).doc()

    def saying(self, rng: random.Random) -> Case:
        """A saying with its end to be found."""
        start, end = rng.choice(self.sayings)
        draw = rng.random()
        if draw < 0.2:
            return Case('saying', f'Finish the saying: {start}', f' {end}')
        if draw < 0.3:
            return Case('saying', f'Complete the proverb: {start}', f' {end}')
        return Case('saying', start, f' {end}')


POEM_RHYMES = (
    ('cat', 'hat'),
    ('dog', 'log'),
    ('house', 'mouse'),
    ('tree', 'bee'),
    ('spoon', 'balloon'),
    ('star', 'car'),
    ('cake', 'lake'),
    ('bear', 'chair'),
    ('ball', 'wall'),
    ('boat', 'goat'),
    ('fish', 'dish'),
    ('king', 'ring'),
    ('rose', 'nose'),
    ('pig', 'wig'),
    ('fox', 'box'),
    ('bell', 'well'),
    ('clock', 'sock'),
    ('duck', 'truck'),
    ('flower', 'tower'),
    ('snake', 'rake'),
    ('rug', 'bug'),
    ('sheep', 'jeep'),
    ('crown', 'gown'),
)


def poem(rng: random.Random) -> Doc:
    """Four lines of two rhymes, bare or asked for."""
    (a, b), (c, d) = rng.sample(POEM_RHYMES, 2)
    name = rng.choice(NAMES)
    first = rng.choice(
        (
            f'I think of a {a},\nI dream of a {b}.',
            f'{name} saw a {a},\nAnd then a {b}.',
            f'Here is a {a},\nThere is a {b}.',
            f'One little {a},\nOne little {b}.',
        )
    )
    second = rng.choice(
        (
            f'Sing of the {c},\nSing of the {d}!',
            f'Look at the {c},\nLook at the {d}!',
            f'Good night to the {c},\nGood night to the {d}.',
            f'I gave you a {c},\nYou gave me a {d}.',
        )
    )
    text = f'{first}\n{second}'
    request = rng.choice(
        ('Write a poem', 'Write a short poem', 'Tell me a poem', 'Write me a poem', 'Write a little poem')
    )
    about = rng.choice(('', f' about a {a}', f' about the {a}', f' about a {a} and a {c}'))
    request += about + rng.choice(('.', '.', ':', ''))
    draw = rng.random()
    if draw < 0.2:
        return whole('poem', text)
    if draw < 0.5:
        return Doc('poem', (Part(f'{USER}\n{request}\n{ASSISTANT}\n', False), Part(text, True)))
    return Doc('poem', (Part(request + rng.choice(('\n', '\n\n')), False), Part(text, True)))


def unknown_fact(rng: random.Random, templates: list[str], words: list[str]) -> Fact:
    """A question that cannot be answered, and the honest answer."""
    question = rng.choice(templates).format(n=rng.choice(NAMES), w=rng.choice(words), c=rng.choice(LISTS['countries']))
    return Fact('unknown', question, 'I do not know', 'I am sorry, I do not know that.')


def remark(rng: random.Random) -> Doc:
    """A plain remark on a day, so that loose sentences go on sensibly."""
    name, parent, place = rng.choice(NAMES), rng.choice(PARENTS), rng.choice(PLACES)
    day = rng.choice(WEEKDAYS)
    text = rng.choice(
        (
            f'Today is {day}. {name} goes to {place} with the {parent}. The sun is shining, and the birds are singing.',
            f'On {day}, we went to {place}. We had bread and apples, and we played until it was dark.',
            f'I went to {place} with my {parent}. It was a lovely day. We saw a bird, a cat and a little frog.',
            f'The weather was {rng.choice(("good", "bad", "cold", "warm"))} on {day}. '
            f'{name} stayed at home and read a book.',
            f'It is {rng.choice(("sunny", "rainy", "windy"))} today. I will go to {place} and meet {name}.',
        )
    )
    return whole('everyday', text)
