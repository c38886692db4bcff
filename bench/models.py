"""Makes models with random weights, of shapes that are worth measuring: speed does not depend on the values.

    python bench/models.py A B C            into the cache folder
    python bench/models.py --folder X A     into X/A

Each is a folder that any server loads: bf16 safetensors, a configuration and a tokenizer. The same shape always has the
same weights.

The weights are not all noise. Channel 0 of the hidden state is kept out of the layers: they neither read nor write it,
every token brings a 1 there, and the row of the end-of-text token has a large negative number. So that token has a
logit far below all others, with tied weights too, and no text ends before its `max_tokens`, on a server that knows no
`ignore_eos` either. The last normalisation is scaled so that sampling has a spread of likely and unlikely tokens.
"""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, LlamaConfig, OPTConfig

END_OF_TEXT = 0
FIRST_WORD = 257  # the first id that is neither the end of text nor a byte
WEIGHT_STD = 0.02
LOGIT_SPREAD = 6.0  # weight of the last normalisation
END_CHANNEL = -16.0  # of the end-of-text row, where every other row has 1
SEED = 20_260
COMPLETE = 'complete.json'  # written last; names the recipe, so that an older folder is made again
RECIPE = 2
SYLLABLES = tuple(a + b for a in 'bdfghjklmnprstvwyz' for b in 'aeiou')


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder's measures. `kind` is llama or opt; embeddings are tied."""

    name: str
    kind: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    context: int

    @property
    def config(self) -> Any:  # Any: transformers is typed only in part
        """The library's configuration of this shape."""
        ends = {'bos_token_id': END_OF_TEXT, 'eos_token_id': END_OF_TEXT, 'pad_token_id': END_OF_TEXT}
        sizes = {'vocab_size': self.vocabulary, 'hidden_size': self.hidden, 'num_hidden_layers': self.layers,
                 'num_attention_heads': self.heads, 'max_position_embeddings': self.context, 'dtype': torch.bfloat16,
                 'tie_word_embeddings': True}
        if self.kind == 'opt':
            return OPTConfig(ffn_dim=self.intermediate, word_embed_proj_dim=self.hidden, **sizes, **ends)
        return LlamaConfig(num_key_value_heads=self.kv_heads, intermediate_size=self.intermediate, **sizes, **ends)


SHAPES = {shape.name: shape for shape in (
    Shape('A', 'llama', 576, 30, 9, 3, 1536, 49_152, 4096),
    Shape('B', 'llama', 2048, 16, 32, 8, 5632, 32_000, 4096),
    Shape('C', 'opt', 768, 12, 12, 12, 3072, 50_272, 2048),
    Shape('tiny', 'llama', 64, 2, 4, 2, 128, 1024, 4096),  # for tests of the bench itself
)}


def default_folder() -> Path:
    """Returns where models are kept: in the user's cache, never in the repository."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache) / 'sandle' / 'bench-models'


def ensure(name: str, folder: Path) -> Path:
    """Returns the folder of a shape's model, made first if it is not there or not whole."""
    target = folder / name
    mark = target / COMPLETE
    if not mark.is_file() or json.loads(mark.read_text('utf-8')) != {'recipe': RECIPE}:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        _write(SHAPES[name], target)
        mark.write_text(json.dumps({'recipe': RECIPE}), 'utf-8')
    return target


def _write(shape: Shape, target: Path) -> None:
    config = shape.config
    config.architectures = ['OPTForCausalLM' if shape.kind == 'opt' else 'LlamaForCausalLM']
    config.save_pretrained(target)
    with torch.device('meta'):  # names and sizes without memory
        model: Any = AutoModelForCausalLM.from_config(config)
    weights = random_weights(((name, tuple(tensor.shape)) for name, tensor in model.named_parameters()))
    save_file(weights, target / 'model.safetensors', metadata={'format': 'pt'})
    _tokenizer(shape.vocabulary).save(str(target / 'tokenizer.json'))
    settings = {'tokenizer_class': 'PreTrainedTokenizerFast', 'model_max_length': shape.context,
                'clean_up_tokenization_spaces': False, 'bos_token': '<|end|>', 'eos_token': '<|end|>',
                'pad_token': '<|end|>'}
    (target / 'tokenizer_config.json').write_text(json.dumps(settings, indent=2), 'utf-8')
    generation = {'bos_token_id': END_OF_TEXT, 'eos_token_id': END_OF_TEXT, 'pad_token_id': END_OF_TEXT}
    (target / 'generation_config.json').write_text(json.dumps(generation, indent=2), 'utf-8')


def random_weights(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, torch.Tensor]:
    """Returns a bf16 tensor for each name, as the module's docstring says."""
    generator = torch.Generator().manual_seed(SEED)
    return {name: _weight(name, shape, generator).to(torch.bfloat16).contiguous() for name, shape in shapes}


def _weight(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if len(shape) == 1:
        weight = torch.zeros(shape) if name.endswith('.bias') else torch.ones(shape)
        if name.endswith(('model.norm.weight', 'final_layer_norm.weight')) and '.layers.' not in name:
            weight *= LOGIT_SPREAD
        elif 'norm' in name:
            weight[0] = 0.0  # the layer does not read channel 0
        return weight
    weight = torch.randn(shape, generator=generator) * WEIGHT_STD
    if 'embed_positions' in name:
        weight[:, 0] = 0.0
    elif 'embed_tokens' in name:
        weight[:, 0] = 1.0
        weight[END_OF_TEXT, 0] = END_CHANNEL
    elif name.endswith(('o_proj.weight', 'down_proj.weight', 'out_proj.weight', 'fc2.weight')):
        weight[0] = 0.0  # nor does it write it
    return weight


def _tokenizer(vocabulary: int) -> Tokenizer:
    """Returns a byte-level tokenizer: the end of text, every byte, and words that it can write but never reads.

    Having no merges, it reads a text of n ASCII characters as n tokens.
    """
    texts = ['<|end|>', *sorted(pre_tokenizers.ByteLevel.alphabet())]
    texts += ['Ġ' + _word(number) for number in range(vocabulary - len(texts))]
    tokenizer = Tokenizer(BPE({text: index for index, text in enumerate(texts)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(['<|end|>'])
    return tokenizer


def _word(number: int) -> str:
    """Returns a word of two or more syllables, another one for each number."""
    rest, last = divmod(number, len(SYLLABLES))
    return (_word(rest) if rest >= len(SYLLABLES) else SYLLABLES[rest]) + SYLLABLES[last]


@click.command(help=__doc__)
@click.argument('names', nargs=-1, type=click.Choice(list(SHAPES)))
@click.option('--folder', type=click.Path(path_type=Path), default=default_folder, help='Where the folders are made.')
def main(names: tuple[str, ...], folder: Path) -> None:
    """Makes the models that are named."""
    for name in names:
        click.echo(ensure(name, folder))


if __name__ == '__main__':
    main()
