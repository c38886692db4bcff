"""A model behind HTTP in the simplest way: `generate()` under a lock, one request after another.

What Sandle did at first, and what it is compared with. Of the API it has what the bench asks for.
"""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import click
import flask
import torch
import waitress
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

THREADS = 96


def events(model: Any, tokenizer: Any, body: dict[str, Any], lock: threading.Lock) -> Iterator[str]:
    """Yields the events of a streamed completion, when the requests before it are done."""
    prompt = body['prompt']
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    is_sampled = body.get('temperature', 1) > 0
    options = {'do_sample': is_sampled, 'max_new_tokens': body['max_tokens'], 'min_new_tokens': body['max_tokens']}
    if is_sampled:
        options |= {'temperature': body.get('temperature', 1), 'top_p': body.get('top_p', 1), 'top_k': 0}
    with lock:
        if 'seed' in body:
            torch.manual_seed(body['seed'])
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
        worker = threading.Thread(target=model.generate, kwargs={
            'input_ids': torch.tensor([ids]), 'streamer': streamer, **options})
        worker.start()
        for text in streamer:
            if text:
                yield event(text, None)
        worker.join()
    yield event('', 'length', {'prompt_tokens': len(ids), 'completion_tokens': body['max_tokens']})
    yield 'data: [DONE]\n\n'


def event(text: str, reason: str | None, usage: dict[str, int] | None = None) -> str:
    """Returns one piece of a stream."""
    return 'data: ' + json.dumps({'object': 'text_completion', 'created': int(time.time()), 'usage': usage, 'choices': [
        {'text': text, 'index': 0, 'logprobs': None, 'finish_reason': reason}]}) + '\n\n'


@click.command(help=__doc__)
@click.option('--model', 'folder', required=True, help='Folder of the model.')
@click.option('--port', type=int, required=True, help='Port of the loopback address.')
def main(folder: str, port: int) -> None:
    """Loads the model and serves it."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    auto_model: Any = AutoModelForCausalLM
    model = auto_model.from_pretrained(folder, dtype='auto').eval()
    lock = threading.Lock()
    app = flask.Flask('naive')

    @app.get('/health')
    def health() -> str:
        return 'ok'

    @app.post('/v1/completions')
    def completions() -> flask.Response:
        return flask.Response(events(model, tokenizer, flask.request.get_json(), lock), mimetype='text/event-stream')

    waitress.serve(app, host='127.0.0.1', port=port, threads=THREADS)


if __name__ == '__main__':
    main()
