"""What the page answers, without a browser: boxes, figures, files, sentences."""

import ast
import json
import socket
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from clipself_mm import OpenVocabDetector, load_tower
from clipself_mm.datasets.input_images import InputImage
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR
from clipself_mm.shapes import NOVEL_CLASSES
from clipself_mm.web.answers import PageModels, answer_dense, answer_detection, say
from clipself_mm.web.dense import draw_groups, draw_heat_map, tower_of
from clipself_mm.web.detection import nms_iou, nms_overlap, read_words
from clipself_mm.web.drawing import draw_boxes, fit
from clipself_mm.web.images import SAMPLES, PageImage, read_upload, sample_images
from clipself_mm.web.serve import find_port, launch
from clipself_mm.web.session import SHOWN_SIDE, Session
from tests.commands import ROOT
from tests.web.scenes import assert_found, boxes_of_rows, iou, truth
from tests.web.uploads import WRONG


@pytest.fixture(scope='module')
def models():
    detector = OpenVocabDetector(device='cpu')
    original = load_tower('pkg:clipself_mm.shapes/tiny_clip', device='cpu')
    return PageModels(detector, {'original': original, 'refined': tower_of(detector)}, 'tiny')


@pytest.fixture(scope='module')
def samples():
    return sample_images()


def ask(models, session, folder, words, weight=0.5, score_thr=0.3, overlap=0.4):
    return answer_detection(models, session, folder, words, weight, score_thr, overlap)


@pytest.mark.parametrize('number', range(len(SAMPLES)))
def test_words_of_a_sample_find_its_objects(models, samples, tmp_path, number):
    answer = ask(models, Session(samples[number]), tmp_path, samples[number].words)
    expected = truth(SAMPLES[number])
    assert_found(answer.rows, expected)
    for name, kind, *_ in answer.rows:
        assert kind == ('novel' if name in NOVEL_CLASSES else 'base')
    assert {row[1] for row in answer.rows} == {'base', 'novel'}
    assert answer.said.text.startswith(f'{len(expected)} objects found')


def test_json_is_a_coco_data_set(models, samples, tmp_path):
    answer = ask(models, Session(samples[0]), tmp_path, samples[0].words)
    coco = COCO(answer.file)
    assert [image['file_name'] for image in coco.dataset['images']] == ['scene_96.png']
    rows = []
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=1)):
        name = coco.cats[annotation['category_id']]['name']
        assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]
        rows.append([name, '', annotation['score'], *annotation['bbox']])
    assert_found(rows, truth(SAMPLES[0]))
    assert COCO(answer.file).loadRes(json.loads(json.dumps(coco.dataset['annotations'])))


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('a <b>&"1%#?.png', 'a_b_1__coco.json'),
        ('\u56fe' * 83 + '.png', '\u56fe' * 50 + '_coco.json'),
    ],
)
def test_json_can_be_downloaded_whatever_the_name_of_the_image(
    models, samples, tmp_path, name, file
):
    """Gradio's link to a file breaks at quotes and at '#'; 83 such letters have 249 bytes."""
    answer = ask(models, Session(PageImage(name, samples[0].rgb)), tmp_path, 'red bolt')
    assert Path(answer.file).name == file
    assert json.loads(Path(answer.file).read_text())['images'][0]['file_name'] == name


def test_figure_has_blue_and_red_boxes(models, samples, tmp_path):
    answer = ask(models, Session(samples[0]), tmp_path, samples[0].words)
    scale = answer.figure.shape[0] / 256
    for name, box in boxes_of_rows(answer.rows).items():
        colour = NOVEL_COLOUR if name in NOVEL_CLASSES else BASE_COLOUR
        middle, right = round(scale * (box[1] + box[3]) / 2), round(scale * box[2])
        edge = answer.figure[middle - 40 : middle + 40, right - 6 : right + 7].reshape(-1, 3)
        assert (edge == colour).all(1).sum() > 80, name


@pytest.mark.parametrize('words', ['', ' . , ;', '\n', '""'])
def test_no_words_give_a_sentence_and_the_image_without_boxes(models, samples, tmp_path, words):
    answer = ask(models, Session(samples[0]), tmp_path, words)
    assert answer.said.wrong
    assert 'red star, blue ring' in answer.said.text
    assert (answer.rows, answer.file) == ((), None)
    assert np.array_equal(answer.figure, fit(samples[0].rgb, 800))


@pytest.mark.parametrize(
    ('words', 'part'),
    [
        (', '.join(f'thing {n}' for n in range(201)), '201 names are too many'),
        ('red star, ' + 'x' * 101, 'has 101 characters'),
        ('red ' * 10_000, '40000 characters are too many'),
    ],
)
def test_too_many_or_too_long_words_give_a_sentence(words, part):
    with pytest.raises(ValueError, match=part) as error:
        read_words(words)
    assert len(str(error.value)) < 200


def test_names_are_drawn_as_they_are(models, samples, tmp_path):
    """Also those that other software takes for formulas or markup."""
    answer = ask(models, Session(samples[0]), tmp_path, '$\\foo$, <b>x</b>, 红', score_thr=0.01)
    assert not answer.said.wrong
    assert {row[0] for row in answer.rows} <= {'$\\foo$', '<b>x</b>', '红'}


def test_a_trained_class_in_upper_case_is_that_class(models, samples, tmp_path):
    session = Session(samples[0])
    small, large = (ask(models, session, tmp_path, w) for w in ('red bolt', 'Red bolt, RED BOLT'))
    assert large.rows == small.rows
    assert small.rows[0][:2] == ['red bolt', 'base']


def test_no_object_gives_a_sentence(models, samples, tmp_path):
    answer = ask(models, Session(samples[0]), tmp_path, 'red circle', score_thr=0.99)
    assert answer.said.text.startswith('Nothing found with a score of 0.99')
    assert COCO(answer.file).getAnnIds() == []


def test_overlap_of_a_call_is_that_of_the_call_only(models, samples, tmp_path):
    session, before = Session(samples[0]), nms_iou(models.detector)
    few, many = (ask(models, session, tmp_path, 'purple cross', 0.5, 0.01, t) for t in (0.1, 0.9))
    assert len(many.rows) > len(few.rows)
    assert nms_iou(models.detector) == before
    with pytest.raises(KeyError), nms_overlap(models.detector, 0.9):
        raise KeyError
    assert nms_iou(models.detector) == before


def boxed(session, box, name):
    """The session after two clicks on corners of a box in pixels of the image."""
    scale = SHOWN_SIDE / max(session.image.rgb.shape[:2])
    x0, y0, x1, y1 = (scale * side for side in box)
    return session.click(x1, y0, name).click(x0, y1, name)


def test_boxed_object_is_found_by_its_example(models, samples, tmp_path):
    """Alone, under a name that says nothing; in another image as well."""
    session = boxed(Session(samples[0]), truth(SAMPLES[0])['red bolt'], ' object   17 ')
    for number in (0, 1):
        answer = ask(models, session.choose(samples[number]), tmp_path, '')
        assert {row[0] for row in answer.rows} == {'object 17'}
        x, y, width, height = answer.rows[0][3:]
        expected = truth(SAMPLES[number])['red bolt']
        assert iou((x, y, x + width, y + height), expected) > 0.5


def test_examples_and_words_together(models, samples, tmp_path):
    session = boxed(Session(samples[0]), truth(SAMPLES[0])['yellow crown'], 'mine')
    answer = ask(models, session, tmp_path, 'red bolt')
    assert {row[0] for row in answer.rows} == {'mine', 'red bolt'}


def test_two_clicks_are_a_box_in_pixels_of_the_image():
    wide = PageImage('wide.png', np.zeros((300, 1600, 3), np.uint8))
    session = boxed(Session(wide), (200, 30, 1000, 210), 'a')
    (example,) = session.examples
    assert example.box == (200, 30, 1000, 210)
    assert session.corner is None
    drawn = session.shown()
    assert drawn.shape == (150, 800, 3)
    assert drawn[15:106, 100].any(1).all()
    assert not session.choose(PageImage('b.png', wide.rgb)).shown().any()
    assert Session(wide).click(40, 50, 'a').shown()[50, 40].any()


@pytest.mark.parametrize(
    ('clicks', 'name', 'part'),
    [
        ([(10, 10), (12, 300)], 'a', 'too small'),
        ([(10, 10), (200, 300)], ' ', 'name'),
        ([(10, 10), (200, 300)], 'x' * 101, 'name'),
        ([(10, 10), (200, 300)] * 21, 'a', '20 examples'),
    ],
)
def test_boxes_that_are_none_give_a_sentence(samples, clicks, name, part):
    session = Session(samples[0])
    for x, y in clicks[:-1]:
        session = session.click(x, y, name)
    with pytest.raises(ValueError, match=part):
        session.click(*clicks[-1], name)


@pytest.mark.parametrize('name', WRONG)
def test_wrong_files_give_a_sentence(tmp_path, monkeypatch, name):
    content, part = WRONG[name]
    (tmp_path / name).write_bytes(content)
    if 'megapixels' in part:
        monkeypatch.setattr(InputImage, 'read_rgb', None)  # nothing is decoded
    with pytest.raises(ValueError, match=part) as error:
        read_upload(tmp_path / name)
    text = str(error.value)
    assert text.startswith(name)
    assert str(tmp_path) not in text
    assert len(text.splitlines()) == 1


def test_a_file_above_the_limit_is_not_read(tmp_path):
    with (tmp_path / 'large.png').open('wb') as file:
        file.truncate(21 * 2**20)
    with pytest.raises(ValueError, match=r'large.png has 21 MB: .* at most 20 MB'):
        read_upload(tmp_path / 'large.png')


def test_uploads_are_seen_upright(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(pixels).save(tmp_path / 'phone.png', exif=exif)
    image = read_upload(tmp_path / 'phone.png')
    assert image.rgb.shape == (60, 40, 3)
    assert (image.rgb[:29].max(), image.rgb[31:].min()) == (0, 255)


def test_labels_of_equal_boxes_do_not_cover_each_other():
    image = Image.new('RGB', (800, 600))
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
    draw_boxes(image, [(200, 200, 500, 400)] * 4, ['label'] * 4, colours)
    drawn = np.asarray(image)
    areas = [(drawn == colour).all(2).sum() for colour in colours]
    assert min(areas) > 0.6 * sorted(areas)[1] > 500


def test_heat_of_a_word_is_in_its_object(models, samples):
    """With the refined tower; the original one's is elsewhere."""
    x0, y0, x1, y1 = (2 * side for side in truth(SAMPLES[0])['yellow crown'])
    inside = {}
    for title, tower in models.towers.items():
        heat = draw_heat_map(tower, samples[0], 'yellow crown', 128)
        assert heat.figure.shape == (512, 512, 3)
        assert -1 <= heat.low < heat.high <= 1
        red = heat.figure[..., 0].astype(int) + heat.figure[..., 1]
        y, x = np.unravel_index(red.argmax(), red.shape)
        inside[title] = x0 <= x < x1 and y0 <= y < y1
    assert inside == {'original': False, 'refined': True}


def test_groups_have_a_colour_each(models, samples):
    drawn = draw_groups(models.towers['refined'], samples[0], 5, 128)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 5


def test_dense_features_without_a_word_are_groups_and_a_sentence(models, samples):
    for word, part in (('', 'Type what'), ('red star, blue ring', '2 names')):
        answer = answer_dense(models, Session(samples[0]), word, 4, 64)
        assert answer.said.wrong
        assert part in answer.said.text
        assert (len(answer.heat_maps), len(answer.groups)) == (0, 2)


def test_an_unexpected_error_is_a_sentence_and_goes_to_the_log(caplog):
    said = say(RuntimeError('CUDA out of memory'))
    assert said.wrong
    assert 'CUDA' not in said.text
    assert 'CUDA out of memory' in caplog.text


def test_a_taken_port_gives_the_next_free_one():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < find_port('127.0.0.1', port) < port + 100


@pytest.mark.parametrize(
    ('host', 'port', 'part'),
    [
        ('192.0.2.1', 7860, 'host 192.0.2.1, port 7860: '),
        ('no-such-host.invalid', 7860, 'host no-such-host.invalid'),
        ('127.0.0.1', 70_000, 'port 70000: expected 1 to 65535'),
    ],
)
def test_no_such_host_or_port_is_one_sentence(host, port, part):
    with pytest.raises((OSError, ValueError), match=part):
        find_port(host, port)


def test_missing_gradio_is_one_sentence(models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    for key in ('GRADIO_TEMP_DIR', 'GRADIO_ANALYTICS_ENABLED', 'no_proxy'):
        monkeypatch.setenv(key, '')
    with pytest.raises(ImportError, match=r"pip install 'clipself_mm\[web\]'"):
        launch(models, '127.0.0.1', 7860, str(tmp_path))


@pytest.mark.parametrize(
    ('words', 'part'),
    [
        (['no-such-model'], 'no-such-model'),
        (['fvit_eva02-b16_8xb8-3e_ov-coco'], 'weights'),
        (['--port', '0'], 'expected 1 to 65535'),
    ],
)
def test_tool_ends_with_one_sentence(run_tool, words, part):
    with pytest.raises(SystemExit, match=part) as error:
        run_tool('web', *words)
    assert str(error.value).startswith('error: ')
    assert len(str(error.value).splitlines()) == 1


def test_page_of_a_detector_without_an_original_tower(models, tmp_path):
    """Its own tower stands alone."""
    gradio = pytest.importorskip('gradio')
    from clipself_mm.web.page import build_page

    alone = PageModels(models.detector, {'refined': models.towers['refined']}, 'tiny')
    for given, figures in ((models, 4), (alone, 2)):
        page = build_page(given, str(tmp_path))
        shown = [part for part in page.blocks.values() if isinstance(part, gradio.Image)]
        assert len(shown) == 2 + figures


def test_gradio_is_imported_when_the_page_is_launched():
    """Two modules import it, and only `launch` imports them."""
    importers = defaultdict(set)
    for path in (ROOT / 'clipself_mm').rglob('*.py'):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = getattr(node, 'module', None) or ''
                for name in (module, *(alias.name for alias in node.names)):
                    importers[name.split('.')[-1]].add(path.relative_to(ROOT / 'clipself_mm'))
    assert importers['gradio'] == {Path('web/page.py'), Path('web/parts.py')}
    assert importers['parts'] == {Path('web/page.py')}
    assert importers['page'] == set()
