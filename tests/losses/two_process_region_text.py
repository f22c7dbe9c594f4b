"""Run by a test: `python two_process_region_text.py OUT`: six regions spread over two processes."""

import sys
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from mmengine.dist import all_gather

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.losses import RegionTextLoss

SHARES = (slice(0, 5), slice(5, 6))


def whole():
    generator = torch.Generator().manual_seed(0)
    features, nouns = torch.randn(6, 8, generator=generator), torch.randn(9, 8, generator=generator)
    return features, torch.randint(9, (6,), generator=generator), nouns


def compute_as(rank: int, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.rendezvous', rank=rank, world_size=2
    )
    features, labels, nouns = whole()
    share = SHARES[rank]
    loss = RegionTextLoss()(features[share], labels[share], nouns, 10.0, torch.arange(9))
    sample = RegionTextLoss(num_sampled=20).sample(torch.tensor([4]), 500)
    losses, samples = all_gather(loss), all_gather(sample)
    if rank == 0:
        torch.save(dict(losses=losses, samples=[row.tolist() for row in samples]), out)
    torch.distributed.barrier()  # no destroy_process_group: torch 2.1 may hang in it


if __name__ == '__main__':
    torch.multiprocessing.start_processes(compute_as, (sys.argv[1],), nprocs=2, start_method='fork')
