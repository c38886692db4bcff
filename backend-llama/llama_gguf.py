"""Writes a model as a GGUF file, one tensor at a time, whole or not at all. Knows the format by the gguf library."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import torch
from llama_weights import Vocabulary, Weights

from sandle.engine.runner import LoadError

Report = Callable[[str], None]
MODE = 0o644  # as other files of models
NO_MERGE = '<none> <none>'  # llama.cpp wants a merge in every such vocabulary; text is never split into these two
KINDS = {torch.float32: gguf.GGMLQuantizationType.F32, torch.float16: gguf.GGMLQuantizationType.F16,
         torch.bfloat16: gguf.GGMLQuantizationType.BF16}
FILE_TYPES = {torch.float32: gguf.LlamaFileType.ALL_F32, torch.float16: gguf.LlamaFileType.MOSTLY_F16,
              torch.bfloat16: gguf.LlamaFileType.MOSTLY_BF16}


def write(weights: Weights, path: Path, dtype: torch.dtype, report: Report) -> None:
    """Writes the file with matrices in a number format; vectors are kept in float32. Raises LoadError, OSError.

    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    os.close(descriptor)
    try:
        _write(weights, Path(name), dtype, report)
        os.chmod(name, MODE)
        os.replace(name, path)
    except BaseException:  # whatever it is: nothing half-written stays
        os.unlink(name)
        raise


def _write(weights: Weights, path: Path, dtype: torch.dtype, report: Report) -> None:
    with contextlib.closing(gguf.GGUFWriter(path, 'llama')) as writer:
        _fill(writer, weights, dtype, report)


def _fill(writer: gguf.GGUFWriter, weights: Weights, dtype: torch.dtype, report: Report) -> None:
    _add_measures(writer, weights, dtype)
    _add_vocabulary(writer, weights.vocabulary)
    names = []
    for name, tensor in weights.tensors():
        kind = _kind(tensor, dtype)
        writer.add_tensor_info(name, list(tensor.shape), np.dtype(np.float32), tensor.numel() * kind.itemsize,
                               KINDS[kind])
        names.append(name)
    missing = required_names(weights) - set(names)
    if missing:
        raise LoadError(f'{weights.name} lacks tensors, {min(missing)} among them: get the model again.')
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for count, (_, tensor) in enumerate(weights.tensors(), 1):
        writer.write_tensor_data(_array(tensor.to(_kind(tensor, dtype))))
        report(f'converting to GGUF: {count} of {len(names)} tensors')


def required_names(weights: Weights) -> set[str]:
    """Returns the names of the tensors that every model of these measures has."""
    parts = ('attn_norm', 'attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_norm', 'ffn_gate', 'ffn_up', 'ffn_down')
    return {'token_embd.weight', 'output_norm.weight'} | {
        f'blk.{layer}.{part}.weight' for layer in range(weights.measures.layers) for part in parts}


def _kind(tensor: torch.Tensor, dtype: torch.dtype) -> torch.dtype:
    return dtype if tensor.dim() > 1 else torch.float32


def _array(tensor: torch.Tensor) -> 'np.ndarray[tuple[int, ...], np.dtype[np.generic]]':
    """Returns the numbers as NumPy has them; bfloat16, which it does not know, as 16-bit integers."""
    tensor = tensor.contiguous()
    return (tensor.view(torch.int16) if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _add_measures(writer: gguf.GGUFWriter, weights: Weights, dtype: torch.dtype) -> None:
    measures = weights.measures
    writer.add_name(weights.name)
    writer.add_file_type(FILE_TYPES[dtype])
    writer.add_vocab_size(measures.vocab_size)
    writer.add_context_length(measures.context_length)
    writer.add_embedding_length(measures.width)
    writer.add_block_count(measures.layers)
    writer.add_feed_forward_length(measures.feed_forward_width)
    writer.add_head_count(measures.heads)
    writer.add_head_count_kv(measures.kv_heads)
    writer.add_key_length(measures.head_width)
    writer.add_value_length(measures.head_width)
    writer.add_layer_norm_rms_eps(measures.norm_epsilon)
    writer.add_rope_dimension_count(measures.head_width)
    writer.add_rope_freq_base(measures.rope_base)
    if measures.rope_linear_factor is not None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(measures.rope_linear_factor)


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.kind)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.kind == 'gpt2':
        writer.add_token_merges(vocabulary.merges or [NO_MERGE])
    for token, add in ((vocabulary.bos, writer.add_bos_token_id), (vocabulary.eos, writer.add_eos_token_id),
                       (vocabulary.eot, writer.add_eot_token_id), (vocabulary.pad, writer.add_pad_token_id),
                       (vocabulary.unk, writer.add_unk_token_id)):
        if token is not None:
            add(token)
    writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(vocabulary.adds_space)
    if vocabulary.template is not None:
        writer.add_chat_template(vocabulary.template)
    if vocabulary.huggingface is not None:
        writer.add_string(gguf.Keys.Tokenizer.HF_JSON, vocabulary.huggingface)
