"""A process of its own that compiles grammars nobody has tried yet: one a line of its input, with what is wrong a line.

A grammar may take more time or memory than there is, and the library gives no way to stop it. Here that ends nothing
but this process. It runs as a script, by `sandle.engine.grammar_proof`, and imports nothing of Sandle's.
"""

import json
import os
import re
import resource
import sys

import llguidance

END = 256  # behind the tokens, which are the single bytes
CPU_S = 3  # of one grammar
PLACE = re.compile(r'^at \d+\(\d+\): (failed to compile JSON schema: )?')
MEMORY_BYTES = 256 << 20  # of all of them, beside what the process needs for itself


class Bytes:
    """The vocabulary: what is wrong with a grammar does not depend on it."""

    eos_token_id, bos_token_id, special_token_ids = END, None, (END,)
    tokens = [*(bytes([byte]) for byte in range(END)), b'']

    def __call__(self, text: bytes) -> list[int]:
        """Splits a text into tokens."""
        return list(text)


def fault(tokenizer: llguidance.LLTokenizer, grammar: str) -> str:
    """Returns what is wrong with a grammar, in one line; nothing if it can be used."""
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
    if not matcher.is_error():
        matcher.compute_bitmask()
    if not matcher.is_error():
        return 'no text fits it' if matcher.is_stopped() and not matcher.is_accepting() else ''
    error = ' '.join(matcher.get_error().partition('<state>')[0].split())
    return PLACE.sub('', 'no text fits it' if error.startswith('NoExtension') else error) or 'it cannot be read'


def main() -> None:
    """Answers line by line, until the input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)  # behind the engine
    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()))
    if sys.platform == 'linux':  # elsewhere the limit means something else
        with open('/proc/self/statm', encoding='ascii') as statm:
            size = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, size + MEMORY_BYTES))
    for line in sys.stdin:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        most = int(usage.ru_utime + usage.ru_stime) + 1 + CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
        print(json.dumps(fault(tokenizer, json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
