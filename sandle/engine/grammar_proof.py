"""Whether a grammar may be compiled in this process: it is tried in another one first, see `grammar_trial`."""

import atexit
import json
import select
import subprocess
import sys
import threading
from pathlib import Path

TRIAL = Path(__file__).with_name('grammar_trial.py')
PATIENCE_S = 60.0  # for a process that ends itself after seconds of CPU time


class GrammarProof:
    """Tries grammars, one after the other. Any thread. The process is started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def fault(self, grammar: str) -> str:
        """Returns what is wrong with a grammar; nothing if it can be used."""
        with self._lock:
            if self._process is None:
                self._process = _start()
                atexit.register(self.close)
            answer = _ask(self._process, grammar)
            if answer is None:
                self._end()
                return 'it takes too much time or memory'
            return answer

    def close(self) -> None:
        """Ends the process, if there is one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            atexit.unregister(self.close)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, '-I', str(TRIAL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, bufsize=0)


def _ask(process: subprocess.Popen[bytes], grammar: str) -> str | None:
    """Returns what a process says of a grammar; None if it has ended over it, or must be ended."""
    assert process.stdin is not None and process.stdout is not None, 'both are pipes'
    try:
        process.stdin.write(json.dumps(grammar).encode() + b'\n')
    except BrokenPipeError:
        return None
    line = b''
    while not line.endswith(b'\n'):
        is_there, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        piece = process.stdout.read(4096) if is_there else b''
        if not piece:
            return None
        line += piece
    return str(json.loads(line))
