"""The backends whose contract is tested, and a client that asks one of them."""

import importlib.util
from typing import Any

import pytest

from tests.end_to_end.rig import STUB, Client, error_of

BACKENDS = {'stub': (STUB, 'stub'), 'hf': ('backend-hf/serve-backend-hf.py', 'sandle-tiny'),
            'llama': ('backend-llama/serve-backend-llama.py', 'sandle-tiny')}
# Its library takes minutes to compile, and the stack runs without it.
NEEDS_LLAMA_CPP = pytest.mark.skipif(importlib.util.find_spec('llama_cpp') is None,
                                     reason='NO llama.cpp HERE: backend-llama is NOT tested')
PROMPT = 'Once upon a time'
QUESTION = 'Q: What is the capital of France?\nA:'
ODD = 'né 🙂 日本語\n\t "x"'


class Api:
    """A backend that is ready, asked for its first model; greedy unless told otherwise."""

    def __init__(self, client: Client, kind: str) -> None:
        self.client = client
        self.kind = kind
        self.model = BACKENDS[kind][1]
        self.info = client.get('/tokenizer_info').json()

    def raw(self, **fields: object) -> Any:
        """Sends a request."""
        return self.client.post('/v1/completions', json={'model': self.model, **fields})

    def complete(self, prompt: object = PROMPT, **fields: object) -> Any:
        """Returns the body of an answer."""
        response = self.raw(prompt=prompt, **{'temperature': 0, 'max_tokens': 6, **fields})
        assert response.status_code == 200, response.text
        return response.json()

    def choice(self, prompt: object = PROMPT, **fields: object) -> Any:
        """Returns an answer's only choice."""
        [choice] = self.complete(prompt, **fields)['choices']
        return choice

    def refusal(self, **fields: object) -> dict[str, object]:
        """Returns the error of a request that must be a 400."""
        response = self.raw(**{'prompt': PROMPT, **fields})
        assert response.status_code == 400, response.text
        return error_of(response)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Returns the tokens of a text."""
        tokens: list[int] = self.client.post('/tokenize', json={
            'model': self.model, 'prompt': text, 'add_special_tokens': add_special_tokens}).json()['tokens']
        return tokens
