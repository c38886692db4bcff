"""How far the download of a model is, as whoever loads models tells it. Knows numbers alone."""

from dataclasses import dataclass

from sandle.units import duration, gib


@dataclass(frozen=True, slots=True)
class Download:
    """`bytes_per_second` is the rate of the last seconds, 0 while nothing has come."""

    downloaded_bytes: int
    total_bytes: int
    bytes_per_second: float

    @property
    def remaining_s(self) -> float | None:
        """The seconds that the rest takes at this rate, None while there is none."""
        if not self.bytes_per_second:
            return None
        return max(0, self.total_bytes - self.downloaded_bytes) / self.bytes_per_second

    def __str__(self) -> str:
        """The same in one line for people."""
        line = (f'downloading: {gib(self.downloaded_bytes)} of {gib(self.total_bytes)}, '
                f'{self.bytes_per_second / 2 ** 20:.1f} MiB/s')
        return line if self.remaining_s is None else f'{line}, {duration(self.remaining_s)} left'
