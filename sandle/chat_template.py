"""A model's chat template: a conversation to a prompt. Rendered in a process of its own, see `chat_template_worker`.

Knows that process and how it ends; nothing of requests.
"""

import contextlib
import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

from sandle import errors
from sandle.engine.engine import Conversation, TokenizerInfo

SCRIPT = Path(__file__).with_name('chat_template_worker.py')
MAX_CAUSE_CHARACTERS = 300


class Worker:
    """The process that renders. It is started when there is something to render, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, arguments: Mapping[str, object]) -> dict[str, str]:
        """Returns the `text` that the arguments of a rendering lead to, or the `error`. Any thread; they take turns."""
        question = json.dumps(arguments).encode() + b'\n'
        with self._lock:
            line = self._exchange(question)
        answer: dict[str, str] = json.loads(line) if line else {'error': 'it takes too much time or memory'}
        return answer

    def _exchange(self, question: bytes) -> bytes:
        """Returns the answer, b'' if the process ended without one."""
        if self._process is None:
            self._process = subprocess.Popen([sys.executable, '-I', str(SCRIPT)], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, start_new_session=True)  # no Ctrl+C for it
            weakref.finalize(self, _end, self._process)
        process = self._process
        assert process.stdin is not None and process.stdout is not None, 'both are pipes'
        try:
            process.stdin.write(question)
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b''
        if not line:
            self._process = None
            _end(process)
        return line


WORKER = Worker()  # for all models: it keeps nothing of them


class ChatTemplate:
    """A template with the special tokens that it may name. Used from any thread."""

    def __init__(self, info: TokenizerInfo) -> None:
        self._template = info.chat_template
        self._with_tools = info.tool_template
        self._special = {name: token for name in ('bos_token', 'eos_token', 'pad_token', 'unk_token')
                         if (token := getattr(info, name)) is not None}

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        template = self._with_tools if conversation.tools and self._with_tools else self._template
        assert template is not None, 'asked only of a model that has one'
        answer = WORKER.ask({
            'conversations': [list(conversation.messages)], 'chat_template': template,
            'tools': None if conversation.tools is None else list(conversation.tools),
            'add_generation_prompt': conversation.opens_answer and not conversation.continues_last,
            'continue_final_message': conversation.continues_last, **self._special, **conversation.variables})
        if 'error' in answer:
            raise errors.InvalidRequestError("The model's chat template cannot be applied to these messages: "
                                             f"{answer['error'][:MAX_CAUSE_CHARACTERS].rstrip('.')}.", param='messages')
        return answer['text']


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a worker and waits for that; one that has ended is no different."""
    process.kill()
    with contextlib.suppress(BrokenPipeError), process:  # what was not sent is lost with it
        pass
