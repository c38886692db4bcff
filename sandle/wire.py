"""How a request's JSON is checked against its type, and how what is wrong with it is told.

Every field of a request may be null, which means its default. Nothing is coerced: `"5"`, `5.0` and `true` are not the
integer 5. Unknown fields are ignored. A wrong field is an InvalidRequestError that names it in `param`. Which types
there are is `sandle.protocol`'s.
"""

import logging
import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sandle.errors import InvalidRequestError

logger = logging.getLogger(__name__)


class WireModel(BaseModel):
    """What comes over the wire: strict types, immutable, unknown fields ignored, null for a default."""

    model_config = ConfigDict(strict=True, frozen=True, extra='ignore', allow_inf_nan=False)

    @model_validator(mode='before')
    @classmethod
    def _null_means_default(cls, data: object) -> object:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


class ParamError(ValueError):
    """Fields that are right one by one and wrong together; `param` is the one to change."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


Wire = TypeVar('Wire', bound=WireModel)


def parse(kind: type[Wire], body: Mapping[str, object]) -> Wire:
    """Checks a decoded JSON object against a request type.

    Raises InvalidRequestError with the name of the first field that is wrong in `param`.
    """
    unknown = body.keys() - kind.model_fields.keys()
    if unknown and logger.isEnabledFor(logging.DEBUG):
        logger.debug('ignoring unknown fields: %s', ', '.join(sorted(map(repr, unknown))))
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _invalid(error) from None


# pydantic's own words for these speak of Python ("a valid dictionary or instance of …"): a client knows JSON.
TYPE_WORDS = {
    'int_type': 'must be an integer', 'float_type': 'must be a number', 'bool_type': 'must be a boolean',
    'string_type': 'must be a string', 'list_type': 'must be an array', 'dict_type': 'must be an object',
    'model_type': 'must be an object', 'model_attributes_type': 'must be an object', 'missing': 'is required',
    'int_from_float': 'must be an integer', 'string_too_short': 'must not be empty',
}
TEXTS = 'must be a string, an array of strings, an array of token ids or an array of arrays of token ids'
UNION_WORDS = {
    'input': TEXTS,
    'prompt': TEXTS,
    'stop': 'must be a string or an array of strings',
}


def _invalid(error: ValidationError) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    cause = first.get('ctx', {}).get('error')
    if isinstance(cause, ParamError):
        return InvalidRequestError(f'{cause}.', param=cause.param)
    param = str(first['loc'][0]) if first['loc'] else None
    words = TYPE_WORDS.get(first['type'])
    if cause is not None:
        words = str(cause)
    elif param in UNION_WORDS and words is not None and len(first['loc']) > 1:
        words = UNION_WORDS[param]
    if words is None:  # pydantic's: "Input should be less than or equal to 2"
        words = first['msg'].replace('Input should', 'must').replace('String should', 'must')
    return InvalidRequestError(f'{_place(first["loc"])} {words}.', param=param)


NO_FIELD = re.compile(r'.*\W|str|int|float|bool|list|dict|Literal', re.DOTALL)  # one of several types, as pydantic says
LONGEST_FIELD = 64


def _place(location: tuple[int | str, ...]) -> str:
    """Returns what a message calls a field, an item of one, or what lies in an item: `messages[2].role`."""
    if not location:
        return 'The request body'
    place = str(location[0])
    for step in location[1:]:
        if isinstance(step, int):
            place += f'[{step}]'
        elif '[' not in place or NO_FIELD.match(step) or len(step) > LONGEST_FIELD:
            break
        else:
            place += f'.{step}'
    return place
