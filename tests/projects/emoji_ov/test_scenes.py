"""Scenes of Emoji-OV, what they draw, and their files."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from clipself_mm.datasets import load_vocabulary
from clipself_mm.shapes import SceneSplits, SceneStyle, export_scenes
from projects.emoji_ov import font as fonts
from projects.emoji_ov.classes import EMOJI, STUFF_CLASSES, THINGS
from projects.emoji_ov.scenes import emoji_ov, render_scene, turn
from projects.emoji_ov.textures import TEXTURES
from projects.tiny_clip.crops import CaptionedCrops
from projects.tiny_clip.model import build_tiny_clip
from projects.tiny_clip.zero_shot import zero_shot_accuracy

ROOT = Path(__file__).parents[3]
STYLE = SceneStyle(size=96, objects=(3, 5), side=(0.2, 0.5), max_cover=0.4)
needs_font = pytest.mark.skipif(
    not fonts.FONT.is_file(), reason=f'needs {fonts.FONT}: apt install {fonts.PACKAGE}'
)


def test_every_group_has_base_and_novel_classes():
    names = [name for group in EMOJI.values() for name in group]
    assert tuple(names) == THINGS.classes
    assert (len(THINGS.base), len(THINGS.novel), len(STUFF_CLASSES)) == (38, 10, 6)
    assert THINGS.novel == THINGS.classes[2::5]
    for group in EMOJI.values():
        assert set(group) & set(THINGS.novel)
        assert set(group) & set(THINGS.base)
    panoptic = load_vocabulary(ROOT / 'projects/emoji_ov/emoji_ov_panoptic.json')
    assert panoptic.classes == THINGS.classes + STUFF_CLASSES
    assert panoptic.things == THINGS.classes
    assert tuple(TEXTURES) == STUFF_CLASSES


def test_no_class_is_one_of_shapes_ov():
    assert not {*THINGS.classes, *STUFF_CLASSES} & {*load_vocabulary('shapes_ov_panoptic').classes}


def test_textures_differ():
    means = []
    for kind in STUFF_CLASSES:
        image = TEXTURES[kind](np.random.default_rng(0), 64)
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.float32
        assert -30 < image.min() < image.max() < 320
        assert image.std() > 2
        means.append(image.reshape(-1, 3).mean(axis=0))
    distances = np.linalg.norm(np.array(means)[:, None] - np.array(means)[None], axis=-1)
    assert (distances + 1e3 * np.eye(6)).min() > 20


def test_a_quarter_turn_at_half_the_size_by_hand():
    """A bar of 40 x 8 whose left half is red covers 80 px; counter-clockwise, red below."""
    bar = np.zeros((8, 40, 4), np.float32)
    bar[..., 3] = 1
    bar[:, :20, 0] = 1
    turned = turn(bar, 20, np.pi / 2)
    assert turned.shape[0] == 20
    assert turned[..., 3].sum() == pytest.approx(80, rel=0.02)
    np.testing.assert_allclose(turned[11:, :, 0], turned[11:, :, 3], atol=1e-5)
    np.testing.assert_allclose(turned[:9, :, 0], 0, atol=1e-5)
    assert turn(bar, 20, 0, aspect=0.5)[..., 3].sum() == pytest.approx(40, rel=0.02)


@needs_font
def test_every_class_draws_an_emoji_of_its_own():
    images = fonts.load_emoji(fonts.FONT)
    assert len(images) == len(THINGS.classes)
    for image in images:
        assert 60 < max(image.shape[:2]) <= 136
        assert (image[..., 3] >= 0.5).sum() > 1000
        assert (image[..., :3] <= image[..., 3:] + 1e-6).all()
        colours = image[image[..., 3] > 0.9][:, :3]
        assert len(np.unique(np.rint(8 * colours), axis=0)) > 4  # drawn in colours, with details
    assert len({image.tobytes() for image in images}) == len(images)


@needs_font
def test_a_scene_is_a_function_of_seed_and_index():
    one, again = render_scene(3, 17, STYLE), render_scene(3, 17, STYLE)
    assert one.image.tobytes() == again.image.tobytes()
    assert one.object_map.tobytes() == again.object_map.tobytes()
    assert one.stuff_map.tobytes() == again.stuff_map.tobytes()
    assert render_scene(3, 18, STYLE).image.tobytes() != one.image.tobytes()
    assert render_scene(4, 17, STYLE).image.tobytes() != one.image.tobytes()


def test_masks_are_what_is_drawn(monkeypatch):
    """Every emoji replaced by a plain square of its own colour: the mask is where that colour is.

    Edges, which cover pixels in part, are left out.
    """
    squares = []
    for label in range(len(THINGS.classes)):
        square = np.ones((100, 100, 4), np.float32)
        square[..., :3] = (1, 0, 1) if label % 2 else (0, 1, 0)
        squares.append(square)
    monkeypatch.setattr('projects.emoji_ov.scenes.load_emoji', lambda font: tuple(squares))
    monkeypatch.setattr(
        'projects.emoji_ov.scenes.TEXTURES',
        dict.fromkeys(STUFF_CLASSES, lambda rng, size: np.full((size, size, 3), 128, np.float32)),
    )
    hidden, right = 0, []
    for index in range(12):
        scene = render_scene(0, index, STYLE)
        pixels = scene.image.astype(int)
        purple = (pixels[..., 0] - pixels[..., 1] > 60) & (pixels[..., 2] - pixels[..., 1] > 60)
        green = (pixels[..., 1] - pixels[..., 0] > 60) & (pixels[..., 1] - pixels[..., 2] > 60)
        odd = np.zeros(purple.shape, bool)
        for number, item in enumerate(scene.objects):
            mask = scene.visible_mask(number)
            assert mask.sum() == item.visible_area <= item.full_area
            hidden += item.visible_area < item.full_area
            odd |= mask & (item.label % 2 == 1)
        even = (scene.object_map > 0) & ~odd
        inside = cv2.erode((scene.object_map > 0).astype(np.uint8), np.ones((3, 3))) > 0
        right += [(purple[odd & inside], green[even & inside], ~(purple | green)[~(odd | even)])]
    for pixels in zip(*right, strict=True):
        assert np.concatenate(pixels).mean() > 0.97
    assert hidden > 2


@needs_font
def test_objects_vary_in_angle_side_and_colours():
    """One class many times: both mirror images, and sides within the style's."""
    label = THINGS.classes.index('car')
    scenes = [render_scene(0, index, replace(STYLE, max_angle=0)) for index in range(60)]
    cars = [
        (scene, number)
        for scene in scenes
        for number, item in enumerate(scene.objects)
        if item.label == label and item.visible_area == item.full_area
    ]
    assert len(cars) >= 2
    sides = [
        np.ptp(np.argwhere(scene.visible_mask(number)), axis=0).max() + 1 for scene, number in cars
    ]
    assert min(sides) >= 0.2 * 96 * 0.85 - 2
    assert max(sides) <= 0.5 * 96 * 1.15 + 2
    assert len(set(sides)) > 1


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp('emoji') / 'set'
    assert export_scenes(out, SceneSplits(train=6, val=5, size=96, seed=2), emoji_ov())
    return out


@needs_font
def test_files_agree_with_each_other(root):
    folder = root / 'annotations'
    train = json.loads((folder / 'instances_train.json').read_text())
    every = json.loads((folder / 'instances_train_all.json').read_text())
    assert [item['name'] for item in train['categories']] == list(THINGS.classes)
    novel = {item['id'] for item in train['categories'] if item['name'] in THINGS.novel}
    assert not {item['category_id'] for item in train['annotations']} & novel
    assert {item['category_id'] for item in every['annotations']} & novel
    instances = COCO(folder / 'instances_val.json')
    panoptic = json.loads((folder / 'panoptic_val.json').read_text())
    names = {item['id']: item['name'] for item in panoptic['categories']}
    assert list(names.values()) == [*THINGS.classes, *STUFF_CLASSES]
    captions = json.loads((folder / 'captions_val.json').read_text())['annotations']
    full = {item['image_id']: item['caption'].lower() for item in captions[::2]}
    for record in panoptic['annotations']:
        rgb = np.asarray(Image.open(folder / 'panoptic_val' / record['file_name']), int)
        ids = rgb @ (1, 256, 65536)
        boxes = instances.imgToAnns[record['image_id']]
        things = [item for item in record['segments_info'] if item['category_id'] <= 48]
        for segment, item in zip(things, boxes, strict=True):
            mask = ids == segment['id']
            assert (instances.annToMask(item) == mask).all()
            assert item['area'] == mask.sum()
            rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            assert coco_mask.toBbox(rle).tolist() == item['bbox']
            assert f'a {names[item["category_id"]]}' in full[record['image_id']]
        stuff = record['segments_info'][len(things) :]
        assert {names[item['category_id']] for item in stuff} <= set(STUFF_CLASSES)
        assert any(names[item['category_id']] in full[record['image_id']] for item in stuff)
    lvis = json.loads((folder / 'lvis_val.json').read_text())['categories']
    assert {item['name'] for item in lvis if item['frequency'] == 'r'} == set(THINGS.novel)


@needs_font
def test_a_tiny_clip_has_crops_and_numbers_of_these_classes():
    scenes = emoji_ov()
    batch = CaptionedCrops(3, 3, seed=0, scene_set=scenes).batch(0, 24)
    for text, labels in zip(batch.captions, batch.labels, strict=True):
        assert all(scenes.classes[label] in text for label in labels)
    assert {label < 48 for labels in batch.labels for label in labels} == {True, False}
    from open_clip import SimpleTokenizer

    model = build_tiny_clip(0).eval()
    tokenizer = SimpleTokenizer(context_length=model.context_length)
    found = zero_shot_accuracy(model, tokenizer, 2, prompts=slice(1), scene_set=scenes)
    assert 0 <= found['top1'] <= found['top5'] <= 100


def run(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')


@needs_font
def test_make_emoji_ov_writes_once(monkeypatch, tmp_path, capsys):
    arguments = ['--out', tmp_path / 'set', '--train', 1, '--val', 1, '--size', 64]
    run(monkeypatch, 'make_emoji_ov.py', *arguments, '--workers', 1)
    assert 'written to' in capsys.readouterr().out
    manifest = json.loads((tmp_path / 'set/emoji_ov.json').read_text())
    assert manifest['name'] == 'Emoji-OV'
    assert manifest['source'].startswith('NotoColorEmoji.ttf sha256:')
    run(monkeypatch, 'make_emoji_ov.py', *arguments, '--workers', 1)
    assert 'already complete in' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('tool', 'options'), [('make_emoji_ov.py', []), ('train_tiny_clip.py', ['--data', 'emoji'])]
)
def test_missing_font_is_one_sentence(monkeypatch, tmp_path, tool, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r'none\.ttf.*fonts-noto-color-emoji.*--font') as stop:
        run(monkeypatch, tool, *options, '--font', tmp_path / 'none.ttf')
    assert '\n' not in str(stop.value)
    assert not any(tmp_path.iterdir())


def test_other_fonts_raise(tmp_path):
    import matplotlib

    plain = Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf'
    with pytest.raises(ValueError, match=r"DejaVuSans\.ttf draws nothing for class 'dog'"):
        fonts.load_emoji(plain)
    broken = tmp_path / 'broken.ttf'
    broken.write_text('no font')
    with pytest.raises(ValueError, match=r'broken\.ttf: expected colour bitmaps of 109 px'):
        fonts.load_emoji(broken)
