"""A process that renders chat templates, in transformers' sandbox. `sandle.chat_template` runs it, and talks to it.

A template is a program that comes with a model. The sandbox keeps it from the machine, and this process from the
server's time and memory. Each line of the input is a JSON object with the arguments of a rendering; each line of the
output has its `text`, or the `error` that it ended in. A rendering that takes too much CPU time ends the process.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateSyntaxError
from transformers.utils.chat_template_utils import render_jinja_template

MEMORY_BYTES = 512 * 2 ** 20  # beyond what the libraries take
CPU_S = 2
MAX_CHARACTERS = 16 * 2 ** 20  # of a prompt


def main() -> None:
    """Answers until the input ends."""
    _limit_memory()
    for line in sys.stdin.buffer:
        used_s = resource.getrusage(resource.RUSAGE_SELF)
        _set_soft(resource.RLIMIT_CPU, int(used_s.ru_utime + used_s.ru_stime) + 1 + CPU_S)
        sys.stdout.buffer.write(json.dumps(_answer(json.loads(line))).encode() + b'\n')
        sys.stdout.buffer.flush()


def _answer(arguments: dict[str, Any]) -> dict[str, str]:
    try:
        (text,), _ = render_jinja_template(**arguments)
    except TemplateSyntaxError as error:
        return {'error': f'it is not valid at line {error.lineno}: {error}'}
    except MemoryError:
        return {'error': 'it needs too much memory'}
    except Exception as error:  # an edge: what a template's code raises has no list
        return {'error': str(error) or type(error).__name__}
    return {'text': text} if len(text) <= MAX_CHARACTERS else {'error': 'it makes a prompt that is too long'}


def _limit_memory() -> None:
    status = Path('/proc/self/statm')  # Linux alone has it, and alone keeps to such a limit
    if status.exists():
        in_use = int(status.read_text('ascii').split()[0]) * resource.getpagesize()
        _set_soft(resource.RLIMIT_AS, in_use + MEMORY_BYTES)
    _set_soft(resource.RLIMIT_CORE, 0)


def _set_soft(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == '__main__':
    main()
