"""Child of test_sync_bn_hook.py: two gloo processes train a BN model with the hook, rank 0 reports.

The Runner starts as in tools/train.py. Then the same DDP model is converted as on two GPUs. SyncBN
cannot train on a CPU, so a step in eval mode shows that DDP and the optimizer still work.
"""

import json
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from clipself_mm.hooks import sync_bn_hook
from clipself_mm.launch import prepare_processes


@MODELS.register_module()
class NormedLine(BaseModel):
    """A convolution and a norm, trained to give zeros."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return {'loss': (self.norm(self.conv(torch.stack(inputs))) - 1).square().mean()}


@DATASETS.register_module()
class Images(torch.utils.data.Dataset):
    """Four images; the statistics of a process depend on its two."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'inputs': torch.full((1, 2, 2), float(index)) + torch.eye(2)}


def norms_of(model):
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def main(work_dir):
    config = Config(
        dict(
            launcher='pytorch',
            work_dir=str(work_dir),
            model=dict(type='NormedLine'),
            train_dataloader=dict(
                batch_size=2,
                dataset=dict(type='Images'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
            default_hooks=dict(checkpoint=None),
            custom_hooks=[dict(type='SyncBNHook')],
            randomness=dict(seed=0),
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
        )
    )
    prepare_processes(config)
    runner = Runner.from_cfg(config)
    runner.train()
    (norm,) = norms_of(runner.model)
    report = {
        'wrapper': type(runner.model).__name__,
        'trained': type(norm).__name__,
        'means': all_gather_object(norm.running_mean.tolist()),
    }

    sync_bn_hook.device_type = lambda model: 'cuda'
    parameters = list(map(id, runner.model.parameters()))
    sync_bn_hook.SyncBNHook().before_train(runner)
    (norm,) = norms_of(runner.model)
    report['converted'] = type(norm).__name__
    report['same_parameters'] = parameters == list(map(id, runner.model.parameters()))
    runner.model.eval()
    runner.optim_wrapper.zero_grad()
    loss = runner.model([torch.full((1, 2, 2), 1.0 + get_rank())], mode='loss')['loss']
    loss.backward()
    before = norm.weight.detach().clone()
    runner.optim_wrapper.step()
    report['losses'] = all_gather_object(loss.item())
    report['gradients'] = all_gather_object(norm.weight.grad.tolist())
    report['moved'] = (norm.weight.detach() - before).abs().tolist()
    if get_rank() == 0:
        print(json.dumps(report))


def process(rank, work_dir):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    main(work_dir)


if __name__ == '__main__':
    os.environ.update(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=sys.argv[2])
    torch.multiprocessing.start_processes(
        process, (Path(sys.argv[1]),), nprocs=2, start_method='fork'
    )
