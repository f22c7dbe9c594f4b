"""Child of test_finite_loss_hook.py: two gloo processes; in the second step, one has a NaN.

As on a CUDA device with `delayed` as third word, else `at once`.
"""

import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import barrier, get_rank
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

import clipself_mm  # noqa: F401  registers the hook
from clipself_mm.hooks.host_copy import HostCopy
from clipself_mm.launch import prepare_processes


@MODELS.register_module()
class Mean(BaseModel):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return {'loss_line': self.line(torch.stack(inputs)).mean()}


@DATASETS.register_module()
class Numbers(torch.utils.data.Dataset):
    """Twelve numbers; the third of the second process is NaN."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return {'inputs': torch.tensor([float('nan') if index == 5 else 1.0])}


def main(folder):
    config = Config(
        dict(
            launcher='pytorch',
            work_dir=str(folder / 'w'),
            model=dict(type='Mean'),
            train_dataloader=dict(
                batch_size=2,
                dataset=dict(type='Numbers'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(checkpoint=None, runtime_info=dict(type='DelayedRuntimeInfoHook')),
            custom_hooks=[dict(type='FiniteLossHook')],
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
        )
    )
    prepare_processes(config)
    runner = Runner.from_cfg(config)
    try:
        runner.train()
    except FloatingPointError as error:
        (folder / f'{get_rank()}.txt').write_text(f'{runner.iter + 1} | {error}')
    barrier()


def process(rank, folder):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    main(folder)


if __name__ == '__main__':
    if sys.argv[3] == 'delayed':
        HostCopy.is_worthwhile = staticmethod(lambda values: True)
    os.environ.update(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=sys.argv[2])
    torch.multiprocessing.start_processes(
        process, (Path(sys.argv[1]),), nprocs=2, start_method='fork'
    )
