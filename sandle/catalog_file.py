"""The format of models.json, as pydantic checks it: what may stand in an entry. Knows no files beside it.

docs/models.schema.json is made from here: `python -m sandle.catalog_file >docs/models.schema.json`.
"""

import enum
import json
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, TypeAdapter

NAME = r'^[^\s\x00-\x1f\x7f]+$'
Name = Annotated[str, Field(min_length=1, max_length=256, pattern=NAME)]
Words = Annotated[str, Field(min_length=1)]
Kind = Literal['completion', 'embedding']  # what a model makes


class Quantization(enum.StrEnum):
    """How weights are held: made into small integers while they are loaded, or as they come in the files."""

    NONE = 'none'
    INT8 = '8bit'
    INT4 = '4bit'
    GPTQ = 'gptq'
    AWQ = 'awq'


class FileSource(BaseModel):
    """Where files are: in a folder, or else in a repository of the Hugging Face Hub."""

    model_config = ConfigDict(strict=True, extra='forbid')

    path: Words | None = Field(None, description='A folder, relative to the file that this stands in.')
    repo: Words | None = Field(None, description='A repository of the Hub, owner/name.')
    revision: Words | None = Field(None, description="The repository's branch, tag or commit; its main branch if none.")


class FileOffer(FileSource):
    """What a client may name as `model`. Without path and repo, the id is the repository's name."""

    id: Name = Field(description='The name by which clients ask for it.')
    description: str = Field('', description='What people read beside the name.')
    owned_by: str = Field('', description='Who made it; the part of the id before a slash if nothing is said.')


class FileAdapter(FileOffer):
    """A LoRA adapter as peft saves it, served as a model of its own id together with its base."""


def _from_repo(value: object) -> object:
    return {'repo': value} if isinstance(value, str) else value


def _from_id(value: object) -> object:
    return {'id': value} if isinstance(value, str) else value


TokenizerSource = Annotated[FileSource, BeforeValidator(_from_repo, json_schema_input_type=Words | FileSource)]


class FileEntry(FileOffer):
    """A model. `object` and `permission` stand in files of the original Sandle and say nothing."""

    kind: Kind = Field('completion', description='What the model makes.')
    tokenizer: TokenizerSource | None = Field(
        None, description="Where the tokenizer is if not beside the weights: a repository's name, or path or repo.")
    dtype: Literal['auto', 'bfloat16', 'float16', 'float32'] | None = Field(
        None, description='Number format of the weights, in place of --dtype.')
    device_map: str | dict[str, str | int] | None = Field(
        None, description='Where the weights go, in place of --device, as transformers takes it: auto, cuda:1, '
                          'or modules and their devices.')
    config: dict[str, JsonValue] = Field({}, description="Settings in place of those in the model's config.json.")
    trust_remote_code: bool = Field(False, description='Run the Python code that comes with the model.')
    quantization: Annotated[Quantization, Field(strict=False)] | None = Field(
        None, description='8bit or 4bit: weights are held so, whatever they come in; none: they are not, whatever the '
                          'options say; gptq or awq: they come so, and are refused if not. Checkpoints of GPTQ, AWQ, '
                          'bitsandbytes and compressed-tensors are known by their config.json; nothing need be said.')
    adapters: list[FileAdapter] = Field([], description='LoRA adapters that are served together with the model.')
    idle_unload_s: float | None = Field(
        None, gt=0, le=1e9, description='Seconds without a request after which the model is taken out of memory.')
    object: Literal['model'] = 'model'
    permission: list[JsonValue] = []


Entries = list[Annotated[FileEntry, BeforeValidator(_from_id, json_schema_input_type=Name | FileEntry)]]
ENTRIES: TypeAdapter[list[FileEntry]] = TypeAdapter(Entries)


def schema() -> dict[str, object]:
    """Returns the format as a JSON schema."""
    return {'$schema': 'https://json-schema.org/draft/2020-12/schema', 'title': 'models.json of Sandle',
            **ENTRIES.json_schema()}


if __name__ == '__main__':
    print(json.dumps(schema(), indent=2))
