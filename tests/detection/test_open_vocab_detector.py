"""`OpenVocabDetector`: every kind of input, names of the call, results in other forms."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from clipself_mm import OpenVocabDetector
from clipself_mm.datasets import ImageReadError
from clipself_mm.detection import ImageDetections
from clipself_mm.detection.image_detections import of_sample
from clipself_mm.detection.open_vocab_inferencer import OpenVocabInferencer
from tests.detection.tiny_fvit import CONFIG, write_detector


@pytest.fixture(scope='module')
def trained(micro_clip, tmp_path_factory):
    """Files of a (random) detector: config.py, checkpoint.pth, image.png (120 x 90)."""
    folder = tmp_path_factory.mktemp('detector')
    write_detector(folder, micro_clip)
    return folder


@pytest.fixture(scope='module')
def detector(trained):
    return OpenVocabDetector(trained / 'config.py', trained / 'checkpoint.pth', 'cpu')


def test_results_are_those_of_the_inferencer(trained, detector):
    path = trained / 'image.png'
    files = (str(trained / 'config.py'), str(trained / 'checkpoint.pth'))
    own = OpenVocabInferencer(*files, 'cpu', show_progress=False)
    (expected,) = own(path, texts='red star. pink elephant')['predictions']
    (found,) = detector(path, texts='red star. pink elephant', score_thr=0.0)
    assert len(found) == len(expected['scores']) > 10
    assert found.names == expected['label_names']
    assert np.array_equal(found.boxes, np.array(expected['bboxes'], np.float32))
    assert np.array_equal(found.scores, np.array(expected['scores'], np.float32))
    assert (found.path, found.file_name, found.size) == (str(path), 'image.png', (120, 90))
    assert (found.boxes.dtype, found.labels.dtype) == (np.float32, np.int64)
    assert found.masks is None


def test_kinds_and_sizes_of_inputs_in_batches(trained, detector, tmp_path):
    path = trained / 'image.png'
    rgb = np.asarray(Image.open(path))
    (tmp_path / 'b').mkdir()
    Image.fromarray(rgb).save(tmp_path / 'b/2.png')
    tensor = torch.tensor(rgb).permute(2, 0, 1)
    given = [path, rgb[:50, ::-1, ::-1], Image.open(path), tensor, rgb[..., ::-1], tmp_path]
    found = detector(given, score_thr=0.0, batch_size=1)
    assert [item.size for item in found] == [(120, 90), (120, 50), *[(120, 90)] * 4]
    assert [item.file_name for item in found] == ['image.png', '', '', '', '', 'b/2.png']
    for item in (*found[2:], detector(str(path), score_thr=0.0)[0]):
        assert np.array_equal(item.boxes, found[0].boxes)
    batched = detector(given, score_thr=0.0, batch_size=4)
    for one, other in zip(found, batched, strict=True):
        assert one.size == other.size
        assert len(other) > 10
        assert (other.boxes[:, 2:] <= np.array(other.size)).all()
    alone, padded = found[0], batched[0]  # the same square as in a batch of its own size
    assert np.allclose(alone.scores[:5], padded.scores[:5], atol=1e-4)


def test_threshold_and_names_of_one_call_do_not_stay(trained, detector):
    path = trained / 'image.png'
    before = detector(path, score_thr=0.0)[0]
    middle = float(np.median(before.scores))
    kept = detector(path, score_thr=middle)[0]
    assert np.array_equal(kept.scores, before.scores[before.scores >= np.float32(middle)])
    assert 0 < len(kept) < len(before)
    names = ['red star', 'a St. Bernard']
    (found,) = detector(path, texts=names, score_thr=0.0)
    assert found.classes == tuple(names)  # a list is names, its points do not separate
    assert {*found.names} <= {*names}
    assert np.array_equal(detector(path, score_thr=0.0)[0].labels, before.labels)
    (none,) = detector(path, score_thr=1.0)
    assert (len(none), none.boxes.shape, none.to_coco()) == (0, (0, 4), [])


def test_texts_of_a_list_are_for_all_images(trained, detector):
    path = trained / 'image.png'
    found = detector([path, path], texts=['red star', 'blue ring'], score_thr=0.0)
    assert {name for item in found for name in item.names} == {'red star', 'blue ring'}


def test_bad_inputs_are_named(trained, detector, tmp_path):
    with pytest.raises(ImageReadError, match=r'gone\.png'):
        detector('gone.png')
    with pytest.raises(ValueError, match='class names'):
        detector(trained / 'image.png', texts=' . ')
    with pytest.raises(ValueError, match=r"no model 'fvit_tiny_ship'.*fvit_tiny_shipped_shapes-ov"):
        OpenVocabDetector('fvit_tiny_ship')
    with pytest.raises(ValueError, match='fvit_eva02-b16_8xb8-3e_ov-coco: no weights'):
        OpenVocabDetector('fvit_eva02-b16_8xb8-3e_ov-coco')
    with pytest.raises(ValueError, match=r'config\.py: no weights'):
        OpenVocabDetector(trained / 'config.py')
    with pytest.raises(ValueError, match='the config: no weights'):
        OpenVocabDetector(Config.fromfile(CONFIG))
    with pytest.raises(ValueError, match="device 'nowhere' cannot be used"):
        OpenVocabDetector(trained / 'config.py', trained / 'checkpoint.pth', 'nowhere')
    with pytest.raises(TypeError, match='expected the config of an FViT, its model is a CLIPSelf'):
        OpenVocabDetector('configs/shapes/clipself_tiny_patches_shapes-ov.py', 'gone.pth')
    for wrong in (float('nan'), -0.1, 30):
        with pytest.raises(ValueError, match=f'score_thr: expected 0 to 1, got {wrong}'):
            detector(trained / 'image.png', score_thr=wrong)
    for wrong in ([1, 2], b'star', [None]):
        with pytest.raises(TypeError, match='expected class names'):
            detector(trained / 'image.png', texts=wrong)
    with pytest.raises(ImageReadError, match='cannot be resized'):
        detector(np.zeros((1, 3000, 3), np.uint8))


def detections(**changes):
    """Two objects in an image of 20 x 10 pixels, without masks."""
    given = dict(
        path='/data/a/1.jpg',
        file_name='a/1.jpg',
        size=(20, 10),
        classes=('ring', 'star'),
        labels=np.array([1, 0]),
        boxes=np.array([[2, 3, 8, 9], [0, 0, 4, 5]], np.float32),
        scores=np.array([0.75, 0.5], np.float32),
        segmentations=None,
    )
    return ImageDetections(**given | changes)


def test_coco_entries_are_scored_by_pycocotools(tmp_path):
    """Ground truth is written by hand; perfect boxes give an AP of 1."""
    entries = detections().to_coco(7, {'star': 40, 'ring': 20})
    assert [entry['category_id'] for entry in entries] == [40, 20]
    assert entries[0]['bbox'] == [2, 3, 6, 6]
    assert (entries[0]['score'], entries[0]['category_name']) == (0.75, 'star')
    truth = {
        'images': [{'id': 7, 'file_name': 'a/1.jpg', 'width': 20, 'height': 10}],
        'categories': [{'id': 20, 'name': 'ring'}, {'id': 40, 'name': 'star'}],
        'annotations': [
            dict(id=1, image_id=7, category_id=40, bbox=[2, 3, 6, 6], area=36, iscrowd=0),
            dict(id=2, image_id=7, category_id=20, bbox=[0, 0, 4, 5], area=20, iscrowd=0),
        ],
    }
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    coco = COCO(str(tmp_path / 'truth.json'))
    scored = COCOeval(coco, coco.loadRes(json.loads(json.dumps(entries))), 'bbox')
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    assert scored.stats[0] == pytest.approx(1.0)


def test_coco_ids_by_default_and_their_errors():
    entries = detections().to_coco()
    assert [(entry['image_id'], entry['category_id']) for entry in entries] == [
        ('a/1.jpg', 2),
        ('a/1.jpg', 1),
    ]
    with pytest.raises(ValueError, match='give image_id'):
        detections(file_name='').to_coco()
    with pytest.raises(ValueError, match=r"no id of \['star'\]"):
        detections().to_coco(1, {'ring': 1})


def test_masks():
    """They have the image's size, and the entries hold them as RLE."""
    masks = torch.zeros(2, 10, 20, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    masks[1, :, 19] = True
    sample = DetDataSample(
        metainfo=dict(img_path=None, output_name='', ori_shape=(10, 20)),
        pred_instances=InstanceData(
            bboxes=torch.tensor([[19.0, 0, 20, 10], [3, 2, 9, 5]]).flip(0),
            scores=torch.tensor([0.4, 0.9]),
            labels=torch.tensor([0, 1]),
            masks=masks,
        ),
    )
    found = of_sample(sample, ('ring', 'star'), score_thr=0.3)
    assert found.names == ['star', 'ring']  # by score
    assert np.array_equal(found.masks, masks.flip(0).numpy())
    assert found.boxes[0].tolist() == [19, 0, 20, 10]
    entry = json.loads(json.dumps(found.to_coco(1)))[0]
    assert entry['segmentation']['size'] == [10, 20]
    none = of_sample(sample, ('ring', 'star'), score_thr=0.95)
    assert none.masks.shape == (0, 10, 20)


def test_supervision_gets_arrays_and_names(monkeypatch):
    """With supervision itself where it is installed, else with a class that has its arguments."""
    try:
        import supervision
    except ImportError:
        supervision = types.ModuleType('supervision')
        supervision.Detections = lambda **given: types.SimpleNamespace(**given)
        monkeypatch.setitem(sys.modules, 'supervision', supervision)
    found = detections().to_supervision()
    assert np.array_equal(found.xyxy, [[2, 3, 8, 9], [0, 0, 4, 5]])
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id.tolist() == [1, 0]
    assert found.data['class_name'].tolist() == ['star', 'ring']
    assert found.mask is None


def test_without_supervision_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match=r'clipself_mm\[supervision\]'):
        detections().to_supervision()


def scores_of(name, found):
    chosen = np.array(found.names) == name
    return found.scores[chosen], found.boxes[chosen]


def test_negatives_compete_but_are_not_reported(trained, detector):
    """The class has the scores that it has when all names are asked for."""
    path = trained / 'image.png'
    names = ['moon', 'red star', 'blue ring', 'sun']
    (together,) = detector(path, texts=names, score_thr=0.0)
    (alone,) = detector(path, texts='red star', score_thr=0.0, negatives=names)
    assert {*alone.names} == {'red star'} == {*alone.classes}
    scores, boxes = scores_of('red star', together)
    assert np.allclose(alone.scores, scores, atol=1e-6)
    assert np.allclose(alone.boxes, boxes, atol=1e-4)
    (without,) = detector(path, texts='red star', score_thr=0.0, negatives=[])
    assert without.scores[0] > alone.scores[0] + 0.01
    assert detector.model.negatives == ()  # of one call


@pytest.mark.parametrize('given', ['none', 'blue ring'])
def test_image_demo_takes_negatives(given, trained, detector, run_tool, elsewhere):
    files = (trained / 'image.png', trained / 'config.py', trained / 'checkpoint.pth')
    run_tool('image_demo', *files, '--texts', 'red star', '--negatives', given, '--device', 'cpu')
    saved = json.loads(Path('work_dirs/image_demo/preds/image.json').read_text())
    negatives = [] if given == 'none' else [given]
    (found,) = detector(files[0], 'red star', score_thr=0.0, negatives=negatives)
    assert np.allclose(saved['scores'], found.scores, atol=1e-6)


def test_default_negatives_are_base_classes_beside_names_of_the_vocabulary(trained, detector):
    path, base = trained / 'image.png', detector.model.dataset_meta['base_classes']
    (found,) = detector(path, texts='red star', score_thr=0.0)
    (same,) = detector(path, texts='red star', score_thr=0.0, negatives=base)
    assert np.array_equal(found.scores, same.scores)
    for name in ('star', 'red star. puppy'):  # a base class may be a kind of it
        (found,) = detector(path, texts=name, score_thr=0.0)
        (none,) = detector(path, texts=name, score_thr=0.0, negatives=[])
        assert np.array_equal(found.scores, none.scores)
    (all_classes,) = detector(path, score_thr=0.0)
    (same,) = detector(path, score_thr=0.0, negatives=[])
    assert np.array_equal(all_classes.scores, same.scores)


def test_case_of_a_name_changes_nothing(trained, detector):
    """CLIP's text is in lower case; so base classes are known in upper case too."""
    path, texts = trained / 'image.png', 'red star. blue ring'
    (found,) = detector(path, texts=texts, score_thr=0.0)
    (upper,) = detector(path, texts='Red star. BLUE RING', score_thr=0.0)
    assert upper.classes == ('Red star', 'BLUE RING')
    assert len(found) > 0
    assert np.allclose(upper.scores, found.scores, atol=1e-6)
