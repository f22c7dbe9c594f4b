"""The user's detection commands on a small Shapes-OV: every twin, resume, two processes, tools."""

import ast
import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import dump, load
from mmengine.registry import DATASETS, MODELS, init_default_scope

from clipself_mm.clip import TextTower
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary
from tests.commands import ROOT, call, call_on_two, last_weights, metrics_of, train_command

pytestmark = pytest.mark.slow

CONFIGS = ROOT / 'configs/shapes'
FVIT = CONFIGS / 'fvit_tiny_shapes-ov.py'
LVIS = CONFIGS / 'fvit_tiny_shapes-ov-lvis.py'
PROPOSE = CONFIGS / 'rpn_tiny_shapes-ov.py'
TRANSFER = CONFIGS / 'transfer_tiny_shapes-ov.py'
SHIPPED = CONFIGS / 'fvit_tiny_shipped_shapes-ov.py'  # tests/shapes has its own
TWINS = sorted({*CONFIGS.glob('fvit_*.py')} - {SHIPPED})
PREFIXES = ('coco/', 'lvis/')
VOCABULARIES = ROOT / 'clipself_mm/datasets/vocabularies'
TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'


@pytest.fixture(scope='session')
def shapes(shapes):
    """With the class embeddings that each run would compute."""
    words = [*load_vocabulary('shapes_ov').classes, 'background']
    save_class_embeddings(shapes / 'words.pt', words, TextTower(TINY_CLIP).embed_classes(words))
    return shapes


def small_val(shapes):
    """Overrides that point a test at the small set; the evaluator follows."""
    return [f'test_dataloader.dataset.data_root={shapes}/', words_given(shapes)]


def words_given(shapes):
    return f'model.roi_head.bbox_head.cls_predictor_cfg.embeddings={shapes}/words.pt'


def small_run(shapes, *more):
    """Overrides that shrink a training to two iterations an epoch."""
    return [
        *small_val(shapes),
        *(item.replace('test_', 'val_') for item in small_val(shapes)),
        f'train_dataloader.dataset.data_root={shapes}/',
        'train_dataloader.dataset.indices=8',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'model.train_cfg.rpn_proposal.max_per_img=50',
        'model.test_cfg.rpn.max_per_img=30',
        *more,
    ]


def validated(work_dir):
    """The metrics of the last validation of a training."""
    records = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        records += map(json.loads, path.read_text().splitlines())
    measured = [{k: v for k, v in r.items() if k.startswith(PREFIXES)} for r in records]
    return [item for item in measured if item][-1]


def run_test(work_dir, config, checkpoint, overrides):
    command = [sys.executable, ROOT / 'tools/test.py', config, checkpoint]
    call([*command, '--work-dir', work_dir, '--cfg-options', *overrides], work_dir.parent)
    return metrics_of(work_dir, *PREFIXES)


@pytest.fixture(scope='session')
def trained(shapes, tmp_path_factory):
    """Trains a twin once; gives its work folder."""
    folder = tmp_path_factory.mktemp('fvit')

    def train(config):
        work_dir = folder / config.stem
        if not work_dir.exists():
            call(train_command(work_dir, small_run(shapes), config=config), folder)
        return work_dir

    return train


def test_twins_are_found():
    names = {path.name for path in TWINS}
    assert {FVIT.name, LVIS.name, 'fvit_tiny_simplefpn-last_shapes-ov.py'} <= names


@pytest.mark.parametrize('config', TWINS, ids=lambda path: path.stem)
def test_each_twin_trains_and_tests(trained, shapes, tmp_path, config):
    work_dir = trained(config)
    options = [*small_val(shapes), 'model.test_cfg.rpn.max_per_img=30']
    tested = run_test(tmp_path / 'test', config, work_dir / 'epoch_1.pth', options)
    assert tested == validated(work_dir)
    wanted = (
        {'lvis/segm_apr', 'lvis/bbox_ap'}
        if config == LVIS
        else {'coco/novel_ap50', 'coco/base_ap50', 'coco/all_ap50'}
    )
    assert wanted <= tested.keys()
    (best,) = work_dir.glob('best_*.pth')
    assert ('segm_apr' if config == LVIS else 'novel_ap50') in best.name


def test_transfer_takes_the_lvis_detector(trained, shapes, tmp_path):
    checkpoint = trained(LVIS) / 'epoch_1.pth'
    config = Config.fromfile(TRANSFER)
    init_default_scope('mmdet')
    model = MODELS.build(config.model)
    state = torch.load(checkpoint, map_location='cpu', weights_only=False)['state_dict']
    missing, unused = model.load_state_dict(state, strict=False)
    assert missing == []
    assert all('mask_head' in key or key.endswith('fc_cls.temperature') for key in unused)
    options = [item for item in small_val(shapes) if item != words_given(shapes)]
    tested = run_test(tmp_path / 'test', TRANSFER, checkpoint, options)
    assert tested['coco/all_ap50'] >= 0
    assert not any('novel' in key for key in tested)


def test_proposals_of_a_detector_are_distilled(trained, shapes, tmp_path):
    """The RPN's proposals reach CLIPSelf as a file."""
    out = tmp_path / 'proposals.json'
    options = [
        f'test_dataloader.dataset.data_root={shapes}/',
        f'test_evaluator.ann_file={shapes}/annotations/instances_train.json',
        f'test_evaluator.out_file={out}',
        'test_evaluator.score_thr=0.0',
    ]
    command = [sys.executable, ROOT / 'tools/test.py', PROPOSE, trained(FVIT) / 'epoch_1.pth']
    call([*command, '--work-dir', tmp_path / 'rpn', '--cfg-options', *options], tmp_path)
    content = json.loads(out.read_text())
    per_image = Counter(entry['image_id'] for entry in content['annotations'])
    assert set(per_image) == {image['id'] for image in content['images']}
    assert set(per_image.values()) == {20}
    config = Config.fromfile(CONFIGS / 'clipself_tiny_rpn-proposals_shapes-ov.py')
    dataset = config.train_dataloader.dataset
    dataset.update(data_root=f'{shapes}/', ann_file=str(out))
    init_default_scope('mmengine')
    sample = DATASETS.build(dataset)[0]
    assert len(sample['data_samples'].regions) == 10


def test_resume_continues(trained, shapes, tmp_path):
    work_dir = tmp_path / 'run'
    shutil.copytree(trained(FVIT), work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    before = last_weights(work_dir)
    options = small_run(shapes, 'train_cfg.max_epochs=2')
    done = call(train_command(work_dir, options, '--resume', config=FVIT), tmp_path)
    assert 'Epoch(train) [2][2/2]' in done.stdout
    assert 'Epoch(train) [1]' not in done.stdout
    after = last_weights(work_dir)
    changed = {key for key in after if not after[key].equal(before[key])}
    assert any(key.startswith('roi_head.bbox_head') for key in changed)
    assert not any(key.startswith('backbone.tower') for key in changed)


def test_two_processes(trained, shapes, tmp_path):
    """Training runs under gloo and measuring gives what one process gives."""
    options = small_run(shapes, 'train_dataloader.batch_size=2')
    command = train_command(tmp_path / 'two', options, config=FVIT)
    call_on_two(*command[1:], cwd=tmp_path)
    two = last_weights(tmp_path / 'two')
    start = last_weights(trained(FVIT))
    assert two.keys() == start.keys()
    checkpoint = tmp_path / 'two' / 'epoch_1.pth'
    one = run_test(tmp_path / 'one', FVIT, checkpoint, small_val(shapes))
    command = [ROOT / 'tools/test.py', FVIT, checkpoint, '--work-dir', tmp_path / 'both']
    call_on_two(*command, '--cfg-options', *small_val(shapes), cwd=tmp_path)
    assert metrics_of(tmp_path / 'both', *PREFIXES) == one


def mmdet_tool(name):
    """A tool of mmdet's as pip installed it."""
    return Path(mmdet.__file__).parent / '.mim/tools' / f'{name}.py'


def run_tool(folder, name, *arguments, options=()):
    """Run one of mmdet's tools from a folder that has nothing to do with the config."""
    options = ('--cfg-options', *options) if options else ()
    done = call([sys.executable, mmdet_tool(name), *arguments, *options], folder)
    return done.stdout + done.stderr


def test_mmdet_own_training_tool(shapes, tmp_path):
    tool = mmdet_tool('train')
    call(train_command(tmp_path / 'run', small_run(shapes), config=FVIT, tool=tool), tmp_path)
    assert validated(tmp_path / 'run')['coco/all_ap50'] >= 0


@pytest.fixture(scope='session')
def predicted(trained, shapes, tmp_path_factory):
    """What mmdet's test.py writes: predictions.pkl, predictions.bbox.json, the metrics."""
    folder = tmp_path_factory.mktemp('predicted')
    options = small_run(shapes, f'test_evaluator.outfile_prefix={folder}/predictions')
    checkpoint = trained(FVIT) / 'epoch_1.pth'
    out = ('--work-dir', folder / 'test', '--out', folder / 'predictions.pkl')
    run_tool(folder, 'test', FVIT, checkpoint, *out, options=options)
    return folder


def test_get_flops(shapes, tmp_path):
    """It traces the model: whatever text tower there is has to be done before."""
    told = run_tool(
        tmp_path, 'analysis_tools/get_flops', FVIT, '--num-images', 1, options=small_run(shapes)
    )
    init_default_scope('mmdet')
    weights = MODELS.build(Config.fromfile(FVIT).model).parameters()
    millions = sum(weight.numel() for weight in weights) / 1e6
    assert f'Params: {millions:.3f}M' in told
    (billions,) = re.findall(r'Flops: ([\d.]+)G', told)
    assert float(billions) > 1


def test_browse_dataset(shapes, tmp_path):
    options = [*small_run(shapes), 'train_dataloader.dataset.indices=3']
    run_tool(
        tmp_path,
        'analysis_tools/browse_dataset',
        FVIT,
        '--output-dir',
        'out',
        '--not-show',
        options=options,
    )
    assert len(list(tmp_path.glob('out/*.jpg'))) == 3


def test_analyze_logs(trained, tmp_path):
    if 'import seaborn' in Path(mmdet_tool('analysis_tools/analyze_logs')).read_text():
        pytest.importorskip('seaborn', reason='mmdet does not bring what this tool of it imports')
    (log,) = trained(FVIT).glob('*/vis_data/scalars.json')
    style = ('--style', 'default')  # its own is seaborn's
    run_tool(
        tmp_path,
        'analysis_tools/analyze_logs',
        'plot_curve',
        log,
        '--keys',
        'loss',
        *style,
        '--out',
        'a.png',
    )
    assert (tmp_path / 'a.png').stat().st_size > 0


def test_analyze_results(predicted, shapes, tmp_path):
    pickle = predicted / 'predictions.pkl'
    options = small_run(shapes)
    run_tool(
        tmp_path,
        'analysis_tools/analyze_results',
        FVIT,
        pickle,
        'out',
        '--topk',
        1,
        options=options,
    )
    assert len(list(tmp_path.glob('out/good/*.jpg'))) == 1
    assert len(list(tmp_path.glob('out/bad/*.jpg'))) == 1


def write_two_classes(shapes, folder):
    """The first two classes of the validation set: two.json, two.txt; gives their names."""
    content = json.loads((shapes / 'annotations/instances_val.json').read_text())
    kept = {entry['id']: entry['name'] for entry in content['categories'][:2]}
    for key, name in (('categories', 'id'), ('annotations', 'category_id')):
        content[key] = [entry for entry in content[key] if entry[name] in kept]
    (folder / 'two.json').write_text(json.dumps(content))
    (folder / 'two.txt').write_text('\n'.join(kept.values()))
    return list(kept.values())


def test_confusion_matrix(predicted, shapes, tmp_path):
    """On two classes, since it writes a number into every cell."""
    write_two_classes(shapes, tmp_path)
    content = load(predicted / 'predictions.pkl')
    for image in content:
        found = image['pred_instances']
        image['pred_instances'] = {
            key: found[key][found['labels'] < 2] for key in ('bboxes', 'scores', 'labels')
        }
    dump(content, tmp_path / 'two.pkl')
    dataset = dict(ann_file=tmp_path / 'two.json', vocabulary=tmp_path / 'two.txt')
    options = [f'test_dataloader.dataset.{key}={value}' for key, value in dataset.items()]
    options = [*small_run(shapes), *options]
    run_tool(tmp_path, 'analysis_tools/confusion_matrix', FVIT, 'two.pkl', 'out', options=options)
    assert (tmp_path / 'out/confusion_matrix.png').stat().st_size > 0


def test_eval_metric(predicted, shapes, tmp_path):
    pickle = predicted / 'predictions.pkl'
    told = run_tool(tmp_path, 'analysis_tools/eval_metric', FVIT, pickle, options=small_run(shapes))
    (numbers,) = re.findall(r'^{.*}$', told, flags=re.M)
    assert ast.literal_eval(numbers) == metrics_of(predicted / 'test', *PREFIXES)


def test_coco_error_analysis(predicted, shapes, tmp_path):
    """On two classes, since it draws four figures of each."""
    names = write_two_classes(shapes, tmp_path)
    found = predicted / 'predictions.bbox.json'
    run_tool(tmp_path, 'analysis_tools/coco_error_analysis', found, 'out', '--ann', 'two.json')
    drawn = {path.name for path in tmp_path.glob('out/bbox/*.png')}
    wanted = {f'bbox-{name}-allarea.png' for name in (*names, 'allclass')}
    assert wanted <= drawn


@pytest.mark.parametrize('task', ['dataset', 'dataloader'])
def test_benchmark(shapes, tmp_path, task):
    """Its third task, inference, wants a GPU."""
    sizes = ('--max-iter', 3, '--num-warmup', 1, '--log-interval', 1)
    told = run_tool(
        tmp_path,
        'analysis_tools/benchmark',
        FVIT,
        '--task',
        task,
        *sizes,
        options=small_run(shapes),
    )
    assert re.search(r'Overall fps: [\d.]+ (img|batch)/s', told)


def write_own_data(shapes, folder):
    """Shapes-OV as somebody's own data: other names, other ids, classes in another order."""
    words = json.loads((VOCABULARIES / 'shapes_ov.json').read_text())
    named = {name: f'item {number}' for number, name in enumerate(sorted(words['classes']))}
    lists = {key: [named[n] for n in reversed(words[key])] for key in ('classes', 'base', 'novel')}
    (folder / 'vocabulary.json').write_text(json.dumps(lists))
    for split, source in (('train', 'instances_train_all'), ('val', 'instances_val')):
        (folder / split).symlink_to(shapes / split)
        content = json.loads((shapes / 'annotations' / f'{source}.json').read_text())
        for category in content['categories']:
            category.update(id=1000 - category['id'], name=named[category['name']])
        for annotation in content['annotations']:
            annotation['category_id'] = 1000 - annotation['category_id']
        (folder / f'{split}.json').write_text(json.dumps(content))
    text = TextTower(TINY_CLIP)
    spoken = [*words['classes'], 'background']
    save_class_embeddings(
        folder / 'words.pt',
        [named.get(name, name) for name in spoken],
        text.embed_classes(spoken),
    )


def test_own_data_by_the_template(trained, shapes, tmp_path):
    """Renamed data with one config and one vocabulary is judged as the original is."""
    own = tmp_path / 'data/own'
    own.mkdir(parents=True)
    write_own_data(shapes, own)
    model = Config.fromfile(FVIT).model
    head = model.roi_head.bbox_head
    head.vocabulary = 'data/own/vocabulary.json'
    head.cls_predictor_cfg.embeddings = 'data/own/words.pt'
    model._delete_ = True
    config = tmp_path / 'own.py'
    template = ROOT / 'configs/fvit/own_data_template.py'
    config.write_text(f'_base_ = {str(template)!r}\nmodel = {model.to_dict()!r}\n')
    small = [
        'val_dataloader.dataset.pipeline.1.scale=(128,128)',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
    ]
    small += [item.replace('val_', 'test_') for item in small]
    checkpoint = trained(FVIT) / 'epoch_1.pth'
    found = run_test(tmp_path / 'own-test', config, checkpoint, small)
    expected = run_test(tmp_path / 'test', FVIT, checkpoint, small_val(shapes))
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-6)
    small += [
        'train_dataloader.dataset.pipeline.2.scale=(128,128)',
        'train_dataloader.dataset.pipeline.3.crop_size=(128,128)',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.dataset.indices=8',
        'train_dataloader.batch_size=4',
        'train_cfg.max_epochs=1',
        'train_dataloader.dataset.filter_cfg.min_size=1',
    ]
    call(train_command(tmp_path / 'run', small, config=config), tmp_path)
    assert validated(tmp_path / 'run')['coco/novel_ap50'] >= 0
