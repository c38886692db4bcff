"""The ways to ask one question: bare, as Q and A, as a statement to finish, in a chat, or last in a block."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandle_tiny.doc import ASSISTANT, SYSTEM, USER, Case, Doc, Part, is_held_out, trailing_space

LEADS = (
    'Please tell me: ',
    'Hi! ',
    'Hello! ',
    'Answer this: ',
    'Quick question: ',
    'I want to know: ',
    'Please answer: ',
    'Tell me: ',
    'Answer the question: ',
    'One more question: ',
    'OK, ',
    'So, ',
    'Hey, ',
    'Please answer the question. ',
)
"""What people put before a question."""

SYSTEMS = (
    'You are a helpful assistant.',
    'You are a friendly assistant.',
    'Answer the questions of the user.',
    'You are a helpful, honest and kind assistant.',
    'Be brief.',
    'You are sandle-tiny.',
    'You are a helpful AI assistant.',
)
"""System messages; the answers do not depend on them."""

INTROS = (
    'Answer the questions.\n\n',
    'Answer each question.\n\n',
    'Questions and answers:\n\n',
    'I am a helpful assistant. I answer questions.\n\n',
    'I answer questions about the world in a few words. Where nobody knows the answer, I say so.\n\n',
    'The following is a list of questions and answers.\n\n',
    'Here are some questions and their answers:\n\n',
)


@dataclass(frozen=True)
class Fact:
    """One thing to know: its question, the short answer, the answer as a sentence, statements that lack their end."""

    kind: str
    question: str
    short: str
    sentence: str
    cloze: tuple[tuple[str, str], ...] = ()
    key: str = ''


FactMaker = Callable[[random.Random], Fact]


def loosened(rng: random.Random, question: str) -> str:
    """The question as a hurried person types it, now and then: no capital letters, a space too many."""
    draw = rng.random()
    if draw < 0.04:
        return question.lower()
    if draw < 0.05:
        return question.replace('?', ' ?')
    if 0.94 < draw:
        return rng.choice(LEADS) + question
    return question


def chat_case(kind: str, question: str, answer: str, key: str = '', system: str = '') -> Case:
    """One turn of a chat, with a system message if there is one."""
    if system:
        return Case(kind, f'{SYSTEM}\n{system}\n{USER}\n{question}\n{ASSISTANT}\n', answer, key)
    return Case(kind, f'{USER}\n{question}\n{ASSISTANT}\n', answer, key)


def ask(rng: random.Random, fact: Fact) -> Case:
    """A single prompt for the fact in one of the forms people use."""
    draw = rng.random()
    if fact.cloze and draw < 0.25:
        prompt, end = rng.choice(fact.cloze)
        return trailing_space(rng, Case(fact.kind, prompt, end, fact.key))
    question = loosened(rng, fact.question)
    forms: tuple[tuple[float, str, str], ...] = (
        (30, f'Q: {question}\nA:', ' ' + fact.short),
        (8, f'Question: {question}\nAnswer:', ' ' + fact.short),
        (3, f'Q: {question} A:', ' ' + fact.short),
        (2, f'Question: {question} Answer:', ' ' + fact.short),
        (2, f'{question}\nAnswer:', ' ' + fact.short),
        (2, f'{question}\nA:', ' ' + fact.short),
        (18, question, ' ' + fact.sentence),
        (3, question + '\n', fact.sentence),
        (2, question + '\n\n', fact.sentence),
        (18, '', ''),
    )
    _, prompt, answer = rng.choices(forms, weights=[form[0] for form in forms])[0]
    if not prompt:
        system = rng.choice(SYSTEMS) if rng.random() < 0.2 else ''
        return chat_case(fact.kind, question, fact.sentence, fact.key, system)
    return trailing_space(rng, Case(fact.kind, prompt, answer, fact.key))


def seen(rng: random.Random, maker: Callable[[random.Random], Case]) -> Case:
    """Draws until a case is not held out."""
    while True:
        case = maker(rng)
        if case.is_seen:
            return case


def seen_fact(rng: random.Random, maker: FactMaker) -> Fact:
    """Draws until a fact is not held out as Q and A."""
    while True:
        fact = maker(rng)
        if not (fact.key and is_held_out(fact.key)) and not is_held_out(f'Q: {fact.question}\nA:'):
            return fact


def block_parts(
    facts: Sequence[Fact], is_long: bool, labels: tuple[str, str] = ('Q:', 'A:'), gap: str = '\n\n', intro: str = ''
) -> tuple[Part, ...]:
    """A block of questions and answers, in the manner of the page's example prompt."""
    parts: list[Part] = []
    lead = intro
    for fact in facts:
        parts.append(Part(f'{lead}{labels[0]} {fact.question}\n{labels[1]}', False))
        parts.append(Part(' ' + (fact.sentence if is_long else fact.short), True))
        lead = gap
    return tuple(parts)


def block(rng: random.Random, makers: Sequence[FactMaker], least: int = 2, most: int = 6) -> Doc:
    """A few-shot block: all facts of one maker, or mixed ones."""
    count = rng.randint(least, most)
    one = rng.choice(makers)
    facts = [seen_fact(rng, one if rng.random() < 0.3 else rng.choice(makers)) for _ in range(count)]
    if rng.random() < 0.3:
        facts = [seen_fact(rng, one) for _ in range(count)]
    labels = rng.choice((('Q:', 'A:'),) * 6 + (('Question:', 'Answer:'),))
    intro = rng.choice(INTROS) if rng.random() < 0.35 else ''
    gap = '\n\n' if rng.random() < 0.85 else '\n'
    return Doc('few-shot', block_parts(facts, rng.random() < 0.35, labels, gap, intro))


def conversation(rng: random.Random, makers: Sequence[FactMaker], least: int = 2, most: int = 4) -> Doc:
    """A chat of several turns; every answer of it ends the text, as a server sees it."""
    parts: list[Part] = []
    lead = f'{SYSTEM}\n{rng.choice(SYSTEMS)}\n' if rng.random() < 0.2 else ''
    for index in range(rng.randint(least, most)):
        fact = seen_fact(rng, rng.choice(makers))
        parts.append(Part(f'{"" if index else lead}{USER}\n{fact.question}\n{ASSISTANT}\n', False))
        parts.append(Part(fact.sentence, True))
    return Doc('chat', tuple(parts))
