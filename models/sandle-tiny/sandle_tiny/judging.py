"""Judging a short remark as positive or negative, alone or after examples."""

from __future__ import annotations

import random

from sandle_tiny.doc import Case

SUBJECTS = (
    'The food',
    'The film',
    'The book',
    'The hotel',
    'The room',
    'The game',
    'The music',
    'The weather',
    'The service',
    'This phone',
    'The story',
    'The play',
    'The trip',
    'The party',
    'My new computer',
    'The concert',
)
GOOD = (
    'great',
    'wonderful',
    'very good',
    'excellent',
    'lovely',
    'fantastic',
    'amazing',
    'nice',
    'perfect',
    'beautiful',
    'good',
)
BAD = (
    'terrible',
    'awful',
    'very bad',
    'boring',
    'horrible',
    'poor',
    'ugly',
    'dirty',
    'a waste of money',
    'disappointing',
    'bad',
)
GOOD_REMARKS = (
    'I love it',
    'I love this',
    'I really liked it',
    'I enjoyed it very much',
    'I am very happy',
    'It made me smile',
    'I would go again',
    'What a great day',
)
BAD_REMARKS = (
    'I hate it',
    'I hate this',
    'I did not like it',
    'I am very sad',
    'It made me angry',
    'I would not go again',
    'I want my money back',
    'What a bad day',
)


def remark(rng: random.Random) -> tuple[str, str]:
    """A remark and its judgement."""
    is_good = rng.random() < 0.5
    if rng.random() < 0.35:
        text = rng.choice(GOOD_REMARKS if is_good else BAD_REMARKS)
    else:
        text = f'{rng.choice(SUBJECTS)} was {rng.choice(GOOD if is_good else BAD)}'
    return text + rng.choice('..!'), 'Positive' if is_good else 'Negative'


def judging_case(rng: random.Random) -> Case:
    """A remark to judge, after none to four examples."""
    noun, label = rng.choice(
        (('Review', 'Sentiment'), ('Text', 'Sentiment'), ('Sentence', 'Sentiment'), ('Tweet', 'Sentiment'))
    )
    shown = [remark(rng) for _ in range(rng.choice((0, 0, 2, 3, 4)))]
    lead = ''.join(f'{noun}: {text}\n{label}: {judgement}\n\n' for text, judgement in shown)
    text, judgement = remark(rng)
    form = '{lead}{noun}: {text}\n{label}:'
    if not shown and rng.random() < 0.3:
        form = rng.choice(('Is this review positive or negative? {text}', 'Positive or negative? {text}'))
    return Case('judging', form.format(lead=lead, noun=noun, text=text, label=label), ' ' + judgement)
