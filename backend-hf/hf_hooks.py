"""Adapters on a transformers model as it stands: hooks on its linear modules, for one adapter at a time.

For whatever computes a sequence by itself. Knows modules and matrices.
"""

from collections.abc import Iterable

import torch
from hf_adapters import Adapter
from hf_decoder import LowRank
from torch.nn import functional


class AdapterHooks:
    """`current` names the adapter that the model has from now on; None for none. One thread."""

    def __init__(self, model: torch.nn.Module, adapters: Iterable[Adapter]) -> None:
        self.current: str | None = None
        by_module: dict[str, dict[str, LowRank]] = {}
        for adapter in adapters:
            for name, pair in adapter.modules.items():
                by_module.setdefault(name, {})[adapter.name] = pair
        self._handles = [self._hook(model.get_submodule(name), pairs) for name, pairs in by_module.items()]

    def remove(self) -> None:
        """Leaves the model as it was."""
        for handle in self._handles:
            handle.remove()

    def _hook(self, module: torch.nn.Module, pairs: dict[str, LowRank]) -> torch.utils.hooks.RemovableHandle:
        def add(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
            pair = None if self.current is None else pairs.get(self.current)
            if pair is None:
                return None
            down, up = pair.down.to(output.device), pair.up.to(output.device)
            bias = None if pair.bias is None else pair.bias.to(output.device)
            added = functional.linear(functional.linear(inputs[0].to(down.dtype), down), up, bias)
            return (output + added).to(output.dtype)

        return module.register_forward_hook(add)
