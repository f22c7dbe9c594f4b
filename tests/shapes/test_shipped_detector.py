"""The detector that comes with the package: right boxes, the AP of its card, its tower."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou
from tqdm import tqdm

from clipself_mm import OpenVocabDetector, load_tower
from clipself_mm.model_index import find_model
from clipself_mm.shapes import NOVEL_CLASSES, ShapesOV, export_shapes_ov, render_scene
from clipself_mm.shapes.scene import mask_box

NAME = 'fvit_tiny_shipped_shapes-ov'
FOLDER = Path(__file__).parents[2] / 'clipself_mm/shapes/tiny_fvit'
FIRST = 5_000_000  # scenes of no split and of no training
README_SCENE = FIRST + 3


@pytest.fixture(scope='module')
def detector():
    return OpenVocabDetector(device='cpu')


@pytest.fixture(scope='module')
def scenes():
    return [render_scene(1, FIRST + number, ShapesOV().style) for number in range(12)]


def objects(scene):
    """Names and boxes of a scene's annotated objects."""
    names = [scene.objects[number].name for number in scene.annotated()]
    boxes = [mask_box(scene.visible_mask(number)) for number in scene.annotated()]
    return names, torch.tensor(boxes, dtype=torch.float32)


def share_found(detector, scenes, classes, score_thr):
    """Share of the objects of some classes that have a box of their name with an IoU over 0.5."""
    results = detector([Image.fromarray(s.image) for s in scenes], None, score_thr, batch_size=4)
    hits = []
    for scene, found in zip(scenes, results, strict=True):
        names, boxes = objects(scene)
        overlap = box_iou(boxes, torch.from_numpy(found.boxes))
        for row, name in zip(overlap, names, strict=True):
            if name in classes:
                hits.append(any(row[i] > 0.5 for i, n in enumerate(found.names) if n == name))
    return np.mean(hits), len(hits)


def test_objects_of_drawn_scenes_get_boxes_of_their_name(detector, scenes):
    base = set(detector.model.classes) - set(NOVEL_CLASSES)
    share, count = share_found(detector, scenes, base, 0.3)
    assert count > 30
    assert share > 0.55
    share, count = share_found(detector, scenes, set(NOVEL_CLASSES), 0.1)
    assert count > 8
    assert share > 0.6


def test_words_of_a_scene_find_its_objects(detector):
    """Each name once, each box where the object is: 6 of base classes and 2 of novel ones."""
    scene = render_scene(1, README_SCENE, ShapesOV().style)
    names, boxes = objects(scene)
    (found,) = detector(Image.fromarray(scene.image), '. '.join(names), negatives=[])
    assert sorted(found.names) == sorted(names)
    assert len(set(names) & set(NOVEL_CLASSES)) == 2
    for name, box in zip(found.names, torch.from_numpy(found.boxes), strict=True):
        assert box_iou(box[None], boxes[names.index(name)][None]).item() > 0.5


def count_right(detector, scenes, names, **options):
    """Detections at a score of 0.3, and the objects with a name that contains one of theirs."""
    images = [Image.fromarray(scene.image) for scene in scenes]
    count, right = 0, 0
    for scene, found in zip(
        scenes, detector(images, names, score_thr=0.3, batch_size=4, **options), strict=True
    ):
        truth, boxes = objects(scene)
        overlap = box_iou(boxes, torch.from_numpy(found.boxes)) > 0.5
        count += len(found)
        for row, name in zip(overlap, truth, strict=True):
            right += any(row[i] and n in name for i, n in enumerate(found.names))
    return count, right


def test_two_novel_classes_have_base_classes_as_negatives(detector, scenes):
    """Far fewer detections are of other objects, and most stars stay."""
    names = ['green star', 'blue star']
    count, right = count_right(detector, scenes, names)
    all_count, all_right = count_right(detector, scenes, names, negatives=[])
    assert count - right < 0.3 * (all_count - all_right)
    assert right >= 0.6 * all_right > 0


def test_a_name_that_comprises_base_classes_keeps_their_objects(detector, scenes):
    """'ring' is no class of the vocabulary; its base classes would take all rings."""
    base = detector.model.safe_negatives(['green star'])
    assert 'red ring' in base
    rings = [scene for scene in scenes if any('ring' in name for name in objects(scene)[0])]
    _, own = count_right(detector, rings, ['ring'])
    _, taken = count_right(detector, rings, ['ring'], negatives=base)
    assert own > 2
    assert taken < 0.5 * own


def test_refined_tower_knows_the_words_of_the_boxes():
    """The word of the highest heat in an object's box is its name; not so with the original."""
    scene = render_scene(1, README_SCENE, ShapesOV().style)
    names, boxes = objects(scene)
    right = {}
    for model in (None, 'pkg:clipself_mm.shapes/tiny_clip'):
        heat = load_tower(model, device='cpu').heat_maps(Image.fromarray(scene.image), names, 128)
        assert heat.shape == (len(names), 256, 256)
        means = [heat[:, y0:y1, x0:x1].mean((1, 2)) for x0, y0, x1, y1 in boxes.int().tolist()]
        right[model] = sum(int(mean.argmax()) == number for number, mean in enumerate(means))
    assert right[None] >= 6 > 3 >= right['pkg:clipself_mm.shapes/tiny_clip']


@pytest.mark.slow
def test_card_has_the_ap_that_is_measured(run_tool, elsewhere):
    """The command of the card, on the 240 scenes of Shapes-OV val."""
    export_shapes_ov(Path('data/shapes_ov'), ShapesOV(train=1), workers=2, progress=tqdm)
    run_tool('test', find_model(NAME).config, '--work-dir', 'run')
    (log,) = Path('run').glob('*/*.json')
    measured = json.loads(log.read_text())
    card = (FOLDER / 'README.md').read_text()
    (row,) = re.findall(r'^\| 240, .*\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$', card, re.MULTILINE)
    for split, expected in zip(('novel', 'base', 'all'), map(float, row), strict=True):
        assert 100 * measured[f'coco/{split}_ap50'] == pytest.approx(expected, abs=0.3), split


def test_file_is_small_and_of_safetensors():
    (weights,) = FOLDER.glob('*.safetensors')
    assert weights.stat().st_size <= 8e6
    assert {path.name for path in FOLDER.iterdir()} == {'README.md', weights.name}
