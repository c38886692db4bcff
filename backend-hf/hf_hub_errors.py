"""What can go wrong with the Hub, in words for an operator. Knows the Hub client's errors."""

import httpx2
from huggingface_hub import constants, errors

from sandle.engine.runner import LoadError

UNREACHABLE = (httpx2.TransportError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, TimeoutError)
FAILURES = (*UNREACHABLE, errors.HfHubHTTPError, errors.HFValidationError, OSError)


def load_error(repo: str, revision: str | None, error: Exception) -> LoadError:
    """Returns what a failure comes to for an operator: one line with a remedy."""
    match error:
        case errors.GatedRepoError():
            return LoadError(f'The model {repo!r} is gated: accept its terms at {constants.ENDPOINT}/{repo} and set '
                             'HF_TOKEN to a token of that account.')
        case errors.RevisionNotFoundError():
            return LoadError(f'The model {repo!r} has no revision {revision!r}: correct it in models.json.')
        case errors.RepositoryNotFoundError():
            return LoadError(f'The model {repo!r} is not on the Hub, or is private: check its name, or set HF_TOKEN.')
        case errors.HFValidationError():
            return LoadError(f'{repo!r} is neither a folder nor the name of a model on the Hub (owner/name).')
        case errors.HfHubHTTPError():
            return LoadError(f'The Hub answered {error.response.status_code} for the model {repo!r}: try again later.')
        case _ if constants.is_offline_mode():
            return LoadError(f'The model {repo!r} is not on this machine, and --offline (or HF_HUB_OFFLINE) keeps it '
                             'from being fetched: leave that out, or give the folder of a model.')
        case _ if isinstance(error, UNREACHABLE):
            return LoadError(f'The model {repo!r} is not on this machine and the Hub ({constants.ENDPOINT}) cannot be '
                             'reached: connect the machine, or give the folder of a model.')
        case _:
            cause = (str(error).splitlines() or [type(error).__name__])[0]
            return LoadError(f'The model {repo!r} cannot be stored in {constants.HF_HUB_CACHE}: {cause}')
