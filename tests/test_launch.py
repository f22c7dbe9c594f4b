"""What the tools do to a config before they build anything of it."""

import argparse
import os
import signal
import sys
import time

import pytest
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from clipself_mm.launch import (
    DATALOADERS,
    WORKER_OPTIONS,
    drop_worker_options,
    end_with_parent,
    read_config,
    replace_tower,
)
from tests.commands import ROOT


@pytest.mark.parametrize('place', ['model', 'backbone'])
def test_tower_is_replaced(place):
    holder = dict(type='Holder', tower=dict(type='CLIPTower', model='ViT-B-16', checkpoint='a'))
    model = holder if place == 'model' else dict(type='Detector', backbone=holder)
    config = Config(dict(model=model))
    tower = config.model.tower if place == 'model' else config.model.backbone.tower
    replace_tower(config, 'weights.pt')
    assert tower == dict(type='CLIPTower', model='ViT-B-16', checkpoint='weights.pt')
    replace_tower(config, 'local-dir:folder')
    assert tower == dict(type='CLIPTower', model='local-dir:folder', checkpoint=None)


def test_model_without_tower_raises():
    with pytest.raises(KeyError, match=r'--tower.*ResNet'):
        replace_tower(Config(dict(model=dict(type='ResNet'))), 'weights.pt')


def test_score_option_without_scores_raises(tmp_path, run_tool):
    (tmp_path / 'c.py').write_text("model = dict(type='TextMask2Former', test_cfg=dict())")
    with pytest.raises(SystemExit, match=r'--score.*TextMask2Former'):
        run_tool('panoptic_image', 'x.jpg', tmp_path / 'c.py', '--score', 'clip')


@pytest.mark.skipif(sys.platform != 'linux', reason='prctl is a call of Linux')
def test_ranks_end_when_their_launcher_is_killed():
    reader, writer = os.pipe()
    launcher = os.fork()
    if launcher == 0:
        if os.fork() == 0:
            end_with_parent()
            os.write(writer, b'ready')
            time.sleep(60)
            os._exit(0)
        time.sleep(60)
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 5) == b'ready'
    os.kill(launcher, signal.SIGKILL)
    os.waitpid(launcher, 0)
    started = time.monotonic()
    assert os.read(reader, 1) == b''  # the last holder of the other end is gone
    assert time.monotonic() - started < 10
    os.close(reader)


FAMILIES = [
    'clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py',
    'clipself/clipself_eva02-b16_patches-shards_8xb2-44k_images.py',
    'region_text/region-text_eva02-b16_1xb2-44k_coco.py',
    'region_eval/region-eval_eva02-b16_coco-panoptic.py',
    'fvit/own_data_template.py',
    'fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py',
    'rpn/rpn_r50-fpn_8xb2-1x_ov-coco.py',
    'transfer/fvit_eva02-l14-336_ov-lvis-to-coco.py',
    'segmentation/cat-seg_openai-b16_4xb1-80k_coco-stuff.py',
    'segmentation/zero-shot_eva02-b16_ade20k-150.py',
    'panoptic/panoptic-fusion_mask2former-r50_openai-l14-336_coco.py',
]


@pytest.mark.parametrize('name', FAMILIES)
def test_no_workers_need_no_further_option(name, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')  # or read_config sets it
    args = argparse.Namespace(
        config=ROOT / 'configs' / name, work_dir=None, launcher='none', local_rank=0
    )
    args.cfg_options = {}
    built = 0
    for key in DATALOADERS:
        if read_config(args).get(key) is None:
            continue
        args.cfg_options = {f'{key}.num_workers': 0}
        loader = read_config(args)[key]
        options = {k: v for k, v in loader.items() if k in WORKER_OPTIONS}
        DataLoader(range(4), num_workers=loader.num_workers, **options)
        built += 1
    assert built


def test_what_torch_refuses_without_workers_is_dropped():
    refused = dict(
        persistent_workers=True, prefetch_factor=4, timeout=5, multiprocessing_context='fork'
    )
    for key, value in refused.items():
        with pytest.raises((ValueError, AssertionError)):
            next(iter(DataLoader(range(4), num_workers=0, **{key: value})))
    config = Config(
        {key: dict(num_workers=number, **refused) for number, key in enumerate(DATALOADERS)}
    )
    drop_worker_options(config)
    first, *others = (dict(config[key]) for key in DATALOADERS)
    assert list(DataLoader(range(4), **first)) == [0, 1, 2, 3]
    assert [set(refused) <= set(other) for other in others] == [True, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU has use for pinned memory')
def test_memory_is_not_pinned_without_a_device(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    path = ROOT / 'configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py'
    assert Config.fromfile(path).train_dataloader.pin_memory
    args = argparse.Namespace(
        config=path, work_dir=None, launcher='none', local_rank=0, cfg_options={}
    )
    assert 'pin_memory' not in read_config(args).train_dataloader
