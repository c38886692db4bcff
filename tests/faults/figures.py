"""What the tests of faults measure: figures, each with what it must be. Knows nothing of pytest, nor of the faults."""

from collections.abc import Callable
from dataclasses import dataclass

FAULTS = (
    'backend killed in mid-stream', 'backend hung', 'backend restarted on another address',
    'one of several replicas down', 'wrapper killed and restarted', 'model cannot load', 'client leaves',
    'slow reader', '500 streams at once', 'ten times capacity', 'one key floods', 'SIGTERM',
    'slowloris and half-open connections', 'disk full', 'a step of the model fails', 'bad input',
    'keys rotated under load')


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured."""

    requirement: str
    limit: str
    measured: str
    holds: bool


class Figures:
    """Takes down what a test measures, and fails the test when that is not what it must be."""

    def __init__(self, keep: Callable[[Figure], None]) -> None:
        self._keep = keep

    def below(self, requirement: str, value: float, limit: float, unit: str = 's') -> None:
        """A figure that must be less than another."""
        self._note(Figure(requirement, f'< {limit:.3g} {unit}', f'{shown(value)} {unit}', value < limit))

    def at_least(self, requirement: str, value: float, limit: float, unit: str) -> None:
        """A figure that must not be less than another."""
        self._note(Figure(requirement, f'≥ {limit:.3g} {unit}', f'{shown(value)} {unit}', value >= limit))

    def exactly(self, requirement: str, value: object, expected: object) -> None:
        """Something that must be just so."""
        self._note(Figure(requirement, str(expected), str(value), value == expected))

    def _note(self, figure: Figure) -> None:
        self._keep(figure)
        assert figure.holds, f'{figure.requirement}: {figure.measured}, and must be {figure.limit}'


def shown(value: float) -> str:
    """Returns a number with two digits that count; all of those before the point."""
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.2g}'
