"""A model of boxes that notes the images it reads and sees, and stops where a file `stop` says.

Its boxes depend on all images of a batch, as those of padded images do.
"""

from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.structures import InstanceData


@TRANSFORMS.register_module()
class NoteReading:
    """Adds the id of an image to `read.txt`."""

    def __call__(self, results):
        note('read.txt', results['img_id'])
        return results


@MODELS.register_module()
class CountedBoxes(BaseModel):
    """Three boxes an image, and one of no area."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, inputs, data_samples, mode='tensor'):
        shared = torch.stack([image.float().mean() for image in inputs['image']]).sum()
        for image, sample in zip(inputs['image'], data_samples, strict=True):
            seen = len(note('computed.txt', sample.img_id))
            if Path('stop').exists() and seen > int(Path('stop').read_text()):
                raise RuntimeError('stopped')
            side = image.float().mean() / 7 + shared / 1000
            boxes = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 5], [0, 1, 2, 2], [1, 1, 0, 0]]) * side
            scores = torch.tensor([0.1, 0.9, 0.5, 0.7]) * self.weight
            sample.pred_instances = InstanceData(bboxes=boxes, scores=scores)
        return data_samples


def note(name, line):
    """Add a line to a file; all its lines."""
    with Path(name).open('a+') as file:
        file.write(f'{line}\n')
        file.seek(0)
        return file.read().splitlines()


CONFIG = """
experiment_name = 'RUN'  # runs of one second would share mmengine's logger
custom_imports = dict(imports=['clipself_mm', 'tests.evaluation.counted_boxes'])
default_scope = 'mmengine'
model = dict(type='CountedBoxes')
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='UnlabelledImages',
        source='photos',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='NoteReading'),
            dict(type='SampleRegions', regions=dict(type='GridRegions', max_split=1)),
            dict(type='ResizeLongest', size=16),
            dict(type='PackRegions'),
        ],
    ),
)
test_evaluator = [dict(type='ProposalJsonWriter', out_file='out/boxes.json', max_per_img=2)]
test_cfg = dict(type='ResumableTestLoop')
val_dataloader = test_dataloader
val_evaluator = test_evaluator
val_cfg = dict(type='ValLoop')
"""
