"""Run by a test: evaluate 7 random images with `python two_process_metric.py PROCESSES OUT`."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData

IMAGES, CLASSES = 7, 11


def make_sample(index: int) -> BaseDataElement:
    generator = torch.Generator().manual_seed(index)
    regions = int(torch.randint(1, 9, (), generator=generator)) if index else 0
    labels = torch.randint(0, CLASSES, (regions,), generator=generator)
    sample = BaseDataElement(metainfo={'img_path': f'{index}.jpg'})
    sample.regions = InstanceData(labels=labels, is_thing=labels < 6)
    sample.pred_regions = InstanceData(
        **{
            f'{route}_topk': torch.rand(regions, CLASSES, generator=generator).argsort(1)[:, :5]
            for route in ('boxes', 'masks', 'crops')
        }
    )
    return sample


def evaluate(rank: int, processes: int, init: str, out: str) -> None:
    from clipself_mm.evaluation import RegionClassificationMetric

    torch.set_num_threads(1)
    if processes > 1:
        torch.distributed.init_process_group(
            'gloo', init_method=init, rank=rank, world_size=processes
        )
    judge = Evaluator([RegionClassificationMetric()])
    judge.dataset_meta = {'classes': [f'class {k}' for k in range(CLASSES)]}
    for index in DefaultSampler(range(IMAGES), shuffle=False):
        judge.process([make_sample(index)])
    metrics = judge.evaluate(IMAGES)
    if rank == 0:
        Path(out).write_text(json.dumps(metrics))
    if processes > 1:
        torch.distributed.destroy_process_group()


if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).parents[2]))
    count, target = int(sys.argv[1]), sys.argv[2]
    rendezvous = f'file://{target}.rendezvous'
    if count == 1:
        evaluate(0, 1, rendezvous, target)
    else:
        torch.multiprocessing.spawn(evaluate, (count, rendezvous, target), nprocs=count)
