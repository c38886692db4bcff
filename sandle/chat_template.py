"""A model's chat template: a conversation to a prompt. Rendered in a process of its own, see `chat_template_worker`.

Knows that process and how it ends; nothing of requests.
"""

import json
import subprocess
import sys
import threading
import weakref
from pathlib import Path

from sandle import errors
from sandle.engine.engine import Conversation, TokenizerInfo

WORKER = Path(__file__).with_name('chat_template_worker.py')
RESERVED = frozenset({'conversations', 'messages', 'tools', 'documents', 'chat_template', 'add_generation_prompt',
                      'continue_final_message', 'return_assistant_tokens_mask'})
MAX_CAUSE_CHARACTERS = 300


class ChatTemplate:
    """A template with the special tokens that it may name. Used from any thread; renderings take turns.

    `with_tools` is the template for conversations with tools, where a model has one of its own for them.
    """

    def __init__(self, info: TokenizerInfo, with_tools: str | None = None) -> None:
        self._template = info.chat_template
        self._with_tools = with_tools
        self._special = {name: token for name in ('bos_token', 'eos_token', 'pad_token', 'unk_token')
                         if (token := getattr(info, name)) is not None}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        reserved = sorted(conversation.variables.keys() & RESERVED)
        if reserved:
            raise errors.InvalidRequestError(f'chat_template_kwargs must not hold {reserved[0]!r}.',
                                             param='chat_template_kwargs')
        template = self._with_tools if conversation.tools and self._with_tools else self._template
        assert template is not None, 'asked only of a model that has one'
        question = json.dumps({
            'conversations': [list(conversation.messages)], 'chat_template': template,
            'tools': None if conversation.tools is None else list(conversation.tools),
            'add_generation_prompt': conversation.opens_answer and not conversation.continues_last,
            'continue_final_message': conversation.continues_last, **self._special, **conversation.variables})
        with self._lock:
            line = self._ask(question.encode() + b'\n')
        answer = json.loads(line) if line else {'error': 'it takes too much time or memory'}
        if 'error' in answer:
            raise errors.InvalidRequestError("The model's chat template cannot be applied to these messages: "
                                             f"{answer['error'][:MAX_CAUSE_CHARACTERS].rstrip('.')}.", param='messages')
        return str(answer['text'])

    def _ask(self, question: bytes) -> bytes:
        """Returns the worker's answer, b'' if it ended without one. Under the lock."""
        if self._process is None:
            self._process = subprocess.Popen([sys.executable, '-I', str(WORKER)], stdin=subprocess.PIPE,
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """Lets a worker end, whose input has then."""
    process.kill()
    with process:
        pass
