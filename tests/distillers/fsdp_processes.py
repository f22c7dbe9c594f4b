"""Two processes with spread weights against one with the whole batch; run by test_blockwise_fsdp.

python fsdp_processes.py CLIP FOLDER: writes FOLDER/report.json of the first process.
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch.multiprocessing
from mmengine.optim import build_optim_wrapper
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP

from clipself_mm.distillers import CLIPSelf, WholeStateFSDPStrategy
from clipself_mm.hooks.ensemble import blend_state
from clipself_mm.hooks.whole_weights import load_whole_state, whole_state, whole_weights
from tests.distillers.test_clipself import make_batch

COUNTS = [3, 1, 2, 5]
OPTIMIZER = dict(
    constructor='MatrixDecayConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=5.0),
)


def build(clip, checkpointing):
    torch.manual_seed(0)
    return CLIPSelf(
        tower=dict(type='CLIPTower', model=clip, activation_checkpointing=checkpointing),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
        unlocked_blocks=2,
    ).train()


def part_of(rank):
    """Images of a process, which keeps the numbers of regions unequal."""
    inputs, samples = make_batch(COUNTS)
    images = slice(2 * rank, 2 * rank + 2)
    first = sum(COUNTS[: 2 * rank])
    crops = slice(first, first + sum(COUNTS[images]))
    return dict(images=inputs['images'][images], crops=inputs['crops'][crops]), samples[images]


def step(model, wrapper, inputs, samples):
    loss = sum(model(inputs, samples, mode='loss').values())
    wrapper.update_params(loss)


def largest_gap(one, other):
    if one.keys() != other.keys():
        return f'other names: {sorted(one.keys() ^ other.keys())[:4]}'
    return max(float((one[key] - other[key]).abs().max()) for key in one)


def strategy_of(model, folder):
    strategy = WholeStateFSDPStrategy(
        model_wrapper=dict(type='BlockwiseFSDP'),
        work_dir=str(folder),
        env_kwargs=dict(launcher='pytorch', randomness=dict(seed=0)),
    )
    strategy.build_model(model)  # notes the names of weights
    strategy.model = strategy._wrap_model(model)
    strategy.optim_wrapper = strategy.build_optim_wrapper(dict(OPTIMIZER), strategy.model)
    return strategy


def run(rank, clip, folder):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2
    )
    report = {}
    inputs, samples = part_of(rank)
    strategy = strategy_of(build(clip, True), folder)
    model, wrapper = strategy.model, strategy.optim_wrapper
    names = dict(model.named_parameters())
    report['units'] = sum(isinstance(m, FSDP) for m in model.modules())
    report['teacher is whole'] = not any(isinstance(m, FSDP) for m in model.teacher.modules())
    step(model, wrapper, inputs, samples)
    report['numbers held of the student'] = sum(
        p.numel() for n, p in names.items() if 'student' in n
    )
    checkpoint = dict(model=strategy.model_state_dict(), optimizer=strategy.optim_state_dict())
    if rank == 0:
        torch.save(checkpoint, f'{folder}/checkpoint.pth')
    torch.distributed.barrier()
    # The blend goes in and out again, and nothing has changed.
    with whole_weights(model):
        raw = {key: value.clone() for key, value in whole_state(model.module.student).items()}
        blend = blend_state(raw, whole_state(model.module.teacher), 0.5)
        load_whole_state(model.module.student, blend)
    with whole_weights(model):
        report['blend'] = largest_gap(blend, whole_state(model.module.student))
        load_whole_state(model.module.student, raw)
    step(model, wrapper, inputs, samples)
    unbroken = strategy.model_state_dict()
    # A run that resumes.
    resumed = strategy_of(build(clip, True), folder)
    checkpoint = torch.load(f'{folder}/checkpoint.pth', weights_only=False)
    resumed.load_model_state_dict(checkpoint['model'], strict=True)
    resumed.load_optim_state_dict(checkpoint['optimizer'])
    step(resumed.model, resumed.optim_wrapper, inputs, samples)
    again = resumed.model_state_dict()
    torch.distributed.destroy_process_group()
    if rank == 0:
        report['resumed'] = largest_gap(again, unbroken)
        one = build(clip, False)
        report['numbers of the student'] = sum(p.numel() for p in one.student.parameters())
        report['names'] = sorted(one.state_dict()) == sorted(unbroken)
        alone = build_optim_wrapper(one, dict(OPTIMIZER))
        inputs, samples = make_batch(COUNTS)
        step(one, alone, inputs, samples)
        step(one, alone, inputs, samples)
        report['one process'] = largest_gap(one.state_dict(), unbroken)
        report['moved'] = largest_gap(one.student.state_dict(), one.teacher.state_dict())
        Path(folder, 'report.json').write_text(json.dumps(report))


if __name__ == '__main__':
    torch.multiprocessing.start_processes(
        run, (sys.argv[1], sys.argv[2]), nprocs=2, start_method='fork'
    )
