"""A detector as a folder for the hub: nothing else is needed, and its card's code runs."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard

from clipself_mm import OpenVocabDetector
from tests.detection.tiny_fvit import tiny_config, write_detector
from tests.factories import write_micro_clip


@pytest.fixture
def trained(elsewhere):
    """A (random) detector as mmengine leaves it: config in the checkpoint, logs beside it."""
    clip = write_micro_clip(Path('micro').resolve())
    write_detector(Path(), clip)
    content = torch.load('checkpoint.pth', weights_only=False)
    content['meta'] |= dict(cfg=tiny_config(clip).pretty_text, epoch=3, iter=450)
    torch.save(content, 'epoch_3.pth')
    log = Path('20300101_000000/vis_data/scalars.json')
    log.parent.mkdir(parents=True)
    lines = [{'lr': 1e-4, 'loss': 2.0, 'step': 3}]
    no_boxes = {'coco/novel_ap_l': -1.0, 'time': 0.1}
    lines += [{'coco/novel_ap50': 12.34 + step, **no_boxes, 'step': step} for step in (1, 2, 3)]
    log.write_text('\n'.join(map(json.dumps, lines)))


def run_code(card):
    scope = {}
    exec(re.search(r'```python\n(.*?)```', card.text, re.DOTALL)[1], scope)
    return scope


def test_a_folder_has_all_it_needs(trained, run_tool):
    own = OpenVocabDetector('config.py', 'checkpoint.pth', 'cpu')
    texts = 'red star. pink elephant'
    (expected,) = own('image.png', texts=texts, score_thr=0.0)
    run_tool('export_detector', 'epoch_3.pth', 'out/fvit')
    for path in ('micro', 'config.py', 'checkpoint.pth', 'epoch_3.pth'):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    shutil.move('out/fvit', 'fvit')
    card = ModelCard.load('fvit/README.md')
    (found,) = run_code(card)['detector']('image.png', texts=texts, score_thr=0.0)
    assert len(found) == len(expected) > 10
    assert found.names == expected.names
    assert np.allclose(found.boxes, expected.boxes, atol=1e-3)
    assert card.data.to_dict()['pipeline_tag'] == 'zero-shot-object-detection'
    assert card.data.license == 'unknown'
    assert '| coco/novel_ap50 | 15.34 |' in card.text
    assert 'novel_ap_l' not in card.text
    assert '11.' not in card.text.split('## Measured')[1]
    assert str(Path().resolve()) not in card.text


def test_a_file_has_a_card_beside_it(trained, run_tool):
    Path('README.md').write_text('mine')
    run_tool('export_detector', 'epoch_3.pth', 'fvit.safetensors')
    assert Path('README.md').read_text() == 'mine'
    assert ModelCard.load('fvit.md').data.library_name == 'clipself_mm'
    Path('fvit.md').write_text('mine')
    with pytest.warns(UserWarning, match='fvit.md: is edited by hand and stays'):
        run_tool('export_detector', 'epoch_3.pth', 'fvit.safetensors')
    assert Path('fvit.md').read_text() == 'mine'


def test_a_foreign_folder_is_not_replaced(trained, run_tool):
    Path('photos').mkdir()
    Path('photos/mine.jpg').touch()
    with pytest.raises(SystemExit, match=r'photos: would be replaced.*mine\.jpg'):
        run_tool('export_detector', 'epoch_3.pth', 'photos')
    with pytest.raises(SystemExit, match=r'checkpoint\.pth: has no config'):
        run_tool('export_detector', 'checkpoint.pth', 'out')
    run_tool('export_detector', 'checkpoint.pth', 'out', '--config', 'config.py')
    assert 'No measurement' in Path('out/README.md').read_text()
