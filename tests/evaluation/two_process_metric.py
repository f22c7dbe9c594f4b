"""Run by a test: `python two_process_metric.py OUT` evaluates 7 random images in two processes."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.evaluation import RegionClassificationMetric

IMAGES, CLASSES = 7, 11


def make_sample(index: int) -> BaseDataElement:
    generator = torch.Generator().manual_seed(index)
    # One image is empty, but not the first, which is the one that pads the last batch.
    regions = 0 if index == 3 else int(torch.randint(1, 9, (), generator=generator))
    labels = torch.randint(0, CLASSES, (regions,), generator=generator)
    sample = BaseDataElement(metainfo={'img_path': f'{index}.jpg'})
    sample.regions = InstanceData(labels=labels, is_thing=labels < 6)
    sample.pred_regions = InstanceData(
        **{
            f'{name}_topk': torch.rand(regions, CLASSES, generator=generator).argsort(1)[:, :5]
            for name in ('boxes', 'masks', 'crops')
        }
    )
    return sample


def evaluate() -> dict[str, float]:
    judge = Evaluator([RegionClassificationMetric()])
    judge.dataset_meta = {'classes': [f'class {k}' for k in range(CLASSES)]}
    for index in DefaultSampler(range(IMAGES), shuffle=False):
        judge.process([make_sample(index)])
    return judge.evaluate(IMAGES)


def evaluate_as(rank: int, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.rendezvous', rank=rank, world_size=2
    )
    metrics = evaluate()
    if rank == 0:
        Path(out).write_text(json.dumps(metrics))
    torch.distributed.barrier()  # no destroy_process_group: torch 2.1 may hang in it


if __name__ == '__main__':
    torch.multiprocessing.start_processes(
        evaluate_as, (sys.argv[1],), nprocs=2, start_method='fork'
    )
