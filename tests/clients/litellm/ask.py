"""Asks a Sandle through LiteLLM: `python ask.py URL KEY`, with LiteLLM and the repository on the path.

Prints the answers as JSON.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

from tests.clients.asked import CAPITAL, EMBEDDING_MODEL, MODEL, QUESTION


def main(url: str, key: str) -> None:
    """Asks, and prints."""
    # By name: mypy does not find it where it is.
    litellm = importlib.import_module('litellm')
    there: dict[str, Any] = {'api_base': f'{url}/v1', 'api_key': key, 'max_retries': 0}
    completion = {'model': f'text-completion-openai/{MODEL}', 'prompt': CAPITAL, 'max_tokens': 8, 'temperature': 0}
    chat = {'model': f'openai/{MODEL}', 'messages': [{'role': 'user', 'content': QUESTION}], 'temperature': 0}

    def refusal(**fields: object) -> str:
        try:
            litellm.completion(**chat | fields)
        except (litellm.NotFoundError, litellm.AuthenticationError) as error:
            return type(error).__name__
        return 'none'

    answers = {
        'completion': litellm.text_completion(**completion, **there).choices[0].text,
        'completion stream': ''.join(chunk.choices[0].text or '' for chunk in litellm.text_completion(
            **completion, **there, stream=True)),
        'chat': litellm.completion(**chat, **there).choices[0].message.content,
        'chat stream': ''.join(chunk.choices[0].delta.content or '' for chunk in litellm.completion(
            **chat, **there, stream=True)),
        'chat async': asyncio.run(litellm.acompletion(**chat, **there)).choices[0].message.content,
        'total tokens': litellm.completion(**chat, **there).usage.total_tokens,
        'embedding': litellm.embedding(f'openai/{EMBEDDING_MODEL}', ['a ship'], **there).data[0]['embedding'],
        'no such model': refusal(**there, model='openai/nope'),
        'wrong key': refusal(**there | {'api_key': 'wrong'}),
    }
    print(json.dumps(answers))


if __name__ == '__main__':
    main(*sys.argv[1:])
