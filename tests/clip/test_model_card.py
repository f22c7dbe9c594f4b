"""Cards of exported towers: the hub reads their head, their code runs, hands' work stays."""

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from clipself_mm.clip.export.conversion import convert_tower
from clipself_mm.clip.export.model_card import base_weights, is_untouched
from clipself_mm.clip.weights.tower_source import TowerSource

TINY = 'pkg:clipself_mm.shapes/tiny_clip'


def run_code(card):
    """What the python block of a card defines."""
    scope = {}
    exec(re.search(r'```python\n(.*?)```', card.text, re.DOTALL)[1], scope)
    return scope


def test_card_of_a_tower(elsewhere):
    convert_tower(TINY, Path('tower'), 'open_clip')
    card = ModelCard.load('tower/README.md')
    head = card.data.to_dict()
    assert head['license'] == 'apache-2.0'
    assert head['library_name'] == 'open_clip'
    assert head['pipeline_tag'] == 'zero-shot-image-classification'
    assert {'clip', 'clipself'} <= {*head['tags']}
    assert 'No measurement of these weights' in card.text
    made = run_code(card)
    assert made['clip'].visual.image_size == (64, 64)
    image = Image.new('RGB', (64, 64))
    assert made['tower'].dense_map(image, size=64).shape == (128, 8, 8)


def test_card_of_a_folder_of_transformers(elsewhere, micro_clip):
    transformers = pytest.importorskip('transformers')
    convert_tower(micro_clip, Path('theirs'), 'hugging_face')
    card = ModelCard.load('theirs/README.md')
    assert card.data.library_name == 'transformers'
    assert isinstance(run_code(card)['model'], transformers.CLIPModel)


def test_a_card_that_was_edited_stays(elsewhere):
    path = Path('tower/README.md')
    convert_tower(TINY, Path('tower'), 'open_clip')
    first = path.read_text()
    assert is_untouched(first)
    convert_tower(TINY, Path('tower'), 'open_clip')
    assert path.read_text() == first
    path.write_text(first.replace('image tower', 'my image tower'))
    with pytest.warns(UserWarning, match=r'tower/README.md: is edited by hand and stays'):
        convert_tower(TINY, Path('tower'), 'open_clip')
    assert 'my image tower' in path.read_text()
    assert Path('tower/README.new.md').read_text() == first


def test_a_tower_of_a_tower_keeps_the_licence(elsewhere):
    convert_tower(TINY, Path('one'), 'open_clip')
    convert_tower('one', Path('other'), 'open_clip')
    assert ModelCard.load('other/README.md').data.license == 'apache-2.0'


@pytest.mark.parametrize(
    ('model', 'tag', 'licence', 'told'),
    [
        ('EVA02-B-16', 'merged2b_s8b_b131k', 'mit', 'huggingface.co/QuanSun/EVA-CLIP'),
        ('EVA02-L-14-336', None, 'unknown', ''),
        ('ViT-B-16-SigLIP', None, 'unknown', ''),
        ('ViT-B-16-quickgelu', 'openai', 'mit', 'github.com/openai/CLIP'),
        ('ViT-B-16-SigLIP', 'webli', 'apache-2.0', 'SigLIP'),
        ('ViT-B-16', 'laion2b_s34b_b88k', 'unknown', 'huggingface.co/'),
        ('ViT-B-16', None, 'unknown', ''),
    ],
)
def test_licences_are_told_not_guessed(model, tag, licence, told):
    found = base_weights(TowerSource(model, {}, checkpoint='/home/me/file.pt', tag=tag))
    assert found.licence == licence
    assert (told in found.source) if told else found.source == ''
    assert '/home' not in found.name
    assert tag is None or found.repository.count('/') == 1


def test_released_file_of_eva_clip_is_known_by_its_name():
    file = '/home/me/EVA02_CLIP_L_336_psz14_s6B.pt'
    found = base_weights(TowerSource('EVA02-L-14-336', {}, checkpoint=file))
    assert (found.licence, found.repository) == ('mit', 'QuanSun/EVA-CLIP')
