"""`load_tower`: dense maps and heat maps of words, from every kind of image and of weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from clipself_mm import load_tower
from clipself_mm.clip import TextTower, build_tower
from clipself_mm.clip.prompts import expand_prompts
from tests.detection.tiny_fvit import write_detector


@pytest.fixture(scope='module')
def tower(micro_clip):
    return load_tower(micro_clip, device='cpu')


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (40, 80, 3), dtype=np.uint8))


def test_heat_maps_are_cosines_of_words_and_tokens(tower, micro_clip, image):
    words = ['red star', 'sand']
    maps = tower.similarity(image, words, size=64)
    assert maps.shape == (2, 4, 8)
    dense = tower.dense_map(image, size=64)
    assert dense.shape == (16, 4, 8)
    text = TextTower(micro_clip)
    for number, word in enumerate(words):
        prompts = text.encode_text(text.tokenizer(expand_prompts(word)))
        vector = F.normalize(F.normalize(prompts, dim=1).mean(0), dim=0)
        expected = F.cosine_similarity(vector[:, None, None], dense, dim=0)
        assert torch.allclose(maps[number], expected, atol=1e-5)
    assert torch.equal(tower.similarity(image, 'red star. sand', size=64), maps)


def test_heat_maps_have_the_size_of_the_image(tower, image):
    maps = tower.heat_maps(image, 'red star', size=64)
    assert maps.shape == (1, 40, 80)
    tokens = tower.similarity(image, 'red star', size=64)
    assert torch.allclose(maps[0, 4::10, 4::10], tokens[0], atol=0.1)  # half a pixel beside centres


def test_kinds_of_images_and_one_at_a_time(tower, image, tmp_path):
    image.save(tmp_path / '1.png')
    rgb = np.asarray(image)
    expected = tower.dense_map(image, size=64)
    tensor = torch.tensor(rgb).permute(2, 0, 1)
    for given in (tmp_path / '1.png', str(tmp_path), rgb[..., ::-1], tensor):
        assert torch.equal(tower.dense_map(given, size=64), expected)
    with pytest.raises(ValueError, match='expected one image, got 2'):
        tower.dense_map([image, image], size=64)


def test_a_folder_and_a_detector_with_the_text_of_its_clip(micro_clip, image, tmp_path):
    folder = micro_clip.removeprefix('local-dir:')
    write_detector(tmp_path, micro_clip)
    file = tmp_path / 'checkpoint.pth'
    state = torch.load(file, weights_only=False)
    state['state_dict']['backbone.tower.visual.proj'] *= -1
    torch.save(state, file)
    maps = load_tower(folder, device='cpu').similarity(image, 'red star', size=64)
    turned = load_tower(folder, file, device='cpu').similarity(image, 'red star', size=64)
    assert torch.allclose(turned, -maps, atol=1e-5)


def test_what_has_no_text_or_no_model_is_named(micro_clip, tmp_path):
    tower = build_tower('ViT-B-32')
    with torch.no_grad():
        torch.save(dict(state_dict=tower.state_dict()), tmp_path / 'visual.pt')
    with pytest.raises(ValueError, match=r'visual\.pt: has no text tower'):
        load_tower('ViT-B-32', tmp_path / 'visual.pt', device='cpu')
    with pytest.raises(ValueError, match=r'x\.pt: of which model'):
        load_tower(checkpoint='x.pt')
