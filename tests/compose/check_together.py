"""Checks that one wrapper serves backend-hf and backend-llama: `python3 -m tests.compose.check_together URL`.

The key is in SANDLE_AUTH_TOKEN. Standard library only, so that any Python runs it.
"""

import os
import sys
import time

from tests.compose.check_http import CAPITAL, Stack
from tests.compose.checks import run_all

MODELS = ('sandle-tiny', 'llama')
READY_S = 120


def check_list(stack: Stack) -> None:
    """Both models are listed, and ready in time."""
    deadline_s = time.monotonic() + READY_S
    while True:
        states = {entry['id']: entry['status'] for entry in stack.json('GET', '/v1/models')['data']}
        if all(states.get(model) == 'ready' for model in MODELS):
            return
        assert time.monotonic() < deadline_s, states
        time.sleep(1)  # between two looks


def check_answers(stack: Stack) -> None:
    """The one model in two formats gives the same text, and each backend says which it is."""
    answers = {}
    for model in MODELS:
        body = {'model': model, 'prompt': CAPITAL, 'max_tokens': 4, 'temperature': 0}
        answer = stack.json('POST', '/v1/completions', body)
        assert answer['model'] == model, answer
        answers[model] = answer['choices'][0]['text']
    assert all(' Paris' in text for text in answers.values()) and len(set(answers.values())) == 1, answers


if __name__ == '__main__':
    both = Stack(sys.argv[1], 'llama', os.environ['SANDLE_AUTH_TOKEN'])
    sys.exit(run_all([('backend-hf and backend-llama are both ready', lambda: check_list(both)),
                      ('both answer through one wrapper, alike', lambda: check_answers(both))]))
