"""Reading the model listings of backends, ours and others'. Knows the models endpoint; nothing of how it is asked."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from sandle import errors
from sandle.protocol import ModelObject

# What a server that says nothing of its capabilities is taken to have: the rest of OpenAI's own request fields.
OPENAI_CAPABILITIES = ['best_of', 'echo', 'frequency_penalty', 'logit_bias', 'logprobs', 'n', 'presence_penalty',
                       'seed']


def lists_capabilities(listing: Mapping[str, object]) -> bool:
    """Whether a listing tells of models' capabilities, as our own servers' do."""
    items = listing.get('data')
    return isinstance(items, list) and any(isinstance(item, dict) and 'capabilities' in item for item in items)


def model_objects(listing: Mapping[str, object],
                  capabilities: Sequence[str] = OPENAI_CAPABILITIES) -> tuple[ModelObject, ...]:
    """Reads a model listing; what another server leaves out or words otherwise is filled in.

    `capabilities` are those of a model that lists none.

    Raises BadGatewayError for what is no listing.
    """
    items = listing.get('data')
    if not isinstance(items, list):
        raise errors.BadGatewayError('its model listing is not one')
    found: dict[str, ModelObject] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(item.get('id'), str) and item['id']:
            model = _model_object(item, capabilities)
            if model is not None:
                found.setdefault(model.id, model)
    return tuple(found.values())


def _model_object(item: dict[str, object], capabilities: Sequence[str]) -> ModelObject | None:
    defaults: dict[str, object] = {
        'created': 0, 'owned_by': '', 'permission': [], 'root': item['id'], 'description': '', 'max_model_len': None,
        'status': 'ready', 'capabilities': list(capabilities)}
    given = {name: item[name] for name in ModelObject.model_fields if item.get(name) is not None}
    given['permission'] = []
    while True:
        try:
            return ModelObject.model_validate(defaults | given)
        except ValidationError as error:
            wrong = given.keys() & {problem['loc'][0] for problem in error.errors()} - {'id'}
            if not wrong:
                return None
            given = {name: value for name, value in given.items() if name not in wrong}
