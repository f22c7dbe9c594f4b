"""Run by a test: `python two_process_detection.py OUT` judges 7 random images in two processes."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from mmengine.dataset import DefaultSampler

sys.path.insert(0, str(Path(__file__).parents[2]))

import clipself_mm  # noqa: F401
from tests.evaluation.toy_detection import META, evaluator, random_task, samples


def judge_share(path: Path) -> dict[str, float]:
    """The images of this process through the evaluator; all of them in a single process."""
    content, found = random_task(images=7)
    config = dict(type='OpenVocabCocoMetric', metric=['bbox', 'segm'], ann_file=None)
    judge = evaluator(path, content, meta=dict(META, ann_file=str(path)), **config)
    predicted = samples(found)
    for index in DefaultSampler(range(7), shuffle=False):
        judge.process([predicted[index]])
    return judge.evaluate(7)


def judge_as(rank: int, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.rendezvous', rank=rank, world_size=2
    )
    metrics = judge_share(Path(f'{out}.{rank}.truth.json'))
    if rank == 0:
        Path(out).write_text(json.dumps(metrics))
    torch.distributed.barrier()  # no destroy_process_group: torch 2.1 may hang in it


if __name__ == '__main__':
    torch.multiprocessing.start_processes(judge_as, (sys.argv[1],), nprocs=2, start_method='fork')
