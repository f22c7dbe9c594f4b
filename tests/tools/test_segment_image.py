"""tools/segment_image.py on a scene of Shapes-OV."""

import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip('mmseg')

from tests.tools.test_train import load_tool

CONFIG = Path(__file__).parents[2] / 'configs/shapes/zero-shot_tiny_shapes-ov.py'


def test_draws_the_classes_of_the_prompt(shapes, tmp_path, monkeypatch, micro_clip, capsys):
    image = min((shapes / 'val').iterdir())
    drawn = {}
    for name, words in {
        'prompt': ['--texts', 'red star. grass'],
        'config': [],
        'tower': ['--tower', micro_clip, '--texts', 'red star. grass'],
    }.items():
        out = tmp_path / f'new/{name}.png'
        arguments = ['x', str(image), str(CONFIG), *words, '--out', str(out), '--device', 'cpu']
        monkeypatch.setattr(sys, 'argv', arguments)
        load_tool('segment_image').main()
        assert str(out) in capsys.readouterr().out
        drawn[name] = Image.open(out)
        assert drawn[name].width > 128
        assert drawn[name].height >= 128
    assert drawn['prompt'].height == 128  # two names fit beside it
    assert drawn['prompt'].tobytes() != drawn['tower'].tobytes()
    assert drawn['config'].size != drawn['prompt'].size
