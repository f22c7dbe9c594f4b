"""Training steps on CUDA: precision, compilation, memory against the planner, two GPUs, F-ViT."""

import copy
import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import MODELS
from torch.utils.data._utils.pin_memory import pin_memory

from benchmarks.counting import SHAPES
from benchmarks.gpu_steps import batch
from benchmarks.planner import GIB, GPUS, RECIPES, UTILISATION, Job, memory_bytes, plan
from clipself_mm.datasets.transforms.resize_backends import window_rows
from clipself_mm.hooks import DelayedRuntimeInfoHook, FiniteLossHook, InterruptHook
from clipself_mm.models import resize_windows
from tests.commands import (
    EPOCHS,
    PATCHES,
    ROOT,
    call,
    free_port,
    last_weights,
    options,
    train_command,
)
from tests.factories import write_micro_clip
from tests.gpu.distillation import build

TINY = 'pkg:clipself_mm.shapes/tiny_clip'


def train_step(model, wrapper, data):
    return model.train_step(data, wrapper)['loss'].item()


def wrapper_of(model, **amp):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    return AmpOptimWrapper(optimizer=optimizer, **amp) if amp else OptimWrapper(optimizer)


def test_a_step_is_that_of_the_processor():
    here = build(TINY, 64)
    there = copy.deepcopy(here).cuda()
    data = batch(64, 32, crops=4, images=2)
    losses = [
        [train_step(model, wrapper, copy.deepcopy(data)) for _ in range(3)]
        for model, wrapper in ((here, wrapper_of(here)), (there, wrapper_of(there)))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    assert losses[0][2] < losses[0][0]


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_a_step_in_mixed_precision(dtype):
    if dtype == 'bfloat16' and not torch.cuda.is_bf16_supported():
        pytest.skip('this GPU has no bf16')
    full = build(TINY, 64).cuda()
    half = copy.deepcopy(full)
    data = batch(64, 32, crops=4, images=2)
    expected = train_step(full, wrapper_of(full), copy.deepcopy(data))
    wrapper = wrapper_of(half, loss_scale='dynamic', dtype=dtype)
    assert train_step(half, wrapper, copy.deepcopy(data)) == pytest.approx(expected, rel=3e-2)
    changed = [
        not p.equal(q)
        for p, q in zip(half.student.parameters(), half.teacher.parameters(), strict=True)
        if p.requires_grad
    ]
    assert all(p.isfinite().all() for p in half.student.parameters())
    assert any(changed)


def test_a_compiled_step_has_the_same_loss():
    plain = build(TINY, 64).cuda()
    compiled = copy.deepcopy(plain)
    compiled.student.compile_blocks = compiled.teacher.compile_blocks = True
    losses = []
    for model in (plain, compiled):
        wrapper = wrapper_of(model)
        sizes = (3, 5, 4)
        losses.append([train_step(model, wrapper, batch(64, 32, crops=n)) for n in sizes])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def windows_batch():
    """The batch whose crops and images the device cuts."""
    data = batch(64, 32, crops=4, images=2)
    corners = [(0, 0, 50, 40), (3, 4, 20, 9), (7, 7, 8, 8), (10, 20, 50, 40)]
    data['inputs'] = dict(
        image=[torch.zeros(3, 40, 50, dtype=torch.uint8)] * 2,
        image_window=[torch.from_numpy(window_rows(corners[:1], 64))] * 2,
        crop_windows=[torch.from_numpy(window_rows(corners, 32))] * 2,
    )
    for sample in data['data_samples']:
        sample.set_metainfo(dict(img_shape=(51, 64), crop_size=32))
    return data


@pytest.mark.parametrize('windows', [False, True])
def test_a_step_does_not_synchronise(windows):
    """Torch itself raises where the host would wait for the device."""
    model = build(TINY, 64).cuda()
    model.data_preprocessor._non_blocking = True
    data = pin_memory(windows_batch() if windows else batch(64, 32, crops=4, images=2))
    for mode in ('default', 'error'):  # the first step fills caches
        torch.cuda.set_sync_debug_mode(mode)
        try:
            losses = model(**model.data_preprocessor(data, True), mode='loss')
            sum(losses.values()).backward()
        finally:
            torch.cuda.set_sync_debug_mode('default')


def test_hooks_of_a_step_do_not_synchronise():
    hub = MessageHub.get_instance('hooks of a step')
    hooks = [DelayedRuntimeInfoHook(), FiniteLossHook(), InterruptHook()]
    runner = SimpleNamespace(
        message_hub=hub,
        iter=0,
        epoch=0,
        hooks=hooks,
        train_loop=None,
        train_dataloader=range(9),
        optim_wrapper=None,
    )
    outputs = [dict(loss=torch.full((), float(step), device='cuda')) for step in range(4)]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        for step, losses in enumerate(outputs):
            for hook in hooks:
                hook.after_train_iter(runner, step, None, losses)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert hub.get_scalar('train/loss').data[0].tolist() == [0.0, 1.0, 2.0]
    bad = dict(loss=torch.full((), torch.inf, device='cuda'))
    hooks[1].after_train_iter(runner, 4, None, bad)
    hooks[0].after_train_iter(runner, 8, None, bad)  # the last of an epoch
    assert hub.get_scalar('train/loss').data[0].tolist() == [0.0, 1.0, 2.0, 3.0, torch.inf]
    with pytest.raises(FloatingPointError, match='loss is inf'):
        hooks[1].after_train_iter(runner, 5, None, outputs[0])


@pytest.mark.parametrize('precision', [False, True])
def test_windows_cut_on_cuda_are_those_of_the_processor(precision):
    image = torch.randint(256, (3, 97, 143), dtype=torch.uint8)
    corners = [(0, 0, 143, 97), (3, 5, 30, 61), (7, 7, 8, 8), (10, 20, 74, 52)]
    windows = torch.from_numpy(window_rows(corners, 64))
    here = resize_windows(image, windows, 64, 64, centred=True)
    with torch.autocast('cuda', torch.float16, enabled=precision):
        there = resize_windows(image.cuda(), windows.cuda(), 64, 64, centred=True).cpu()
    apart = (here - there).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 1e-3


@pytest.mark.parametrize('name', ['EVA02-B-16', 'ViT-B-16'])
@pytest.mark.parametrize('checkpointing', [False, True])
def test_memory_and_time_against_the_planner(name, checkpointing):
    """The planner must not promise less memory than is needed; its figures are printed (-s)."""
    side, crop_side, unlocked = RECIPES[name]
    job = Job(SHAPES[name], side, crop_side, 13, 1, unlocked, checkpointing)
    promised = memory_bytes(job)
    if torch.cuda.mem_get_info()[0] < 1.2 * promised:
        pytest.skip(f'needs {1.2 * promised / GIB:.0f} GiB of free memory')
    model = build(name, side, checkpointing).cuda()
    wrapper = wrapper_of(model, loss_scale='dynamic')
    data = batch(side, crop_side, crops=13)
    for _ in range(3):
        train_step(model, wrapper, copy.deepcopy(data))
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(5):
        train_step(model, wrapper, copy.deepcopy(data))
    end.record()
    torch.cuda.synchronize()
    seconds = start.elapsed_time(end) / 5000
    used = torch.cuda.max_memory_allocated()
    print(
        f'\n{name}: {used / GIB:.2f} GiB allocated, planner {promised / GIB:.2f} with its reserve'
    )
    print(f'{name}: {seconds:.3f} s a step on {torch.cuda.get_device_name()}')
    for gpu in (key for key in GPUS if key in torch.cuda.get_device_name()):
        computed = plan(job, GPUS[gpu], 1, utilisation=1.0).step_seconds
        print(f'{name}: utilisation {computed / seconds:.2f}, the planner assumes {UTILISATION}')
        assert computed < seconds, 'faster than the peak rate: the counts are wrong'
    assert used < promised
    assert used > promised / 3


@pytest.mark.parametrize('channels_last', [False, True])
def test_fvit_takes_a_step_with_the_ops_of_mmcv(tmp_path, channels_last):
    from mmcv.ops import nms, roi_align

    from tests.detection.tiny_fvit import build_fvit, images, samples

    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 7], [20, 20, 30, 30]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert nms(boxes.cuda(), scores.cuda(), 0.5)[1].tolist() == [0, 2]
    maps, rois = torch.randn(1, 4, 16, 16), torch.tensor([[0.0, 2, 3, 11, 12]])
    found = []
    for device in ('cpu', 'cuda'):
        leaf = maps.to(device).requires_grad_()
        pooled = roi_align(leaf, rois.to(device), (7, 7), 1.0, 2, 'avg', True)
        pooled.square().sum().backward()
        found.append((pooled.detach().cpu(), leaf.grad.cpu()))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    changes = {'model.channels_last': channels_last}
    model = build_fvit(write_micro_clip(tmp_path / 'clip'), **changes).cuda().train()
    pixels = images().cuda()
    instances = [sample.to('cuda') for sample in samples()]
    with torch.autocast('cuda', torch.float16):
        losses, _ = model.parse_losses(model(pixels, instances, mode='loss'))
    losses.backward()
    assert losses.isfinite()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two GPUs')
@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_two_gpus_train_as_one(shapes, micro_clip, tmp_path, amp):
    """Batch 2 on two GPUs over nccl is batch 4 on one.

    In mixed precision the first loss scale overflows: all must skip that step.
    """
    overrides = options(shapes, micro_clip, *EPOCHS, 'optim_wrapper.prefer_fused=True')
    one = [*overrides, 'train_dataloader.batch_size=4']
    first = os.environ.get('CUDA_VISIBLE_DEVICES', '0').split(',')[0]
    command = train_command(tmp_path / 'one', one, *amp, config=PATCHES)
    call(['env', f'CUDA_VISIBLE_DEVICES={first}', *command], tmp_path)
    script = ROOT / 'tools/dist_train.sh'
    command = ['env', f'PORT={free_port()}', 'bash', script, PATCHES, 2]
    command += ['--work-dir', tmp_path / 'two', *amp, '--cfg-options', *overrides]
    call(command, tmp_path)
    expected, found = last_weights(tmp_path / 'one'), last_weights(tmp_path / 'two')
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key].cpu(), value.cpu(), rtol=1e-2, atol=1e-4)


def test_all_types_are_registered():
    """The self-check uses what is installed: the package's types are found without a prefix."""
    assert {'CLIPSelf', 'FViTBackbone', 'RegionPreprocessor'} <= MODELS.module_dict.keys()
