"""Short stories of simple sentences: a cast, a plot from `data/stories.txt`, and ways to open and to ask for one."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from sandle_tiny.doc import ASSISTANT, USER, Doc, Part, upper_first, whole
from sandle_tiny.facts import data_lines

GIRLS = tuple('Lily Anna Mia Emma Sara Lucy Rose Ella Nina Clara Julia Maya Zoe Ruby Alice Mary Lena Ida'.split())
BOYS = tuple('Tom Ben Max Sam Leo Jack Tim Noah Finn Oscar Peter Paul Adam Luke Hugo John Felix Emil'.split())
PETS = tuple('Rex Fluffy Pip Coco Milo Bella Daisy Rusty Honey Toby Pepper Lulu Bruno Misty Hop Nut'.split())
SHE_PETS = ('Bella', 'Daisy', 'Honey', 'Lulu', 'Misty', 'Coco')
ANIMALS = tuple(
    'cat dog rabbit mouse bear fox duck frog squirrel hedgehog owl pig turtle monkey elephant penguin '
    'lamb pony'.split()
)
FRIENDS = tuple('rabbit mouse fox duck frog squirrel hedgehog turtle monkey bear goat cat dog'.split())
ADJECTIVES = tuple(
    'little kind brave clever curious small young cheerful shy happy friendly gentle quiet funny'.split()
)
PLACES = (
    'the park', 'the garden', 'the forest', 'the beach', 'the river', 'the lake', 'the hill', 'the old mill',
    'the big meadow', 'the farm', 'the playground', 'the pond',
)
THINGS = ('ball', 'doll', 'toy car', 'teddy bear', 'drum', 'hat', 'book', 'toy train', 'puppet', 'bell', 'toy boat')
COLOURS = ('red', 'blue', 'green', 'yellow', 'small', 'soft', 'shiny', 'wooden', 'old', 'new')
FOODS = ('apple', 'cake', 'pie', 'cookie', 'pear', 'sandwich', 'bun', 'melon')
PARENTS = ('mother', 'father', 'grandmother', 'grandfather', 'mum', 'dad', 'aunt', 'uncle')
HOMES = (
    'in a small house near the sea', 'in a little village', 'in a big city', 'on a farm',
    'at the edge of the forest', 'in a warm house on a hill', 'in an old house by the river', 'in a green valley',
)
ENDINGS = (
    'The end.', 'They all lived happily ever after.', 'And that was the end of a very good day.',
    'It was a day to remember.',
)


@dataclass(frozen=True)
class Cast:
    """Who and what a story is about; `slots` are the words that a plot asks for."""

    name: str
    hero: str
    """What the hero is: girl, boy, or an animal."""
    adjective: str
    slots: dict[str, str]


def article(phrase: str) -> str:
    """The phrase with a or an before it."""
    return ('an ' if phrase[0] in 'aeiou' else 'a ') + phrase


def expand(rng: random.Random, template: str, slots: dict[str, str]) -> str:
    """Chooses in every [a|b] and fills every {slot}."""
    while '[' in template:
        template = re.sub(r'\[([^\[\]]*)\]', lambda match: rng.choice(match.group(1).split('|')), template)
    return template.format(**slots)


def read_plots() -> list[list[str]]:
    """The plots: each a list of lines."""
    plots: list[list[str]] = []
    for line in filter(None, data_lines('stories.txt')):
        if line.startswith('='):
            plots.append([])
        else:
            plots[-1].append(line)
    return plots


def draw_cast(rng: random.Random) -> Cast:
    """A hero with a name and pronouns that fit, a friend, and things to use."""
    draw = rng.random()
    if draw < 0.65:
        is_she = draw < 0.33
        name, hero = rng.choice(GIRLS if is_she else BOYS), 'girl' if is_she else 'boy'
    else:
        name, hero = rng.choice(PETS), rng.choice(ANIMALS)
        is_she = name in SHE_PETS
    friend_kind = rng.choice([kind for kind in FRIENDS if kind != hero])
    friend = rng.choice([other for other in PETS + BOYS + GIRLS if other != name])
    place = rng.choice(PLACES)
    thing = f'{rng.choice(COLOURS)} {rng.choice(THINGS)}'
    friend_adjective = rng.choice(ADJECTIVES)
    he, him, his = ('she', 'her', 'her') if is_she else ('he', 'him', 'his')
    at = 'at' if place in ('the beach', 'the river', 'the lake', 'the pond', 'the playground', 'the old mill') else 'in'
    at = 'on' if place in ('the hill', 'the farm') else at
    slots = {
        'n': name,
        'he': he,
        'him': him,
        'his': his,
        'He': upper_first(he),
        'His': upper_first(his),
        'f': friend,
        'fkind': friend_kind,
        'fadj': friend_adjective,
        'a_fadj': article(friend_adjective),
        'thing': thing,
        'food': rng.choice(FOODS),
        'warm': rng.choice(('hat', 'scarf')),
        'parent': rng.choice(PARENTS),
        'to_place': 'to ' + place,
        'at_place': f'{at} {place}',
    }
    return Cast(name, hero, rng.choice(ADJECTIVES), slots)


def opening(rng: random.Random, cast: Cast) -> str:
    """The first sentences: who the hero is, and where at home."""
    who = f'{article(cast.adjective)} {cast.hero}'
    lines = [
        f'Once upon a time, there was {who} named {cast.name}.',
        f'Once upon a time, there was {who} called {cast.name}.',
        f'Once upon a time, {who} named {cast.name} lived {rng.choice(HOMES)}.',
        f'There once was {who} named {cast.name}.',
        f'{cast.name} was {who} who lived {rng.choice(HOMES)}.',
        f'Once there was {who} whose name was {cast.name}.',
        f'{cast.name} was {who}.',
    ]
    first = rng.choices(lines, weights=(8, 3, 4, 2, 2, 1, 2))[0]
    he = cast.slots['He']
    seconds = [
        f'{he} lived {rng.choice(HOMES)}.',
        f'{cast.name} loved to play {cast.slots["at_place"]}.',
        f'{he} liked to sing and dance.',
        f'{he} lived with {cast.slots["his"]} {cast.slots["parent"]}.',
        f'Everyone liked {cast.name}.',
    ]
    if ' lived ' in first:
        seconds = seconds[1:3] + seconds[4:]
    return first + (' ' + rng.choice(seconds) if rng.random() < 0.7 else '')


def body(rng: random.Random, cast: Cast, plot: list[str], is_in_paragraphs: bool) -> str:
    """The plot told with this cast."""
    lines = [expand(rng, line, cast.slots) for line in plot]
    if rng.random() < 0.25:
        lines.append(rng.choice(ENDINGS))
    text = lines[0]
    for line in lines[1:]:
        text += ('\n\n' if is_in_paragraphs and rng.random() < 0.3 else ' ') + line
    return text


class StoryTeller:
    """Makes story documents of every form."""

    def __init__(self) -> None:
        self._plots = read_plots()

    def story(self, rng: random.Random, cast: Cast | None = None) -> str:
        """One whole story."""
        cast = cast or draw_cast(rng)
        return f'{opening(rng, cast)} {body(rng, cast, rng.choice(self._plots), rng.random() < 0.3)}'

    def long_story(self, rng: random.Random) -> str:
        """Several adventures of one hero, 400 to 1,000 tokens."""
        cast = draw_cast(rng)
        plots = rng.sample(self._plots, rng.randint(3, 5))
        texts = [f'{opening(rng, cast)} {body(rng, cast, plots[0], False)}']
        for plot in plots[1:]:
            again = draw_cast(rng)
            same = {key: cast.slots[key] for key in ('n', 'he', 'him', 'his', 'He', 'His', 'parent')}
            later = Cast(cast.name, cast.hero, cast.adjective, again.slots | same)
            if later.slots['f'] != cast.name:
                texts.append(body(rng, later, plot, False))
        return '\n\n'.join(texts)

    def doc(self, rng: random.Random) -> Doc:
        """A story: bare, from its middle, or asked for."""
        draw = rng.random()
        cast = draw_cast(rng)
        story = self.story(rng, cast)
        if draw < 0.55:
            return whole('story', story)
        if draw < 0.70:
            sentences = re.split(r'(?<=[.!?]) (?=[A-Z])', story)
            return whole('story', ' '.join(sentences[rng.randrange(1, max(2, len(sentences) // 2)):]))
        if draw < 0.74:
            question, name = rng.choice(('Who is the story about?', 'Who is this story about?')), cast.name
            return Doc('reading', (Part(story + f'\n\nQ: {question}\nA:', False), Part(' ' + name, True)))
        return self.asked(rng, cast, story)

    @staticmethod
    def asked(rng: random.Random, cast: Cast, story: str) -> Doc:
        """A request and the story that answers it."""
        about = rng.choice(
            (
                f' about a {cast.hero}',
                f' about {article(cast.hero)}',
                f' about a {cast.hero} named {cast.name}',
                f' about {article(cast.adjective)} {cast.hero}',
                '',
            )
        )
        about = about.replace(' a elephant', ' an elephant').replace(' a owl', ' an owl')
        verb = rng.choice(('Write', 'Tell me', 'Tell', 'Write me', 'Please tell me', 'Please write'))
        request = f'{verb} {rng.choice(("a story", "a short story", "a story", "a little story"))}{about}'
        request += rng.choice(('.', '.', '.', '', ':', '!'))
        draw = rng.random()
        if draw < 0.45:
            return Doc('story', (Part(f'{USER}\n{request}\n{ASSISTANT}\n', False), Part(story, True)))
        glue = rng.choice((' ', '\n', '\n\n'))
        prompt = request if glue == ' ' else request + glue
        return Doc('story', (Part(prompt, False), Part((' ' if glue == ' ' else '') + story, True)))
