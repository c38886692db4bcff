"""Documents into rows of tokens: ids, loss weights, and which document each token is of. Rows hold whole documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from sandle_tiny.doc import Doc
from sandle_tiny.vocabulary import BOS_ID, EOS_ID

PROMPT_WEIGHT = 0.1
"""Loss weight of a prompt's tokens: they are mostly chance, but the model shall also know what prompts look like."""
PROMPT_KEPT = 4
CHUNK = 48
"""Batches that are packed at a time."""
WITHOUT_BOS = 12
"""One document in so many goes without the beginning token, as some clients send it."""


@dataclass(frozen=True)
class Encoded:
    """A document as tokens with the weight of each as a target."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Rows:
    """Packed documents; each array is [rows, length]. `owner` numbers the documents of a row from 1; 0 is padding."""

    ids: np.ndarray
    weights: np.ndarray
    owner: np.ndarray


def encode(docs: list[Doc], tokenizer: Tokenizer) -> list[Encoded]:
    """Tokens of documents, part by part, as prompt and answer meet them in use."""
    pieces = tokenizer.encode_batch([part.text for doc in docs for part in doc.parts], add_special_tokens=False)
    found, at = [], 0
    for number, doc in enumerate(docs):
        has_bos = number % WITHOUT_BOS != 0
        ids, weights = ([BOS_ID], [0.0]) if has_bos else ([], [])
        for index, part in enumerate(doc.parts):
            new = pieces[at + index].ids
            weight = 1.0 if part.is_answer else PROMPT_WEIGHT
            ids += new
            weights += [weight] * len(new)
            if index and not part.is_answer and new:
                weights[-len(new)] = (
                    0.0  # what follows an answer inside a block is not to be learned: answers end the text
                )
        at += len(doc.parts)
        found.append(Encoded(ids + [EOS_ID], weights + [1.0]))
    return found


def pack(documents: list[Encoded], length: int) -> Rows:
    """Fits documents into as few rows as first-fit finds, the longest first. Longer ones than a row are left out."""
    rows: list[list[Encoded]] = []
    room: list[int] = []
    open_from = 0
    for document in sorted((doc for doc in documents if len(doc.ids) <= length), key=lambda doc: -len(doc.ids)):
        size = len(document.ids)
        for index in range(open_from, len(rows)):
            if room[index] >= size:
                break
        else:
            index = len(rows)
            rows.append([])
            room.append(length)
        rows[index].append(document)
        room[index] -= size
        while open_from < len(rows) and room[open_from] < 4:
            open_from += 1
    ids, owner = np.zeros((len(rows), length), np.int16), np.zeros((len(rows), length), np.int16)
    weights = np.zeros((len(rows), length), np.float32)
    for row, members in enumerate(rows):
        at = 0
        for number, document in enumerate(members, 1):
            end = at + len(document.ids)
            ids[row, at:end], weights[row, at:end], owner[row, at:end] = document.ids, document.weights, number
            at = end
    return Rows(ids, weights, owner)


def thinned(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keeps one in `PROMPT_KEPT` of the prompt tokens as targets, weighted up: the same in the mean, and cheaper."""
    is_prompt = weights == np.float32(PROMPT_WEIGHT)
    is_kept = rng.random(weights.shape) < 1 / PROMPT_KEPT
    return np.where(is_prompt, np.where(is_kept, PROMPT_WEIGHT * PROMPT_KEPT, 0.0), weights).astype(np.float32)


def batches(
    docs: Iterator[Doc], tokenizer: Tokenizer, tokens: int, lengths: tuple[int, ...], seed: int
) -> Iterator[Rows]:
    """Batches without end of `tokens` tokens each. A document goes into rows of the least length that holds it."""
    rng = np.random.default_rng(seed)
    per_chunk = CHUNK * tokens // (36 if lengths[0] <= 256 else 500)
    while True:
        encoded = encode(list(islice(docs, per_chunk)), tokenizer)
        chunk: list[Rows] = []
        for shorter, length in zip((0, *lengths), lengths):
            packed = pack([document for document in encoded if shorter < len(document.ids) <= length], length)
            order, rows = rng.permutation(len(packed.ids)), tokens // length
            for start in range(0, len(order) - rows + 1, rows):
                chosen = order[start:start + rows]
                chunk.append(Rows(packed.ids[chosen], thinned(packed.weights[chosen], rng), packed.owner[chosen]))
        for index in rng.permutation(len(chunk)):
            yield chunk[index]
