"""Run by a test: `python two_process_contrast.py OUT` trains a line on two processes and on one."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.losses import ContrastiveLoss


def step(rows: slice, parallel: bool) -> dict:
    """Loss and gradient of a linear map of some of six images."""
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)
    model = torch.nn.Linear(5, 4)
    with torch.no_grad():
        model.weight.copy_(torch.randn(4, 5, generator=generator))
        model.bias.copy_(torch.randn(4, generator=generator))
    wrapped = DistributedDataParallel(model) if parallel else model
    loss = ContrastiveLoss(loss_weight=2.0)(wrapped(images[rows]), texts[rows], 3.0)
    loss.backward()
    return dict(loss=loss.item(), weight=model.weight.grad.tolist(), bias=model.bias.grad.tolist())


def train_as(rank: int, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.rendezvous', rank=rank, world_size=2
    )
    result = step(slice(3 * rank, 3 * rank + 3), parallel=True)
    Path(f'{out}.{rank}').write_text(json.dumps(result))
    torch.distributed.barrier()  # no destroy_process_group: torch 2.1 may hang in it


if __name__ == '__main__':
    Path(f'{sys.argv[1]}.one').write_text(json.dumps(step(slice(None), parallel=False)))
    torch.multiprocessing.start_processes(train_as, (sys.argv[1],), nprocs=2, start_method='fork')
