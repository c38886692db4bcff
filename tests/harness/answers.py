"""Asks models of lm-evaluation-harness: `python answers.py INPUT OUTPUT`, with the harness on its path.

INPUT is JSON: `requests`, by kind the arguments of each request, with messages in place of a text where a chat is
meant; and `models`, by a name of ours the harness' `model` (hf, local-completions), the `options` it is made with, and
the `kinds` of requests to ask it. OUTPUT receives the answers by model and kind.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def answers(model: Any, kinds: list[str], requests: dict[str, list[list[Any]]]) -> dict[str, Any]:
    """Asks one model everything. A kind such as `loglikelihood long` is named after the request type it begins with."""
    instance_of = importlib.import_module('lm_eval.api.instance').Instance
    found = {}
    for kind in kinds:
        request_type = kind.split()[0]
        instances = [instance_of(request_type, {}, (text_of(model, prompt), *others), index)
                     for index, (prompt, *others) in enumerate(requests[kind])]
        found[kind] = getattr(model, request_type)(instances)
    return found


def text_of(model: Any, prompt: Any) -> Any:
    """Returns what the harness asks for a prompt: a chat goes through the model's template, here or at the server."""
    return model.apply_chat_template(prompt) if isinstance(prompt, list) else prompt


def main(source: str, target: str) -> None:
    """Reads, asks, writes."""
    importlib.import_module('lm_eval.models')
    get_model = importlib.import_module('lm_eval.api.registry').get_model
    asked = json.loads(Path(source).read_text(encoding='utf-8'))
    found = {name: answers(get_model(spec['model'])(**spec['options']), spec['kinds'], asked['requests'])
             for name, spec in asked['models'].items()}
    Path(target).write_text(json.dumps(found), encoding='utf-8')


if __name__ == '__main__':
    main(*sys.argv[1:])
