"""The factor a CLIP was trained with, from its checkpoint."""

from types import SimpleNamespace

import pytest
import torch

from clipself_mm.clip import build_tower, read_state
from clipself_mm.clip.weights.checkpoints import read_logit_scale


@pytest.mark.parametrize('model', ['micro', 'pkg:clipself_mm.shapes/tiny_clip'])
def test_logit_scale_of_a_checkpoint(micro_clip, model, tmp_path):
    source = build_tower(micro_clip if model == 'micro' else model).source
    state = read_state(source.checkpoint) | dict(logit_scale=torch.tensor(2.0).half())
    torch.save(state, tmp_path / 'clip.pt')
    given = SimpleNamespace(checkpoint=str(tmp_path / 'clip.pt'), config=source.config)
    assert read_logit_scale(given) == pytest.approx(7.3890561, rel=1e-7)


def test_logit_scale_of_random_weights_is_the_initial_value():
    assert read_logit_scale(build_tower('ViT-S-32').source) == pytest.approx(1 / 0.07)
    started_elsewhere = SimpleNamespace(checkpoint=None, config=dict(init_logit_scale=0.0))
    assert read_logit_scale(started_elsewhere) == 1


def test_image_tower_file_without_logit_scale_raises(micro_clip, tmp_path):
    source = build_tower(micro_clip).source
    state = read_state(source.checkpoint)
    visual = {key: value for key, value in state.items() if key.startswith('visual.')}
    torch.save(visual, tmp_path / 'visual.pt')
    alone = SimpleNamespace(checkpoint=str(tmp_path / 'visual.pt'), config=source.config)
    with pytest.raises(ValueError, match=r'visual\.pt.*logit_scale'):
        read_logit_scale(alone)
