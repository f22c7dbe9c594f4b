"""From an image file to drawn detections: mmdet's inferencer, new class names, colours, flips."""

import json
import pickle
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

from clipself_mm.datasets import ImageReadError, load_vocabulary
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR
from clipself_mm.detection.open_vocab_inferencer import OpenVocabInferencer
from clipself_mm.visualization import draw_detections
from tests.detection.tiny_fvit import NAMES, write_detector

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


@pytest.fixture(scope='module')
def detect(trained):
    """An inferencer without a progress bar."""
    return OpenVocabInferencer(
        str(trained / 'config.py'), str(trained / 'checkpoint.pth'), 'cpu', show_progress=False
    )


@pytest.fixture
def photos(trained, tmp_path):
    """A folder of two sizes, of equal names in sub-folders, and with a file that is no picture."""
    rgb = np.asarray(Image.open(trained / 'image.png'))
    for name in ('a/1.JPG', 'b/1.jpg', 'b/1.png'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb[:60] if name.startswith('b') else rgb).save(path)
    (tmp_path / 'photos/a/._1.JPG').write_bytes(b'attributes')
    return tmp_path / 'photos'


def boxes_of(found):
    return np.concatenate([np.array(item['bboxes']).ravel() for item in found['predictions']])


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_kinds_of_inputs_give_equal_predictions(trained, detect):
    path = trained / 'image.png'
    rgb = np.asarray(Image.open(path))
    expected = boxes_of(detect(str(path)))
    assert len(expected) > 20
    kinds = [path, rgb[..., ::-1], Image.open(path), torch.tensor(rgb).permute(2, 0, 1)]
    for kind in kinds:
        assert np.array_equal(boxes_of(detect(kind)), expected)
    assert not np.array_equal(boxes_of(detect(rgb)), expected)  # arrays are BGR


@pytest.mark.parametrize('floats', [False, True])
def test_pipeline_with_the_reader_of_training(trained, detect, floats):
    config = Config.fromfile(trained / 'config.py')
    config.test_dataloader.dataset.pipeline[0] = dict(type='LoadBGR', to_float32=floats)
    own = OpenVocabInferencer(config, str(trained / 'checkpoint.pth'), 'cpu', show_progress=False)
    bgr = np.asarray(Image.open(trained / 'image.png'))[..., ::-1].copy()
    expected, found = (given.pipeline(dict(img=bgr))['inputs'] for given in (detect, own))
    assert found.dtype == (torch.float32 if floats else torch.uint8)
    assert (found.float() - expected).abs().max() < 1  # cv2 rounds uint8
    assert len(own(trained / 'image.png')['predictions'][0]['bboxes']) > 0


def test_mixed_list_in_batches_of_two_sizes(trained, detect, tmp_path):
    path = trained / 'image.png'
    bgr = np.asarray(Image.open(path))[..., ::-1]
    given = [str(path), bgr[:50], path]
    found = detect(given, batch_size=2, out_dir=tmp_path, no_save_pred=False, return_vis=True)
    assert [item['img_path'] for item in found['predictions']] == [str(path), None, str(path)]
    assert [figure.shape for figure in found['visualization']] == [
        (90, 120, 3),
        (50, 120, 3),
        (90, 120, 3),
    ]
    written = ['0.json', 'image.json', 'image_2.json']
    assert files(tmp_path / 'preds') == written
    assert files(tmp_path / 'vis') == ['0.jpg', 'image.png', 'image_2.png']
    alone = detect(bgr[:50])['predictions'][0]
    heights = np.array(json.loads((tmp_path / 'preds/0.json').read_text())['bboxes'])[:, 3]
    assert heights.max() <= 50
    assert len(alone['bboxes']) > 0
    assert detect(given)['visualization'] == []


def test_figures_have_the_colours_of_the_image(detect, tmp_path):
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 2] = 255  # BGR
    found = detect([red], return_vis=True, out_dir=tmp_path, pred_score_thr=2.0)
    assert found['visualization'][0][20, 20].tolist() == [255, 0, 0]
    with Image.open(tmp_path / 'vis/0.jpg') as drawn:
        assert drawn.convert('RGB').getpixel((20, 20))[0] > 250


def test_folder_keeps_its_tree_and_is_read_batch_by_batch(detect, photos, monkeypatch):
    read, most = [], 0
    load = OpenVocabInferencer._load
    monkeypatch.setattr(
        OpenVocabInferencer, '_load', lambda self, given: (read.append(1), load(self, given))[1]
    )
    forward = OpenVocabInferencer.forward

    def count(self, *given, **more):
        nonlocal most
        most = max(most, len(read))
        read.clear()
        return forward(self, *given, **more)

    monkeypatch.setattr(OpenVocabInferencer, 'forward', count)
    out = photos / 'found'
    for _ in range(2):  # the second call does not read the figures of the first
        found = detect(photos, batch_size=2, out_dir=out, no_save_pred=False)
        paths = [str(photos / name) for name in ('a/1.JPG', 'b/1.jpg', 'b/1.png')]
        assert [item['img_path'] for item in found['predictions']] == paths
    assert most == 2
    assert files(out / 'vis') == ['a/1.JPG', 'b/1.jpg', 'b/1_2.png']
    assert files(out / 'preds') == ['a/1.json', 'b/1.json', 'b/1_2.json']
    for name, item in zip(('a/1', 'b/1', 'b/1_2'), found['predictions'], strict=True):
        assert json.loads((out / f'preds/{name}.json').read_text()) == item


def test_equal_stems_of_several_calls(detect, photos, tmp_path):
    for name in ('a/1.JPG', 'b/1.jpg', 'a/1.JPG'):
        detect(photos / name, out_dir=tmp_path / 'one', no_save_pred=False, no_save_vis=True)
        detect(photos / name, out_dir=tmp_path / name, no_save_pred=False, no_save_vis=True)
        assert files(tmp_path / name) == ['preds/1.json']
    assert files(tmp_path / 'one') == ['preds/1.json', 'preds/1_2.json']


def test_texts_of_each_image_and_call(trained, detect):
    path = str(trained / 'image.png')
    names = detect.model.classes
    texts = ['red star', 'blue ring. red star', ['St. Bernard']]
    found = detect([path] * 3, texts=texts, batch_size=3, return_datasamples=True)['predictions']
    for sample, own in zip(
        found, (['red star'], ['blue ring', 'red star'], ['St. Bernard']), strict=True
    ):
        labels = sample.pred_instances.labels.tolist()
        assert sample.pred_instances.label_names == [own[label] for label in labels]
        assert set(sample.pred_instances.label_names) == set(own)
        assert sample.img_path == path
    assert detect.model.classes == names
    assert set(detect(path)['predictions'][0]['label_names']) <= set(names)
    with pytest.raises(
        ValueError, match=r"one text per image, got 2 for 1; .*'red star. blue ring'"
    ):
        detect(path, texts=['red star', 'blue ring'])


def test_what_is_no_image_raises(detect, tmp_path):
    with pytest.raises(ValueError, match='at least one image'):
        detect([])
    with pytest.raises(ValueError, match=str(tmp_path)):
        detect(tmp_path)
    with pytest.raises(ValueError, match='input 1: expected uint8'):
        detect([np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3))])
    (tmp_path / 'cut.png').write_bytes(b'\x89PNG')
    with pytest.raises(ImageReadError, match=r'cut\.png'):
        detect(tmp_path)


PLAIN = {
    'gray': (np.zeros((40, 50), np.uint8), r'\(3, H, W\).*\(1, '),
    'one channel': (np.zeros((40, 50, 1), np.uint8), r'\(3, H, W\).*\(1, '),
    'alpha': (np.zeros((40, 50, 4), np.uint8), r'\(3, H, W\).*\(4, '),
    'floats': (np.full((40, 50, 3), 0.5, np.float32), r'0-255.*maximum of 0\.5'),
}


@pytest.mark.parametrize('kind', PLAIN)
def test_inferencer_of_mmdet_raises_too(trained, kind):
    plain = DetInferencer(
        str(trained / 'config.py'), str(trained / 'checkpoint.pth'), 'cpu', show_progress=False
    )
    array, message = PLAIN[kind]
    with pytest.raises(ValueError, match=message):
        plain(array)


def test_image_demo_writes_for_each_image_of_a_folder(trained, photos, run_tool, elsewhere, capsys):
    run_tool(
        'image_demo',
        photos,
        trained / 'config.py',
        trained / 'checkpoint.pth',
        *('--texts', ', '.join(NAMES), '--out-dir', 'out', '--device', 'cpu', '--score-thr', 0.0),
    )
    said = capsys.readouterr().out
    assert f'{photos}: 3 images' in said
    assert 'Figures and predictions of 3 images: out' in said
    assert files(Path('out')) == [
        *('preds/a/1.json', 'preds/b/1.json', 'preds/b/1_2.json'),
        *('vis/a/1.JPG', 'vis/b/1.jpg', 'vis/b/1_2.png'),
    ]
    with Image.open('out/vis/a/1.JPG') as drawn:
        assert drawn.size == (120, 90)
    found = json.loads(Path('out/preds/a/1.json').read_text())
    assert found['img_path'] == str(photos / 'a/1.JPG')
    assert found['label_names'] == [NAMES[label] for label in found['labels']]


@pytest.mark.parametrize('given', ['empty', 'absent.jpg', 'film.mp4', 'cut.png', 'thin.png'])
def test_image_demo_ends_with_one_sentence(trained, run_tool, elsewhere, given):
    Path('empty').mkdir()
    Path('film.mp4').write_bytes(b'x')
    Path('cut.png').write_bytes((trained / 'image.png').read_bytes()[:500])
    Image.new('RGB', (3000, 1)).save('thin.png')
    with pytest.raises(SystemExit, match=f'^error: {given}: [^\n]+$'):
        run_tool('image_demo', given, trained / 'config.py', trained / 'checkpoint.pth')


def test_image_demo_names_a_wrong_output_folder_and_threshold(trained, run_tool, elsewhere, capsys):
    Path('file').touch()
    words = (trained / 'image.png', trained / 'config.py', trained / 'checkpoint.pth')
    with pytest.raises(SystemExit, match=r'^error: .*Not a directory'):
        run_tool('image_demo', *words, '--out-dir', 'file')
    for score in ('nan', '30', 'much'):
        with pytest.raises(SystemExit, match='2'):
            run_tool('image_demo', *words, '--score-thr', score)
        assert f'--score-thr: expected 0 to 1, got {score}' in capsys.readouterr().err


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


def test_labels_have_one_size_and_stay_in_the_image():
    """Boxes of all sizes, at every edge and on each other: no label covers another."""
    boxes = [[0, 0, 30, 30], [2, 1, 250, 190], [240, 100, 256, 120], [100, 188, 140, 192]]
    boxes += [[90, 60, 130, 90], [92, 62, 128, 92], [0, 150, 256, 192]]
    visualizer = VISUALIZERS.build(dict(type='OpenVocabVisualizer', name='labels'))
    visualizer.dataset_meta = dict(classes=('a',), base_classes=('a',), palette=[BASE_COLOUR])
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32),
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        scores=torch.linspace(0.9, 0.3, len(boxes)),
    )
    found.label_names = ['purple hourglass'] * len(boxes)
    pixels = np.zeros((192, 256, 3), np.uint8)
    visualizer._draw_instances(pixels, found, ('a',), [BASE_COLOUR])
    texts = visualizer.ax_save.texts
    assert len(texts) == len(boxes)
    assert len({text.get_fontsize() for text in texts}) == 1
    renderer = visualizer.fig_save_canvas.get_renderer()
    places = [text.get_window_extent(renderer) for text in texts]
    width, height = visualizer.fig_save_canvas.get_width_height()
    for number, place in enumerate(places):
        assert 9 <= place.height <= 20
        assert -0.5 <= place.x0 < place.x1 <= width + 0.5
        assert -0.5 <= place.y0 < place.y1 <= height + 0.5
        for other in places[:number]:
            assert not place.overlaps(other)
    visualizer.draw_texts('as given', np.array([10, 10]), font_sizes=31)
    assert visualizer.ax_save.texts[-1].get_fontsize() == 31


def test_panel_draws_what_reaches_the_threshold_of_its_class(trained):
    """Where only novel classes have a threshold that is reached, all boxes are red."""
    config, checkpoint = Config.fromfile(trained / 'config.py'), str(trained / 'checkpoint.pth')
    never = dict.fromkeys(WORDS.classes, 1.01)
    thresholds = never | dict.fromkeys(WORDS.novel, 0.0)
    panel = draw_detections(config, checkpoint, [trained / 'image.png'], thresholds)
    assert {BASE_COLOUR, NOVEL_COLOUR} & colours(np.asarray(panel)) == {NOVEL_COLOUR}


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
