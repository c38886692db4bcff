"""The fenced commands of a page in docs/, and one shell that runs those that are to be run.

A fence says after its language what becomes of it: `run` is run, in one shell with those above it on the page;
`output` is what the one before must print, with … for anything; `settings` are variables that the tests set themselves;
`docker`, `gpu`, `internet` and `site` (a domain of one's own) need what is not here; `tests` runs the tests; and
`elsewhere: FILE` is run by that test.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.rig import ROOT

FENCE = re.compile(r'^```(\w*) ?([^\n]*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
NEEDS = {'docker': 'needs Docker', 'gpu': 'needs a GPU', 'internet': 'needs the internet', 'site': 'needs a domain',
         'tests': 'runs these tests themselves'}
ELSEWHERE = 'elsewhere: '
MARKS = {'run', 'output', 'settings', *NEEDS}
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def name(self) -> str:
        """Where it is."""
        return f'{self.page}:{self.line}'


def blocks_of(page: Path) -> list[Block]:
    """Returns the blocks of a page in their order."""
    text = page.read_text('utf-8')
    return [Block(page.name, text.count('\n', 0, found.start()) + 1, *found.groups()) for found in FENCE.finditer(text)]


def run(blocks: Sequence[Block], environment: Mapping[str, str]) -> dict[str, str]:
    """Runs the blocks that are to be run, and returns what each has printed, by its name. Fails when one fails."""
    chosen = [block for block in blocks if block.mark == 'run']
    script = '\n'.join(f"printf '\\n== %s\\n' {block.name}\n{_as_shell(block)}" for block in chosen)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    ended = subprocess.run(['bash', '-euo', 'pipefail', '-c', script], capture_output=True, text=True, cwd=ROOT,
                           timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, env={**os.environ, 'PATH': path, **environment})
    assert ended.returncode == 0, f'{ended.stdout}\n{ended.stderr}'
    printed = re.split(r'^== (\S+:\d+)\n', ended.stdout, flags=re.MULTILINE)
    return dict(zip(printed[1::2], printed[2::2]))


def expected(blocks: Sequence[Block]) -> dict[str, str]:
    """Returns what blocks are said to print, by their names."""
    return {command.name: output.text for command, output in zip(blocks, blocks[1:]) if output.mark == 'output'}


def is_as_expected(printed: str, wanted: str) -> bool:
    """Whether the one is the other, in which … stands for anything."""
    pattern = '.*'.join(map(re.escape, wanted.strip().split('…')))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def _as_shell(block: Block) -> str:
    return f"python - <<'PYTHON'\n{block.text}PYTHON" if block.language == 'python' else block.text
