"""Quantities with their units, as people read them."""


def gib(size: int) -> str:
    """Returns a number of bytes for people, such as `1.5 GiB`."""
    return f'{size / 2 ** 30:.1f} GiB' if size >= 2 ** 30 / 10 else f'{size / 2 ** 20:.1f} MiB'


def duration(seconds: float) -> str:
    """Returns a time span for people, such as `50 s` or `1.5 h`."""
    whole = round(seconds)
    return f'{whole} s' if whole < 120 else f'{whole // 60} min' if whole < 7200 else f'{whole / 3600:.1f} h'
