"""Run by a test: `python two_process_region_text.py FOLDER`: 7 images, two processes, one file."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.datasets import RegionSample
from clipself_mm.evaluation import RegionTextJsonWriter

IMAGES = 7
NOUNS = ('cup', 'dog', 'pen')


def make_sample(index: int) -> RegionSample:
    generator = torch.Generator().manual_seed(index)
    count = 0 if index == 3 else 1 + index % 3
    boxes = torch.rand(count, 4, generator=generator).cumsum(1) * 20
    sample = RegionSample(metainfo=dict(img_id=index, scale=0.5))
    sample.regions = InstanceData(boxes_px=boxes)
    sample.pred_regions = InstanceData(
        labels=torch.randint(3, (count,), generator=generator),
        scores=torch.rand(count, generator=generator),
    )
    return sample


def write(folder: Path, out: str) -> dict[str, float]:
    """The images of this process through the evaluator; all of them in a single process."""
    metric = RegionTextJsonWriter(
        ann_file=str(folder / 'images.json'), out_file=str(folder / out), max_per_img=2
    )
    judge = Evaluator([metric])
    judge.dataset_meta = {'classes': NOUNS}
    for index in DefaultSampler(range(IMAGES), shuffle=False):
        judge.process([make_sample(index)])
    return judge.evaluate(IMAGES)


def write_as(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    metrics = write(Path(folder), 'two.json')
    if rank == 0:
        Path(folder, 'metrics.json').write_text(json.dumps(metrics))
    torch.distributed.barrier()  # no destroy_process_group: torch 2.1 may hang in it


if __name__ == '__main__':
    torch.multiprocessing.start_processes(write_as, (sys.argv[1],), nprocs=2, start_method='fork')
