"""From the hidden states of a text's tokens to its vector: pooling, and the layers that follow it.

The arithmetic is sentence-transformers', written for padding on the right. Knows tensors; knows no text.
"""

from collections.abc import Callable, Mapping, Sequence

import safetensors.torch
import torch
from hf_embedding_folder import Module
from torch import nn
from torch.nn import functional

from sandle.checkpoint import SINGLE
from sandle.engine.runner import LoadError

Layer = Callable[[torch.Tensor], torch.Tensor]  # [B, N] to [B, M]
POOLINGS = {'cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'}
SWITCHES = {  # how older folders say which, in the order in which several are put together
    'pooling_mode_cls_token': 'cls', 'pooling_mode_max_tokens': 'max', 'pooling_mode_mean_tokens': 'mean',
    'pooling_mode_mean_sqrt_len_tokens': 'mean_sqrt_len_tokens', 'pooling_mode_weightedmean_tokens': 'weightedmean',
    'pooling_mode_lasttoken': 'lasttoken'}
INPUT = 'sentence_embedding'  # of a layer that follows the pooling
ACTIVATIONS: dict[str, type[nn.Module]] = {
    kind.__name__: kind for kind in (nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.ELU)}


class Pooling:
    """One vector a text of the vectors of its tokens. `skips_prompt`: the tokens of a prompt do not count."""

    def __init__(self, module: Module) -> None:
        config = module.config
        wanted = config.get('pooling_mode') or [mode for switch, mode in SWITCHES.items() if config.get(switch)]
        self.modes: list[str] = [wanted] if isinstance(wanted, str) else list(wanted or ['mean'])
        self.skips_prompt = config.get('include_prompt') is False
        if unknown := [mode for mode in self.modes if mode not in POOLINGS]:
            raise LoadError(f'{module.folder} asks for the pooling {unknown[0]!r}, which is not known here.')

    def __call__(self, hidden: torch.Tensor, lengths: torch.Tensor, skips: torch.Tensor) -> torch.Tensor:
        """Returns [B, modes · H] of [B, T, H], of which each text has `lengths` tokens and counts not the first."""
        places = torch.arange(hidden.shape[1], device=hidden.device)
        counts = (places < lengths[:, None]) & (places >= skips[:, None])  # [B, T]
        return torch.cat([self._pool(mode, hidden, counts, lengths, skips) for mode in self.modes], dim=-1)

    @staticmethod
    def _pool(mode: str, hidden: torch.Tensor, counts: torch.Tensor, lengths: torch.Tensor,
              skips: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(hidden), device=hidden.device)
        mask = counts[:, :, None].to(hidden.dtype)  # [B, T, 1]
        match mode:
            case 'cls':
                return hidden[rows, torch.where(skips < lengths, skips, 0)]
            case 'lasttoken':
                return hidden[rows, lengths - 1]
            case 'max':
                return hidden.masked_fill(mask == 0, -torch.inf).amax(dim=1)
            case 'weightedmean':
                weights = mask * torch.arange(1, hidden.shape[1] + 1, device=hidden.device, dtype=hidden.dtype)[:, None]
                return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
            case _:
                count = mask.sum(dim=1).clamp(min=1e-9)
                return (hidden * mask).sum(dim=1) / (count if mode == 'mean' else count.sqrt())


class Head:
    """What follows the transformer: pooling, then layers. Everything is computed in float32."""

    def __init__(self, modules: Sequence[Module], device: str) -> None:
        """Raises LoadError for a module that is not known, or whose weights cannot be used."""
        if not modules or modules[0].kind != 'Pooling':
            raise LoadError('The model has no Pooling after its Transformer: choose one that makes a vector a text.')
        self.pooling = Pooling(modules[0])
        self._layers = [_layer(module, device) for module in modules[1:]]

    def __call__(self, hidden: torch.Tensor, lengths: torch.Tensor, skips: torch.Tensor) -> torch.Tensor:
        """Returns the vectors, [B, size] in float32; arguments as of Pooling."""
        vectors = self.pooling(hidden.float(), lengths, skips)
        for layer in self._layers:
            vectors = layer(vectors)
        return vectors


def _layer(module: Module, device: str) -> Layer:
    match module.kind:
        case 'Normalize':
            return _normalize
        case 'Dropout':  # does something in training alone
            return _identity
        case 'Dense':
            return _dense(module, device)
        case 'LayerNorm':
            weights = _weights(module, device)
            return lambda vectors: functional.layer_norm(vectors, vectors.shape[1:], weights['norm.weight'],
                                                         weights['norm.bias'])
        case kind:
            raise LoadError(f'{module.folder} is a {kind}, a module that is not known here: choose another model.')


def _dense(module: Module, device: str) -> Layer:
    weights = _weights(module, device)
    name = str(module.config.get('activation_function', 'Tanh')).rpartition('.')[2]
    if name not in ACTIVATIONS:
        raise LoadError(f'{module.folder} asks for the activation {name!r}, which is not known here.')
    if module.config.get('use_residual') or module.config.get('module_input_name', INPUT) != INPUT:
        raise LoadError(f'{module.folder} is a Dense of a kind that is not known here: choose another model.')
    activation = ACTIVATIONS[name]()
    return lambda vectors: activation(functional.linear(vectors, weights['linear.weight'], weights.get('linear.bias')))


def _weights(module: Module, device: str) -> Mapping[str, torch.Tensor]:
    file = module.folder / SINGLE
    if not file.is_file():
        raise LoadError(f'{module.folder} has no {SINGLE}: convert its weights to safetensors.')
    return {name: tensor.float() for name, tensor in safetensors.torch.load_file(file, device=device).items()}


def _normalize(vectors: torch.Tensor) -> torch.Tensor:
    return functional.normalize(vectors, dim=-1)


def _identity(vectors: torch.Tensor) -> torch.Tensor:
    return vectors
