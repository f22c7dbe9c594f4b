"""From an image file to drawn detections: mmdet's inferencer, new class names, colours, flips."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from PIL import Image

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR
from clipself_mm.detection.open_vocab_inferencer import OpenVocabInferencer
from clipself_mm.visualization import draw_detections
from tests.commands import call
from tests.detection.tiny_fvit import NAMES, write_detector

ROOT = Path(__file__).parents[2]
WORDS = load_vocabulary('shapes_ov')


@pytest.fixture(scope='module')
def trained(micro_clip, tmp_path_factory):
    """Files of a (random) detector: config, checkpoint with the classes in it, an image."""
    folder = tmp_path_factory.mktemp('detector')
    write_detector(folder, micro_clip)
    return folder


def test_inferencer_takes_texts(trained):
    inferencer = DetInferencer(
        str(trained / 'config.py'),
        str(trained / 'checkpoint.pth'),
        device='cpu',
        show_progress=False,
    )
    image = str(trained / 'image.png')
    plain = inferencer(image, no_save_vis=True, return_datasamples=True)['predictions'][0]
    asked = inferencer(
        image, texts='red star. pink elephant', no_save_vis=True, return_datasamples=True
    )['predictions'][0]
    assert set(asked.pred_instances.label_names) <= {'red star', 'pink elephant'}
    assert max(plain.pred_instances.labels.tolist()) > 1
    assert not torch.equal(plain.pred_instances.scores[:5], asked.pred_instances.scores[:5])


def test_predictions_and_saved_json_have_the_names_of_the_call(trained, tmp_path):
    inferencer = OpenVocabInferencer(
        str(trained / 'config.py'), str(trained / 'checkpoint.pth'), 'cpu', show_progress=False
    )
    image = str(trained / 'image.png')
    config_names = inferencer.model.classes
    calls = {'red star': ['red star'], 'blue ring. red star': ['blue ring', 'red star'], None: None}
    for number, (texts, names) in enumerate(calls.items()):
        out = tmp_path / str(number)
        given = dict(no_save_vis=True, no_save_pred=False, out_dir=str(out), pred_score_thr=0.0)
        (found,) = inferencer(image, texts=texts, **given)['predictions']
        saved = json.loads((out / 'preds/image.json').read_text())
        assert saved == json.loads(json.dumps(found))
        assert len(found['labels']) == len(found['scores']) == len(found['bboxes']) > 0
        classes = names or config_names
        assert found['label_names'] == [classes[label] for label in found['labels']]
    pixels = np.asarray(Image.open(image))
    given = dict(no_save_vis=True, no_save_pred=False, out_dir=str(tmp_path / 'arrays'))
    inferencer([pixels, pixels], **given)
    assert {path.name for path in (tmp_path / 'arrays/preds').iterdir()} == {'0.json', '1.json'}


@pytest.mark.slow
def test_image_demo_draws_and_writes_predictions(trained, tmp_path):
    files = [trained / name for name in ('image.png', 'config.py', 'checkpoint.pth')]
    words = ['--texts', ', '.join(NAMES), '--out-dir', tmp_path, '--device', 'cpu']
    words += ['--score-thr', '0.0']
    call([sys.executable, ROOT / 'tools/image_demo.py', *files, *words], tmp_path)
    (picture,) = (tmp_path / 'vis').iterdir()
    assert Image.open(picture).size == (120, 90)
    (written,) = (tmp_path / 'preds').iterdir()
    found = json.loads(written.read_text())
    assert found['label_names'] == [NAMES[label] for label in found['labels']]


def colours(canvas):
    return {tuple(pixel) for pixel in canvas.reshape(-1, 3).tolist()}


@pytest.mark.parametrize('named', [False, True])
def test_novel_is_red_and_base_is_blue(named):
    visualizer = VISUALIZERS.build(
        dict(type='OpenVocabVisualizer', alpha=1.0, name=f'colours-{named}')
    )
    visualizer.dataset_meta = dict(
        classes=('a', 'b'), base_classes=('a',), palette=[BASE_COLOUR, NOVEL_COLOUR]
    )
    for label, expected, other in ((0, BASE_COLOUR, NOVEL_COLOUR), (1, NOVEL_COLOUR, BASE_COLOUR)):
        found = InstanceData(
            bboxes=torch.tensor([[5.0, 5.0, 50.0, 50.0]]),
            labels=torch.tensor([label]),
            scores=torch.ones(1),
        )
        if named:  # new classes: their order says nothing, their names do
            found.labels = 1 - found.labels
            found.label_names = ['ab'[label]]
        canvas = visualizer._draw_instances(
            np.full((60, 60, 3), 255, np.uint8), found, ('a', 'b'), [BASE_COLOUR, NOVEL_COLOUR]
        )
        assert expected in colours(canvas)
        assert other not in colours(canvas)


def test_panel(trained):
    config = Config.fromfile(trained / 'config.py')
    panel = draw_detections(
        config,
        str(trained / 'checkpoint.pth'),
        [trained / 'image.png'] * 2,
        score_thr=0.0,
        side=200,
    )
    assert panel.size == (400, 150)
    assert {BASE_COLOUR, NOVEL_COLOUR} & colours(np.asarray(panel))


@pytest.mark.slow
def test_flip_at_test_time_merges_both_views(trained, tmp_path):
    """TTA on the mirrored image gives mirrored boxes."""
    boxes = {}
    image = np.asarray(Image.open(trained / 'image.png'))
    for name, pixels in (('plain', image), ('mirrored', image[:, ::-1])):
        folder = tmp_path / name
        (folder / 'annotations').mkdir(parents=True)
        (folder / 'val').mkdir()
        Image.fromarray(pixels).save(folder / 'val/1.png')
        content = dict(
            images=[dict(id=1, file_name='1.png', width=120, height=90)],
            annotations=[],
            categories=[dict(id=i, name=n) for i, n in enumerate(WORDS.classes)],
        )
        (folder / 'annotations/instances_val.json').write_text(json.dumps(content))
        config = Config.fromfile(trained / 'config.py')
        config.model = dict(**config.tta_model, module=config.model)
        config.test_dataloader.dataset.update(data_root=f'{folder}/', pipeline=config.tta_pipeline)
        config.test_dataloader.batch_size = 1
        config.test_evaluator = dict(type='DumpDetResults', out_file_path=str(folder / 'found.pkl'))
        for key in list(config):
            if key.startswith(('train', 'val')) or key in ('optim_wrapper', 'param_scheduler'):
                config.pop(key)
        config.work_dir = str(folder / 'work')
        config.load_from = str(trained / 'checkpoint.pth')
        Runner.from_cfg(config).test()
        found = pickle.loads((folder / 'found.pkl').read_bytes())[0]['pred_instances']
        boxes[name] = found
    plain, mirrored = boxes['plain'], boxes['mirrored']
    torch.testing.assert_close(plain['scores'][:5], mirrored['scores'][:5], rtol=1e-3, atol=1e-4)
    turned = mirrored['bboxes'][:5].clone()
    turned[:, [0, 2]] = 120 - turned[:, [2, 0]]
    torch.testing.assert_close(plain['bboxes'][:5], turned, rtol=0, atol=0.5)
