"""An Engine that says that it cannot load its model, and why. Loading LLaMA weights is not part of this release.

What is real is what surrounds it: the folder is checked, the model is listed, requests are read and answered.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sandle import errors
from sandle.catalog import CatalogEntry
from sandle.engine.engine import GenerationRequest, ModelInfo, ModelStatus
from sandle.engine.statistics import EngineStatistics, Recorder

CREATED = 1_677_196_800  # the day on which LLaMA was published, in Unix seconds
NOT_YET = 'this release cannot load LLaMA weights yet'
REMEDY = 'backend-hf serves models of the same family in the Hugging Face format'
RETRY_AFTER_S = 3600  # clients need not try again soon: nothing will change while this process runs


def find_fault(llama_dir: Path, model_size: str) -> str | None:
    """Returns what a folder lacks of a checkpoint as Meta distributes it, in one line; None if all is there."""
    checkpoint = llama_dir / model_size
    if not checkpoint.is_dir():
        return f'{llama_dir} has no folder {model_size}: give the folder that holds one for each size.'
    if not (checkpoint / 'params.json').is_file():
        return f'{checkpoint} has no params.json: it is not a LLaMA checkpoint as Meta distributes it.'
    if not any(checkpoint.glob('consolidated.*.pth')):
        return f'{checkpoint} has no weights (consolidated.00.pth …): get them again.'
    if not (llama_dir / 'tokenizer.model').is_file():
        return f'{llama_dir} has no tokenizer.model: copy it there from where the weights came from.'
    return None


class UnableEngine:
    """Implements `sandle.engine.engine.Engine` for one model that is in error from the start. Any thread."""

    def __init__(self, model: CatalogEntry, max_seq_len: int, fault: str | None) -> None:
        self.cause = f'{fault} Also, {NOT_YET}; {REMEDY}.' if fault else f'{NOT_YET[0].upper()}{NOT_YET[1:]}; {REMEDY}.'
        self._info = ModelInfo(model.id, model.description, model.owned_by, CREATED, ModelStatus.ERROR, frozenset(),
                               max_seq_len, self.cause)

    def models(self) -> Sequence[ModelInfo]:
        """Returns the one model, with the cause of its error."""
        return [self._info]

    def is_ready(self) -> bool:
        """Returns False: no request would be served."""
        return False

    def submit(self, request: GenerationRequest) -> NoReturn:
        """Raises ModelNotFoundError, and UnavailableError for the model that is listed."""
        self.tokenizer(request.model)

    def tokenizer(self, model: str) -> NoReturn:
        """Raises as `submit` does."""
        if model != self._info.id:
            raise errors.ModelNotFoundError(model)
        raise errors.UnavailableError(f'The model {self._info.id!r} cannot be loaded: {self.cause}',
                                      retry_after_s=RETRY_AFTER_S)

    def statistics(self) -> EngineStatistics:
        """Returns the numbers of an engine that has done nothing."""
        return Recorder().snapshot(waiting=0, running=0, slots=0)

    def shutdown(self) -> None:
        """Has nothing to end."""
