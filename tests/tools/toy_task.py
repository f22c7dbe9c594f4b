"""A model of one weight for tests of the tools: loss (w - y)^2, so dL/dw = 2 (w - y)."""

import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS


@DATASETS.register_module()
class ToyTargets(BaseDataset):
    """Targets 0, 2, 0, 2: their mean is 1, but each of two ranks sees only one kind."""

    def load_data_list(self):
        return [dict(target=float(y)) for y in (0, 2, 0, 2)]


@MODELS.register_module()
class ToyLine(BaseModel):
    """One weight, starting at 0."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, target, sample_idx=None, mode='tensor', **kwargs):
        target = torch.as_tensor(target)
        if mode == 'loss':
            return dict(loss=((self.weight - target) ** 2).mean())
        return [dict(weight=self.weight.item(), target=float(y)) for y in target]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """The weight, and the number of samples it was told of."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results.extend(sample['weight'] for sample in data_samples)

    def compute_metrics(self, results):
        return dict(weight=results[0], samples=float(len(results)))


CONFIG = """
experiment_name = 'RUN'  # runs of one second would share mmengine's logger
custom_imports = dict(imports=['tests.tools.toy_task'])
default_scope = 'mmengine'
model = dict(type='ToyLine')
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyTargets'),
)
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.25))
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyTargets', test_mode=True),
)
test_cfg = dict()
test_evaluator = dict(type='ToyMetric')
auto_scale_lr = dict(enable=False, base_batch_size=4)
"""
