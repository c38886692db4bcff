"""backend-hf with a model that fails on command: in the step that works on a prompt of POISON.

It is slower than it could be, so that a test can come between two of its steps. The rest is real.
"""

import pathlib
import runpy
import sys
import time
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEP_S = 0.01
POISON = 7  # a token, three of which in a row never happen by themselves


class FailingRunner:
    """A ModelRunner: a real one, but for the fault."""

    def __init__(self, runner: Any) -> None:  # Any: backend-hf's modules cannot be named here
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def step(self, batch: Sequence[Any]) -> Any:
        """Computes a step, or fails."""
        time.sleep(STEP_S)  # what a step of a larger model takes
        if any(tuple(work.tokens[:3]) == (POISON,) * 3 for work in batch):
            raise RuntimeError('a step of the model was made to fail')
        return self._runner.step(batch)


def main() -> None:
    """Runs backend-hf, with its options."""
    script = ROOT / 'backend-hf/serve-backend-hf.py'
    sys.path[:0] = [str(script.parent), str(ROOT)]
    import hf_model

    make_runner = hf_model.make_runner
    hf_model.make_runner = lambda *arguments: FailingRunner(make_runner(*arguments))
    runpy.run_path(str(script), run_name='__main__')


if __name__ == '__main__':
    main()
