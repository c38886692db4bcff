"""URLs of backends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper_url import parse_url


@pytest.mark.parametrize('text, url', [
    ('http://backend-hf:8000', 'http://backend-hf:8000'), ('http://h', 'http://h:80'), ('https://h/', 'https://h:443'),
    ('http://h:1/v1', 'http://h:1'), ('http://h:1/v1/', 'http://h:1'), (' http://h:1/llm/v1 ', 'http://h:1/llm'),
    ('http://[::1]:8000', 'http://[::1]:8000'), ('HTTP://Host:8000', 'http://host:8000')])
def test_parse_url(text: str, url: str) -> None:
    assert str(parse_url(text)) == url


@pytest.mark.parametrize('text', [
    '', 'stub', 'localhost:8000', 'ftp://h', 'http://', 'http://u:p@h', 'http://h?a', 'http://h:x', 'http://h:99999',
    'http://[::1', 'http://h#a'])
def test_parse_url_refuses(text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_url(text)
    assert 'p@' not in str(error.value)


@given(st.text())
def test_parse_url_of_any_text_is_a_url_or_a_value_error(text: str) -> None:
    try:
        assert str(parse_url(text)).startswith('http')
    except ValueError:
        pass
