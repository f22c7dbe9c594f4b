"""tools/tune_scores.py with the shipped detector on 9 scenes: one cache for all tests."""

import copy
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from PIL import Image

from clipself_mm.detection.open_vocab_detector import SHIPPED
from clipself_mm.evaluation.functional import threshold_for_precision
from clipself_mm.model_index import find_model
from clipself_mm.tuning import ProposalCache, Protocol, Tuning, choose_settings
from clipself_mm.tuning.asked_alone import ask_alone
from tests.commands import load_tool, metrics_of

CONFIG = str(find_model(SHIPPED).config)


def run(monkeypatch, tool, *words):
    monkeypatch.setattr('sys.argv', [tool, *map(str, words)])
    load_tool(tool).main()


@pytest.fixture(scope='module')
def data(shapes):
    return f'test_dataloader.dataset.data_root={shapes}/'


@pytest.fixture(scope='module')
def tuned(data, tmp_path_factory):
    """Output folder of the tool; all classes on all images choose."""
    folder = tmp_path_factory.mktemp('tune')
    with pytest.MonkeyPatch.context() as patch:
        options = ('--choose-on', 'all', '--device', 'cpu', '--cfg-options', data)
        run(patch, 'tune_scores', CONFIG, '--out', folder, '--precision', 0.7, *options)
    return folder


@pytest.fixture(scope='module')
def report(tuned):
    return json.loads((tuned / 'tuning.json').read_text())


@pytest.fixture(scope='module')
def config(data):
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(dict([data.split('=')]))
    return config


@pytest.fixture(scope='module')
def model(config):
    return init_detector(config, config.load_from, device='cpu')


@pytest.fixture(scope='module')
def tuning(tuned, config, model):
    tuning = Tuning(config, model, tuned / 'cache')
    assert tuning.cache.fill() == 0  # the tool has computed all
    return tuning


@pytest.mark.parametrize('row', ['current', 'chosen'])
def test_each_row_is_what_tools_test_gives(row, report, data, tmp_path, monkeypatch):
    """The current one digit by digit; the chosen one with the options that the tool writes."""
    options = {} if row == 'current' else report['cfg_options']
    assert (row == 'current') == (not options)
    monkeypatch.chdir(tmp_path)
    pairs = [f'{key}={value}' for key, value in options.items()]
    run(monkeypatch, 'test', CONFIG, '--work-dir', 'run', '--cfg-options', data, *pairs)
    measured = metrics_of(Path('run'), 'coco/')
    assert len(measured) == 36
    expected = {f'coco/{key}': value for key, value in report['metrics'][row].items()}
    assert measured == (expected if row == 'current' else pytest.approx(expected, abs=1e-6))


def test_choice_is_better_and_says_that_novel_classes_chose(report, tuned):
    def mean(row):
        novel, base = (report['metrics'][row][f'{split}_ap50'] for split in ('novel', 'base'))
        return 2 * novel * base / (novel + base)

    assert mean('chosen') > mean('current') + 0.02
    text = (tuned / 'tuning.md').read_text()
    assert 'WARNING: the boxes of novel classes' in text
    assert 'not the published protocol' in text
    snippet = text.split('```python\n')[1].split('```')[0]
    read = Config.fromstring(snippet, '.py')
    for key, value in report['cfg_options'].items():
        place = read
        for part in key.split('.'):
            place = place[part]
        assert place == value


def test_sweep_equals_the_metric(tuning):
    """Also where few boxes per image are kept, so that the splits compete for places."""
    images = list(tuning.cache)
    sweep = tuning.sweep(images)
    changes = [
        dict(),
        dict(alpha=0.5, beta=0.2, nms_iou=0.6, max_per_img=5),
        dict(clip_temperature=20.0, detector_temperature=90.0, score_thr=0.2),
    ]
    for change in changes:
        settings = replace(tuning.current, **change)
        full = tuning.measure(settings, Protocol.ALL).metrics
        expected = {split: full[f'{split}_ap50'] for split in ('novel', 'base', 'all')}
        assert sweep.measure(settings) == pytest.approx(expected, abs=1e-9)
    grid = sweep.grid(replace(tuning.current, max_per_img=5), [0.1, 0.5], [0.2, 0.8])
    assert len({values['novel'] for values in grid.values()}) > 1
    one = replace(tuning.current, alpha=0.5, beta=0.2, max_per_img=5)
    assert grid[0.5, 0.2] == sweep.measure(one)


def test_base_classes_do_not_choose_beta(tuning):
    choice = tuning.choose(Protocol.BASE)
    assert choice.settings.beta == tuning.current.beta
    measured = tuning.sweep(list(tuning.cache)).measure
    assert measured(choice.settings)['base'] >= measured(tuning.current)['base']
    assert choice.grid[choice.settings.alpha, choice.settings.beta] == measured(choice.settings)


def test_half_chooses_on_images_that_are_not_measured(tuning):
    ids = [image.image_id for image in tuning.cache]
    assert [image.image_id for image in tuning.choosing(Protocol.HALF, 500)] == ids[::2]
    assert [image.image_id for image in tuning.scored(Protocol.HALF)] == ids[1::2]
    assert [image.image_id for image in tuning.choosing(Protocol.ALL, 3)] == ids[::3]


def test_search_never_loses(tuning):
    """On three images, where nearly all settings are equal, the current ones stay."""
    sweep = tuning.sweep(tuning.choosing(Protocol.ALL, 3))
    settings = choose_settings(sweep, tuning.current, Protocol.BASE).settings
    again = choose_settings(sweep, settings, Protocol.BASE).settings
    assert again == settings


def test_cache_goes_on_after_a_kill(config, model, tuning, tmp_path):
    """A batch that is missing, and one that was being written, are computed as before."""
    _, second, third = tuning.cache.paths()
    other = ProposalCache(tmp_path, config, model)
    assert other.folder.name == tuning.cache.folder.name
    other.folder.mkdir()
    os.link(second, other.folder / second.name)
    (other.folder / f'{third.name}.0-0-0.clipself-partial').write_bytes(b'half')
    assert other.fill() == 5
    for one, two in zip(other, tuning.cache, strict=True):
        assert one.image_id == two.image_id
        for name in ('boxes', 'detector', 'clip', 'scale'):
            assert getattr(one, name).equal(getattr(two, name)), name


def test_cache_of_another_state_is_not_read(config, model, tuning, tmp_path):
    def folder(config=config):
        return ProposalCache(tmp_path, config, model).folder.name

    own = folder()
    assert own == tuning.cache.folder.name
    tuned = Config.fromfile(CONFIG)
    tuned.merge_from_dict(
        {'model.roi_head.bbox_head.alpha': 0.7, 'model.test_cfg.rcnn.nms.iou_threshold': 0.6}
    )
    tuned.test_dataloader.dataset.data_root = config.test_dataloader.dataset.data_root
    assert folder(tuned) == own  # fusion changes no cosine
    tuned.merge_from_dict({'model.test_cfg.rpn.max_per_img': 7})
    assert folder(tuned) != own
    weight = next(iter(model.rpn_head.parameters()))
    kept = weight.detach().clone()
    with torch.no_grad():
        weight += 1
        changed = folder()
        weight.copy_(kept)
    assert changed != own
    image = tuning.cache.dataset.get_data_info(0)['img_path']
    stat = os.stat(image)
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    try:
        assert folder() != own
    finally:
        os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_recording_changes_no_prediction_and_leaves_no_trace(model):
    head = model.roi_head.bbox_head
    assert 'predict_by_feat' not in vars(head)
    assert 'similarity' not in vars(head.fc_cls)


def test_thresholds_reach_the_precision_on_the_scored_images(report, tuned, tuning):
    thresholds = json.loads((tuned / 'thresholds.json').read_text())
    assert [*thresholds] == list(tuning.classes)
    assert all(isinstance(value, float) for value in thresholds.values())
    settings = replace(tuning.current, **report['settings']['chosen'])
    scores, outcomes, labels = tuning.measure(settings, Protocol.ALL).columns()
    reached = 0
    for label, name in enumerate(tuning.classes):
        own = (labels == label) & (scores >= thresholds[name])
        if own.any() and (outcomes[labels == label] == 1).any():
            assert (outcomes[own] == 1).mean() >= 0.7 - 1e-9, name
            expected = threshold_for_precision(
                scores[labels == label], outcomes[labels == label], 0.7
            )
            assert thresholds[name] == pytest.approx(expected, abs=1e-4)
            reached += 1
    assert reached > 10
    measured = tuning.measure(settings, Protocol.ALL)
    twice = replace(measured, errors=[e for e in measured.errors for _ in range(2)])
    elsewhere = tuning.precision_elsewhere(twice, 0.7)  # the other half is the same here
    assert elsewhere >= 0.7 - 1e-9
    assert report['thresholds']['precision_elsewhere'] < elsewhere


def test_figures_have_content(tuned):
    for name in ('heat_map', 'reliability', 'errors', 'confusion'):
        with Image.open(tuned / f'{name}.png') as image:
            assert min(image.size) > 300
            assert len(np.unique(np.asarray(image.convert('L')))) > 20


def test_wrong_evaluator_is_named(config, model, tmp_path):
    other = copy.deepcopy(config)
    other.test_evaluator = dict(type='DumpDetResults', out_file_path='x.pkl')
    with pytest.raises(ValueError, match=r'^test_evaluator: expected an OpenVocabCocoMetric'):
        Tuning(other, model, tmp_path)


def test_asked_alone_is_what_the_detector_gives(tuning, model):
    """Precision and recall of a novel class, counted from the detector's own predictions."""
    paths = [tuning.cache.dataset.get_data_info(n)['img_path'] for n in range(tuning.cache.images)]
    sweep = tuning.sweep(list(tuning.cache))
    base, novel = (labels.tolist() for labels in sweep.groups())
    label = max(novel, key=lambda label: sweep.counts[label])
    for negatives in ([], base):
        found = ask_alone(sweep, tuning.current, [label], negatives)
        with model.vocabulary(
            [tuning.classes[label]], negatives=[tuning.classes[n] for n in negatives]
        ):
            results = inference_detector(model, paths)
        count = sum(int((result.pred_instances.scores >= 0.3).sum()) for result in results)
        hits = round(found.recall[0.3] * sweep.counts[label])
        assert hits > 0
        assert found.precision[0.3] == pytest.approx(hits / count)


def test_negatives_make_a_novel_class_alone_precise(tuning):
    found = tuning.ask_alone(tuning.current)
    none, base = found['no negatives'], found['base classes as negatives']
    assert base.precision[0.3] > 4 * none.precision[0.3]
    assert base.ap50 > none.ap50 + 0.1
    assert base.recall[0.3] > 0.5


@pytest.fixture
def few(data, shapes, tmp_path):
    """Writes the annotations of the first images, with the objects of some classes; options."""

    def write(images, wanted=lambda name: True):
        content = json.loads((shapes / 'annotations/instances_val.json').read_text())
        content['images'] = content['images'][:images]
        numbers = {image['id'] for image in content['images']}
        names = {entry['id']: entry['name'] for entry in content['categories']}
        content['annotations'] = [
            entry
            for entry in content['annotations']
            if entry['image_id'] in numbers and wanted(names[entry['category_id']])
        ]
        (tmp_path / 'few.json').write_text(json.dumps(content))
        keys = ('test_dataloader.dataset.ann_file', 'test_evaluator.ann_file')
        return '--cfg-options', data, *(f'{key}={tmp_path / "few.json"}' for key in keys)

    return write


@pytest.mark.parametrize(('images', 'choose_on'), [(1, 'base'), (2, 'half')])
def test_few_images_give_a_report(few, monkeypatch, tmp_path, images, choose_on):
    options = ('--choose-on', choose_on, '--precision', 1.0, '--device', 'cpu', *few(images))
    run(monkeypatch, 'tune_scores', CONFIG, '--out', tmp_path / 'out', *options)
    content = json.loads((tmp_path / 'out/tuning.json').read_text())
    assert content['images'] == 1
    assert content['thresholds']['precision_elsewhere'] == -1


@pytest.mark.parametrize(
    ('words', 'images', 'novel', 'complaint'),
    [
        ('--choose-on half', 1, None, '--choose-on half: .* one image'),
        ('--choose-on base', 9, True, '--choose-on base: .* no object of a base class'),
        ('--alone', 9, False, '--alone: no object of a novel class'),
    ],
)
def test_what_cannot_choose_is_one_sentence(
    few, tuning, monkeypatch, tmp_path, words, images, novel, complaint
):
    """Without objects of base classes, novel ones do not choose in their place."""
    is_novel = dict(zip(tuning.classes, tuning.novel.tolist(), strict=True))
    options = few(images, lambda name: novel is None or is_novel[name] == novel)
    with pytest.raises(SystemExit, match=f'^error: {complaint}'):
        run(monkeypatch, 'tune_scores', CONFIG, '--out', tmp_path, *words.split(), *options)


def test_without_novel_classes_the_report_names_none(few, monkeypatch, tmp_path):
    config = CONFIG.replace('fvit_tiny_shipped', 'transfer_tiny')
    words = (config, Config.fromfile(CONFIG).load_from, '--out', tmp_path, *few(2))
    run(monkeypatch, 'tune_scores', *words)
    warning = json.loads((tmp_path / 'tuning.json').read_text())['warning']
    assert warning == 'The boxes that give these numbers have also chosen the settings.'


@pytest.mark.parametrize(
    ('words', 'complaint'),
    [
        ('configs/shapes/clipself_tiny_patches_shapes-ov.py x.pth', 'an FViT, its model is a CLIP'),
        ('fvit_tiny_shipped_shapes-ov --device nowhere', "device 'nowhere' cannot be used"),
        ('--out {here}/file', 'Not a directory'),
        (
            '--cfg-options test_dataloader.dataset.data_prefix.img=nowhere/',
            r'nowhere/.*\.jpg: no such',
        ),
    ],
)
def test_mistakes_are_one_sentence(data, monkeypatch, tmp_path, words, complaint):
    (tmp_path / 'file').touch()
    words = words.format(here=tmp_path).split()
    if '--out' not in words:
        words = ['--out', tmp_path / 'out', *words]
    words += [data] if '--cfg-options' in words else ['--cfg-options', data]
    with pytest.raises(SystemExit, match=f'^error: .*{complaint}'):
        run(monkeypatch, 'tune_scores', *words)
