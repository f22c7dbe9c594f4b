"""What the tools do to a config before they build anything of it."""

import os
import signal
import sys
import time

import pytest
from mmengine.config import Config

from clipself_mm.launch import end_with_parent, replace_tower


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
