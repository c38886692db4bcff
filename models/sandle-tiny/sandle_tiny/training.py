"""The model's shape and the training loop: bf16 autocast, one process a core, Muon for matrices, AdamW for the rest."""

from __future__ import annotations

import logging
import pathlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import distributed
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from sandle_tiny.corpus import Corpus
from sandle_tiny.packing import Rows, batches
from sandle_tiny.vocabulary import BOS_ID, CONTEXT, EOS_ID, PAD_ID, VOCAB_SIZE

log = logging.getLogger(__name__)

WARM_UP, HOLD = 80, 0.2
"""Steps over which the learning rate rises, and the share of all steps after which it falls, in a line, to zero."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train; a batch is 4,096 tokens."""

    steps: int
    seed: int = 20240607
    workers: int = 2
    """Processes of one thread each; every one takes its share of a batch's rows."""
    muon_lr: float = 0.005
    adam_lr: float = 0.003
    weight_decay: float = 0.05
    tokens: int = 4096
    lengths: tuple[int, ...] = (128, 256)
    """Lengths of the rows of most batches."""
    long_every: int = 16
    """One batch in so many is of long rows that fill the whole context."""
    snapshot_every: int = 0
    """Steps between weights saved on the way, in `snapshot/` of the folder; 0 for none."""


def model_config() -> LlamaConfig:
    """The shape: 4.0 million parameters."""
    return LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=704,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        rms_norm_eps=1e-5,
        initializer_range=0.02,
    )


def rate_at(step: int, plan: Plan) -> float:
    """The learning rate's factor at a step."""
    return float(np.interp(step, (0, WARM_UP, HOLD * plan.steps, plan.steps), (1 / WARM_UP, 1.0, 1.0, 0.0)))


def matrices_of(model: LlamaForCausalLM) -> list[torch.nn.Parameter]:
    """The matrices of the layers, which Muon trains."""
    return [p for name, p in model.named_parameters() if p.ndim == 2 and 'layers' in name]


def optimizers(model: LlamaForCausalLM, plan: Plan, rank: int) -> list[torch.optim.Optimizer]:
    """Muon for this worker's share of the matrices of the layers, AdamW for embeddings and norms."""
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or 'layers' not in name]
    return [
        torch.optim.Muon(
            matrices_of(model)[rank::plan.workers],
            lr=plan.muon_lr,
            weight_decay=plan.weight_decay,
            momentum=0.95,
            adjust_lr_fn='match_rms_adamw',
        ),
        torch.optim.AdamW(others, lr=plan.adam_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def share_matrices(model: LlamaForCausalLM, workers: int) -> None:
    """Gives every worker the matrices that the others have stepped."""
    matrices = matrices_of(model)
    for owner in range(workers):
        share = [p.data for p in matrices[owner::workers]]
        flat = torch.cat([matrix.flatten() for matrix in share])
        distributed.broadcast(flat, owner)
        for matrix, part in zip(share, torch.split(flat, [matrix.numel() for matrix in share])):
            matrix.copy_(part.view_as(matrix))


def loss_of(model: LlamaForCausalLM, rows: Rows, total_weight: float) -> torch.Tensor:
    """Weighted cross-entropy in nats, the sum over these rows over `total_weight`. No token sees another document."""
    ids = torch.from_numpy(rows.ids.astype('int64'))  # [rows, length]
    owner = torch.from_numpy(rows.owner)
    weights = torch.from_numpy(rows.weights)[:, 1:].flatten()
    mask = (owner[:, None, :, None] == owner[:, None, None, :]).tril()  # [rows, 1, length, length]
    kept = weights > 0  # the head is costly: only where something is to be learned
    with torch.autocast('cpu', torch.bfloat16):
        hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1].flatten(0, 1)[kept])  # [kept, vocab]
    losses = functional.cross_entropy(logits.float(), ids[:, 1:].flatten()[kept], reduction='none')
    return (losses * weights[kept]).sum() / total_weight


def mixed(corpus: Corpus, tokenizer: Tokenizer, plan: Plan) -> Iterator[Rows]:
    """Batches of short rows, with one of long rows now and then."""
    short = batches(corpus.docs(plan.seed), tokenizer, plan.tokens, plan.lengths, plan.seed)
    long = batches(corpus.long_docs(plan.seed + 1), tokenizer, plan.tokens, (CONTEXT,), plan.seed)
    step = 0
    while True:
        step += 1
        yield next(long) if step % plan.long_every == 0 else next(short)


def sum_gradients(model: LlamaForCausalLM) -> None:
    """Adds the gradients of all workers, in one message."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, part in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients])):
        gradient.copy_(part.view_as(gradient))


def save(model: LlamaForCausalLM, folder: pathlib.Path) -> None:
    """Saves the weights as bf16."""
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(model.state_dict())
    twin.bfloat16().save_pretrained(folder)
    # it is made readable by its owner alone, and images run as another user
    (folder / 'model.safetensors').chmod(0o644)


def work(rank: int, plan: Plan, folder: pathlib.Path, meeting: str) -> None:
    """One worker: all do the same steps, each on its rows; the first one logs and saves."""
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format='%(asctime)s %(message)s')
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{meeting}', rank=rank, world_size=plan.workers)
    torch.manual_seed(plan.seed)
    model = LlamaForCausalLM(model_config())
    log.info('%.2f million parameters, %d steps', sum(p.numel() for p in model.parameters()) / 1e6, plan.steps)
    tools = optimizers(model, plan, rank)
    base = [tool.param_groups[0]['lr'] for tool in tools]
    source = mixed(Corpus(), Tokenizer.from_file(str(folder / 'tokenizer.json')), plan)
    started, mean = time.monotonic(), 0.0
    for step in range(plan.steps):
        for tool, rate in zip(tools, base):
            tool.param_groups[0]['lr'] = rate * rate_at(step, plan)
        loss = train_step(model, tools, next(source), rank, plan.workers)
        mean = loss if not step else 0.95 * mean + 0.05 * loss
        if step % 50 == 49:
            spent = time.monotonic() - started
            log.info(
                'step %d loss %.4f, %.0f s, %.0f tokens/s',
                step + 1,
                mean,
                spent,
                (step + 1) * plan.tokens / spent,
            )
        if rank == 0 and plan.snapshot_every and (step + 1) % plan.snapshot_every == 0:
            save(model, folder / 'snapshot')
    if rank == 0:
        save(model, folder)
    distributed.destroy_process_group()


def train_step(
    model: LlamaForCausalLM, tools: list[torch.optim.Optimizer], rows: Rows, rank: int, workers: int
) -> float:
    """One step on this worker's rows; returns this worker's part of the loss, scaled to the whole."""
    total_weight = float(rows.weights[:, 1:].sum())
    mine = Rows(rows.ids[rank::workers], rows.weights[rank::workers], rows.owner[rank::workers])
    loss = loss_of(model, mine, total_weight)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    sum_gradients(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for tool in tools:
        tool.step()
    model.zero_grad(set_to_none=True)
    share_matrices(model, workers)
    return loss.item() * workers


def train(plan: Plan, folder: pathlib.Path) -> None:
    """Trains with the folder's tokenizer, and saves the weights there."""
    with tempfile.TemporaryDirectory() as meeting:
        # torch has no type for it
        spawn(work, args=(plan, folder, f'{meeting}/meeting'), nprocs=plan.workers)  # type: ignore[no-untyped-call]
