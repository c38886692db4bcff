"""Adapters that peft makes for the small random models, and what peft itself computes with them."""

import copy
import warnings
from pathlib import Path
from typing import Any

import peft
import torch


def make_adapter(model: Any, folder: Path, seed: int, **settings: Any) -> Any:
    """Saves an adapter with every number drawn; returns peft's model with it, a copy."""
    with warnings.catch_warnings():
        # What peft warns of is its own: names that transformers will not have for ever, and the shapes of biases.
        warnings.simplefilter('ignore')
        return _make_adapter(model, folder, seed, settings)


def _make_adapter(model: Any, folder: Path, seed: int, settings: dict[str, Any]) -> Any:
    torch.manual_seed(seed)
    usual: dict[str, Any] = {'r': 4, 'lora_alpha': 16, 'target_modules': 'all-linear'}
    config = peft.LoraConfig(**(usual | settings))
    adapted: Any = peft.get_peft_model(copy.deepcopy(model), config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if 'lora_' in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    adapted.save_pretrained(folder)
    return adapted.eval()


@torch.inference_mode()
def peft_logits(adapted: Any, tokens: list[int]) -> torch.Tensor:
    """Returns [tokens, V]."""
    logits: torch.Tensor = adapted(torch.tensor([tokens])).logits[0]
    return logits.float()
