"""Runs checks one after the other, says how each went, and counts those that failed."""

from collections.abc import Callable, Iterable


def run_all(checks: Iterable[tuple[str, Callable[[], object]]]) -> int:
    """Runs every (name, check), a check failing by any exception; returns an exit status."""
    failed = 0
    for name, check in checks:
        try:
            check()
        except Exception as error:  # an edge: whatever it is, the other checks are still to run
            failed += 1
            print(f'-- FAILED: {name}: {type(error).__name__}: {error}', flush=True)
        else:
            print(f'-- ok: {name}', flush=True)
    return 1 if failed else 0
