import inspect
import re
from pathlib import Path

import pytest

from sandle import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ApiError)]


def make(kind: type[errors.ApiError]) -> errors.ApiError:
    if kind is errors.ContextLengthExceededError:
        return errors.ContextLengthExceededError(8, 9, 1)
    return errors.ModelNotFoundError('m') if kind is errors.ModelNotFoundError else kind('Words.')


@pytest.mark.parametrize('kind', KINDS)
def test_every_error_has_the_four_keys_and_an_error_status(kind: type[errors.ApiError]) -> None:
    error = make(kind)
    assert error.body().keys() == {'error'}
    assert list(error.body()['error']) == ['message', 'type', 'param', 'code']
    assert 400 <= error.status < 600 and str(error) == error.message


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, tuple[str, int]] = {}
    branch: list[str] = []
    for match in re.finditer(r'^    ((?:[│ ]   )*(?:[├└]── )?)(\w+)(?: (\d{3}))?', errors.__doc__ or '', re.M):
        depth, name = len(match[1]) // 4, match[2]
        branch[depth:] = [name]
        parent = branch[depth - 1] if depth else 'Exception'
        drawn[name] = parent, int(match[3]) if match[3] else (drawn[parent][1] if depth else 500)
    assert drawn == {kind.__name__: (kind.__base__.__name__ if kind.__base__ else '', kind.status) for kind in KINDS}


@pytest.mark.parametrize(('seconds', 'shown'), [(None, {}), (0, {'Retry-After': '1'}), (-3, {'Retry-After': '1'}),
                                                (5, {'Retry-After': '5'})])
def test_retry_after_is_at_least_one_second(seconds: int | None, shown: dict[str, str]) -> None:
    assert errors.UnavailableError('Later.', retry_after_s=seconds).headers() == shown


def test_the_table_of_the_documentation_is_the_tree_of_classes() -> None:
    page = (Path(__file__).parents[1] / 'docs/api.md').read_text('utf-8')
    rows = set(re.findall(r'^\| (\d{3}) \| `(\w+)` \| (?:`(\w+)`|–) \|', page, re.M))
    unseen = {errors.ApiError, errors.ClientGoneError}  # a class of its own for neither is ever sent
    kinds = {(str(kind.status), kind.type, kind.code or '') for kind in set(KINDS) - unseen}
    assert kinds - rows == {('403', 'invalid_request_error', 'permission_denied')}  # until keys can be limited
    assert rows <= kinds
