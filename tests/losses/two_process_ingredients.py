"""Run by a test: `python two_process_ingredients.py OUT`: losses over regions on two processes."""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed
import torch.multiprocessing
from mmengine.dist import all_reduce

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.losses import CentredCosineLoss, ImageDistillLoss, RelationalDistillLoss
from tests.losses.stub_batches import stub_batch

STEPS = ([3, 2, 1, 0], [2, 4, 0, 0], [0, 1, 2, 2])
"""Regions of each of four images."""


def train(rank, processes):
    """Gradients of a linear map by loss and step, averaged over processes; queue and mean."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, generator=generator, requires_grad=True)
    centred, relational = CentredCosineLoss(0.5, confidence=1.0), RelationalDistillLoss(12)
    centred.set_dim(4)
    relational.set_dim(4)
    results = {}
    for step, counts in enumerate(STEPS):
        inputs = torch.randn(sum(counts), 5, generator=generator)
        targets = torch.randn(sum(counts), 4, generator=generator)
        first = rank * 4 // processes
        start, mine = sum(counts[:first]), counts[first : first + 4 // processes]
        rows = slice(start, start + sum(mine))
        batch = stub_batch(
            torch.zeros(len(mine), 4, 1, 1),
            student=SimpleNamespace(encode_image=lambda crops: crops.flatten(1) @ weight),
            boxes_px=[torch.zeros(count, 4) for count in mine],
            targets=targets[rows],
            crops=inputs[rows, :, None, None],
        )._replace(pooled=inputs[rows] @ weight)
        for loss in (centred, relational, ImageDistillLoss(2)):
            name = type(loss).__name__
            value = loss(batch.pooled, batch.targets) if loss is centred else loss(batch)
            (gradient,) = torch.autograd.grad(value, weight, retain_graph=True)
            all_reduce(gradient, op='mean')
            results[f'{name} {step}'] = gradient
    return dict(results, queue=relational.queue, mean=centred.mean)


def train_as(rank, out):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.rendezvous', rank=rank, world_size=2
    )
    torch.save(train(rank, processes=2), f'{out}.{rank}')
    torch.distributed.barrier()  # no destroy_process_group: torch 2.1 may hang in it


if __name__ == '__main__':
    torch.multiprocessing.start_processes(train_as, (sys.argv[1],), nprocs=2, start_method='fork')
