"""Texts as requests give them: one or several, each as text or as token ids. Shared by all types of requests."""

from typing import Annotated

from pydantic import Field

MAX_PROMPTS = 2048  # of one request, as OpenAI's API has it; a backend allows fewer sequences
INT64_MAX = 2 ** 63 - 1

# fail_fast: a list of a million wrong items is one error, not a million that take seconds and gigabytes to gather.
# json_schema_extra: what the validators look after, for the schema alone.
NOT_EMPTY = Field(fail_fast=True, json_schema_extra={'minItems': 1})
TokenId = Annotated[int, Field(ge=0, le=INT64_MAX)]
TokenIds = Annotated[list[TokenId], NOT_EMPTY]
PROMPTS = Field(fail_fast=True, json_schema_extra={'minItems': 1, 'maxItems': MAX_PROMPTS})
Prompt = str | Annotated[list[str], PROMPTS] | TokenIds | Annotated[list[TokenIds], PROMPTS]


def bounded_prompts(prompt: object) -> object:
    """Looks at the array before its items are looked at: a million of them would take seconds."""
    if isinstance(prompt, list):
        if len(prompt) > MAX_PROMPTS and not isinstance(prompt[0], int):
            raise ValueError(f'must hold at most {MAX_PROMPTS} prompts')
        if not prompt or [] in prompt:
            raise ValueError('must not be or hold an empty array')
    return prompt


def each_prompt(prompt: Prompt) -> tuple[str | tuple[int, ...], ...]:
    """Returns prompts one by one, each as text or as token ids."""
    if isinstance(prompt, str):
        return (prompt,)
    ids = tuple(item for item in prompt if isinstance(item, int))  # the type says: all are, or none is
    return (ids,) if ids else tuple(item if isinstance(item, str) else tuple(item) for item in prompt
                                    if not isinstance(item, int))
