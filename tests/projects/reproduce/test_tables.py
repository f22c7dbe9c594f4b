"""The tables of both suites: configs and keys that exist, runs that are shared, right numbers."""

import copy
import json
import re
from pathlib import Path

import pytest
from mmengine.config import DictAction
from mmengine.registry import TRANSFORMS

from clipself_mm.datasets import load_vocabulary
from projects.reproduce import (
    SEGMENTATION_TABLES,
    TABLES,
    CocoSuite,
    GivenProposals,
    Reproduction,
    RunContext,
    ShapesSuite,
)
from projects.reproduce.shapes_suite import prepare_shapes
from tests.commands import ROOT

SUITES = {'shapes': ShapesSuite, 'coco': CocoSuite}
SPLITS = ('novel', 'base', 'all')


def reproduction(suite, names=tuple(TABLES), seeds=(0,), given=None, **options):
    makers = {**TABLES, **SEGMENTATION_TABLES}
    tables = [makers[name](SUITES[suite](given)) for name in names]
    places = (ROOT, ROOT / 'work', ROOT / 'data')
    return Reproduction(tables, seeds, RunContext(*places, 'data', **options))


@pytest.fixture(scope='module', params=SUITES)
def runs(request):
    in_miniature = SEGMENTATION_TABLES if request.param == 'shapes' else ()
    return reproduction(request.param, [*TABLES, *in_miniature]).queue.runs


def has(config, key):
    """Whether a dotted key is one of the config's own."""
    node = config
    for part in key.split('.'):
        if isinstance(node, list | tuple):
            if not part.isdigit() or int(part) >= len(node):
                return False
            node = node[int(part)]
        elif part in node:
            node = node[part]
        else:
            return False
    return True


def test_every_config_exists_and_every_option_is_a_key_of_it(runs):
    new = {
        'train_cfg.val_begin',
        'randomness.seed',
        'model.tower.last_block',
        'train_dataloader.dataset.vocabulary',
        'test_dataloader.dataset.max_nouns',
        'optim_wrapper.paramwise_cfg.custom_keys.tower.lr_mult',
    }
    for run in runs.values():
        config = run.context.config(run.experiment.config)
        unknown = [
            key
            for key in (option.partition('=')[0] for option in run.options())
            if key not in new and not has(config, key)
        ]
        assert unknown == [], run.id


def test_a_training_has_one_image_size(runs):
    """Its validation data too: training starts with a batch of them."""
    sized = set()
    for run in runs.values():
        config = run.context.config(run.experiment.config)
        if not run.experiment.trains or 'image_size' not in config.model.get(
            'data_preprocessor', {}
        ):
            continue
        config = copy.deepcopy(config)
        options = dict(option.split('=', 1) for option in run.options())
        config.merge_from_dict(
            {key: int(value) for key, value in options.items() if key.endswith('size')}
        )
        size = config.model.data_preprocessor.image_size
        for loader in (config.train_dataloader, config.get('val_dataloader')):
            steps = loader.dataset.pipeline if loader else ()
            assert {step.size for step in steps if step.type == 'ResizeLongest'} <= {size}, run.id
        sized.add(size)
    assert len(sized) >= 3


def test_a_resumed_training_repeats_the_validation_that_a_kill_cut_off(runs):
    """Each epoch needs its validation; mmengine alone would go on with the next one."""
    validated = [run for run in runs.values() if run.experiment.best_by is not None]
    assert validated
    for run in validated:
        hooks = run.context.config(run.experiment.config).default_hooks
        assert hooks['resume'] == {'type': 'ResumeHook'}, run.id


def test_every_folder_of_the_data_is_given(runs):
    """Nothing is read beside --data-root, --work-dir and the checkpoints."""
    for run in runs.values():
        config = run.context.config(run.experiment.config)
        given = {option.partition('=')[0] for option in run.options()}
        loaders = ('train', 'val') if run.experiment.trains else ('test',)
        for split in loaders:
            assert f'{split}_dataloader.dataset.data_root' in given, run.id
        evaluator = config.get('val_evaluator' if run.experiment.trains else 'test_evaluator')
        for number, item in enumerate(evaluator if isinstance(evaluator, list) else [evaluator]):
            place = f'.{number}' if isinstance(evaluator, list) else ''
            for key in ('ann_file', 'out_file'):
                if key in item:
                    name = 'val_evaluator' if run.experiment.trains else 'test_evaluator'
                    assert f'{name}{place}.{key}' in given, run.id


def test_a_distilled_tower_is_where_it_is_used(runs):
    for run in runs.values():
        if 'tower' in run.needs:
            towers = [
                word
                for word in run.options()
                if re.match(r'model\.(backbone\.)?tower\.(model|checkpoint)=', word)
            ]
            (tower,) = towers
            assert f'{run.needs["tower"].folder}/tower' in tower


def test_distillations_share_a_teacher_cache_and_stay_the_same_runs(tmp_path):
    """Setups agree, so runs with and without it go together in a table."""
    plain = reproduction('shapes').queue.runs
    runs = reproduction('shapes', teacher_cache=tmp_path).queue.runs
    assert {run.id: run.setup for run in runs.values()} == {
        run.id: run.setup for run in plain.values()
    }
    cached = {}
    for run in runs.values():
        added = set(run.options()) - set(plain[run.id].options())
        if added:
            cached[run.experiment.name] = dict(option.split('=') for option in added)
    assert not {'region-text', 'image-text', 'detect_fvit_original'} & set(cached)
    towers = ('patches', 'proposals', 'max-split-10', 'blocks-1', 'size-192', 'scd')
    (options,) = {tuple(sorted(cached[tower].items())) for tower in towers}
    options = dict(options)
    run = plain['patches_seed0']
    config = copy.deepcopy(run.context.config(run.experiment.config))
    config.merge_from_dict(options)
    crop = config.train_dataloader.dataset.pipeline[2]
    assert TRANSFORMS.build(crop).crop.size == 64
    assert crop.folder == config.model.teacher_cache.folder
    assert Path(crop.folder).parent == tmp_path


def test_segmentation_is_measured_after_the_last_step_of_each_tower():
    runs = reproduction('shapes', ['5', '6']).queue.runs
    for tower in ('patches', 'proposals'):
        own = f'{tower}_seed0'
        assert runs[f'zero-shot_{own}'].needs['tower'].id == own
        assert runs[f'cat-seg_{own}'].experiment.checkpoint == 'training'
        training = runs[f'cat-seg_{own}'].needs['training']
        assert training.needs['tower'].id == own
        assert '--resume' in training.command()
        for score in ('clip', 'fused'):
            run = runs[f'panoptic_{score}_{own}']
            assert f'model.test_cfg.score={score}' in run.options()
            steps = (
                run.needs['generator']
                .context.config(run.needs['generator'].experiment.config)
                .train_cfg.max_iters
            )
            file = f'{run.needs["generator"].folder}/iter_{steps}.pth'
            assert f'model.generator_checkpoint={file}' in run.options()
    assert {run.needs['generator'].id for run in runs.values() if 'generator' in run.needs} == {
        'mask-generator_seed0'
    }


@pytest.mark.parametrize('suite', SUITES)
def test_default_rows_of_table_1_and_table_2_are_one_training_and_one_measurement(suite):
    by_table = [set(reproduction(suite, [name]).queue.runs) for name in ('1a', '1b', '1c', '2')]
    shared = {'patches_seed0', 'evaluate_panoptic_patches_seed0', 'evaluate_panoptic_original'}
    assert shared <= set.intersection(*by_table)
    runs = reproduction(suite, ['1a', '1b', '1c', '2']).queue.runs
    assert [key for key in runs if key.endswith('_original')] == ['evaluate_panoptic_original']
    assert {'proposals_seed0', 'image-text_seed0'} <= set(runs)
    assert len(runs) < sum(map(len, by_table))


def test_boxes_of_table_1_compete_with_stuff():
    """The paper's 18.2 and 72.1 are things among all 133 classes, not among 80."""
    for name in ('1a', '1b', '1c'):
        for run in reproduction('coco', [name]).queue.runs.values():
            if run.experiment.name.startswith('evaluate_'):
                config = run.context.config(run.experiment.config)
                names = {
                    config.model.classifier.vocabulary,
                    config.test_dataloader.dataset.vocabulary,
                }
                assert {len(load_vocabulary(name).classes) for name in names} == {133}


def configured(run):
    """The config of a run as its options make it."""
    config = copy.deepcopy(run.context.config(run.experiment.config))
    words = [option.split('=', 1) for option in run.options()]
    config.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in words})
    return config


def test_ablations_change_what_their_rows_say(runs):
    seen = set()
    for run in runs.values():
        what, _, number = run.experiment.name.rpartition('-')
        if what not in ('max-split', 'blocks', 'size') or not run.experiment.trains:
            continue
        seen.add(what)
        config, number = configured(run), int(number)
        steps = {step['type']: step for step in config.train_dataloader.dataset.pipeline}
        size = config.model.data_preprocessor.image_size
        assert steps['ResizeLongest'].size == size
        changed = {
            'max-split': steps['SampleRegions'].regions.max_split,
            'blocks': config.model.unlocked_blocks,
            'size': size,
        }
        default = configured(runs['patches_seed0'])
        assert changed.pop(what) == number
        others = {
            'max-split': 6,
            'blocks': default.model.unlocked_blocks,
            'size': default.model.data_preprocessor.image_size,
        }
        assert changed.items() <= others.items()
    assert seen == {'max-split', 'blocks', 'size'}


def test_detectors_of_table_a3_differ_in_what_the_rows_say(runs):
    def of(detector):
        return configured(runs[f'detect_{detector}_patches_seed0'])

    last = len(of('fvit').model.backbone.out_indices) * (of('fvit').model.backbone.out_indices[-1],)
    assert tuple(of('fpn-last').model.backbone.out_indices) == last
    assert of('simplefpn-last').model.neck.type == 'SimpleFPN'
    for detector, share in (('fvit', 0), ('backbone-lr0.01', 0.01), ('backbone-lr0.1', 0.1)):
        config = of(detector)
        assert config.model.backbone.get('frozen', True) == (share == 0)
        if share:
            keys = config.optim_wrapper.paramwise_cfg.custom_keys
            # mmengine takes the longest key that is part of a parameter's name.
            key = max((key for key in keys if key in 'backbone.tower.blocks.0'), key=len)
            assert keys[key].lr_mult == share


def test_distillations_are_on_one_gpu_and_detectors_on_all():
    runs = reproduction('coco', gpus=8, amp=True).queue.runs.values()
    for run in runs:
        one = run.experiment.trains and run.experiment.best_by is None
        one = one and run.experiment.name not in ('train_rpn', 'image-text')
        assert run.gpus == (1 if one else 8), run.id
        assert ('tools/dist_' in run.command_text()) != one
        if one:
            config = run.context.config(run.experiment.config)
            assert config.train_cfg.max_iters == 44_358  # six epochs of an eighth of train2017
            assert config.train_dataloader.batch_size == 2


def test_a_coco_distillation_is_cut_to_epochs_of_an_eighth_of_the_images():
    run = reproduction('coco', ['2'], gpus=8, epochs=1).queue.runs['patches_seed0']
    assert 'train_cfg.max_iters=7393' in run.options()
    assert 'param_scheduler.0.end=7393' in run.options()


def test_detectors_are_validated_each_epoch_by_what_chooses_their_checkpoint(runs):
    detectors = [run for run in runs.values() if run.experiment.best_by is not None]
    assert detectors
    for run in detectors:
        config = configured(run)
        assert config.train_cfg.val_interval == 1
        assert config.train_cfg.get('val_begin', 1) == 1
        assert config.default_hooks.checkpoint.save_best == run.experiment.best_by


@pytest.mark.parametrize('suite', SUITES)
def test_columns_of_detectors_are_metrics_of_best_and_last_epochs(suite):
    """By what a run of three validated epochs leaves."""
    (best,) = {row.measured_by[0].best_by for row in TABLES['3a'](SUITES[suite]()).rows}
    left = {f'{which}/coco/{split}_ap50' for which in ('best', 'last') for split in SPLITS}
    for name in ('3a', '7', 'A3'):
        table = TABLES[name](SUITES[suite]())
        metrics = {column.metric for column in table.columns if 'region/' not in column.metric}
        assert metrics <= left | {'best/epoch'}
        assert {f'best/{best}', f'last/{best}', 'best/epoch'} <= metrics
        assert 'novel classes choose the checkpoint' in table.remark


@pytest.mark.parametrize('suite', SUITES)
def test_an_untrained_tower_is_the_one_that_distillation_starts_from(suite):
    runs = reproduction(suite, ['2', '3a']).queue.runs
    start = configured(runs['patches_seed0']).model.tower
    for tower in (
        configured(runs['evaluate_panoptic_original']).model.tower,
        configured(runs['detect_fvit_original_seed0']).model.backbone.tower,
    ):
        assert tower.model == start.model
        assert tower.get('checkpoint') == start.get('checkpoint')


@pytest.mark.parametrize('suite', SUITES)
@pytest.mark.parametrize('nouns', [0, 4764])
def test_given_proposals_are_distilled_and_no_rpn_is_trained(suite, nouns, tmp_path):
    path = tmp_path / 'coco_proposals.json'
    path.write_text('{}')
    given = GivenProposals(path, nouns)
    runs = reproduction(suite, ['2', '7'], given=given).queue.runs
    assert not any(key.startswith(('train_rpn', 'propose')) for key in runs)
    assert configured(runs['proposals_seed0']).train_dataloader.dataset.ann_file == str(path)
    pairs = configured(runs['region-text_seed0'])
    if nouns:
        assert pairs.train_dataloader.dataset.ann_file == str(path)
        assert pairs.train_dataloader.dataset.vocabulary is None
        assert pairs.model.nouns.vocabulary == str(path)
        assert 'pseudo-labels_seed0' not in runs
    else:
        matcher = configured(runs['pseudo-labels_seed0'])
        assert matcher.test_dataloader.dataset.ann_file == str(path)
        assert matcher.test_evaluator.get('ann_file') is None  # the data set's
        written = matcher.test_evaluator.out_file
        assert pairs.train_dataloader.dataset.ann_file == written
        vocabulary = matcher.model.nouns.vocabulary
        assert pairs.model.nouns.vocabulary == vocabulary
        assert pairs.train_dataloader.dataset.vocabulary == vocabulary
    own = reproduction(suite, ['2']).queue.runs
    assert own['proposals_seed0'].setup != runs['proposals_seed0'].setup
    assert own['patches_seed0'].setup == runs['patches_seed0'].setup
    remark = TABLES['2'](SUITES[suite](given)).remark
    assert remark == 'Region proposals are those of coco_proposals.json.'
    remark = TABLES['7'](SUITES[suite](given)).remark
    assert ('the 4764 nouns of coco_proposals.json' in remark) == bool(nouns)


def test_proposals_come_from_the_detector_on_the_original_tower():
    runs = reproduction('shapes', ['2']).queue.runs
    assert list(runs) == [
        'evaluate_panoptic_original',
        'patches_seed0',
        'evaluate_panoptic_patches_seed0',
        'detect_fvit_original_seed0',
        'propose_seed0',
        'proposals_seed0',
        'evaluate_panoptic_proposals_seed0',
    ]
    ann_file = f'train_dataloader.dataset.ann_file={ROOT}/work/propose_seed0/proposals.json'
    assert ann_file in runs['proposals_seed0'].options()


@pytest.mark.parametrize('suite', SUITES)
def test_the_two_methods_of_table_7_share_their_proposals(suite):
    runs = reproduction(suite, ['7']).queue.runs
    assert sum(key.startswith('propose_') for key in runs) == 1
    assert runs['pseudo-labels_seed0'].needs['proposals'].id == 'propose_seed0'


@pytest.mark.parametrize('suite', SUITES)
def test_numbers_of_the_paper(suite):
    """Spot checks against the text of the paper."""
    tables = {name: make(SUITES[suite]()) for name, make in TABLES.items()}
    of = {name: {row.number: row.paper for row in table.rows} for name, table in tables.items()}
    assert of['1a']['4'] == (71.6, 91.1)
    assert {row.labels[0]: row.paper for row in tables['1a'].rows}['M = 6'] == (72.1, 91.3)
    assert {row.labels[1]: row.paper for row in tables['1b'].rows}['9'] == (68.7, 88.7)
    assert {row.labels[1]: row.paper for row in tables['1c'].rows}['640'] == (67.1, 87.7)
    assert of['1c']['5*'] == (52.3, 76.4)
    assert of['2']['3'] == (74.0, 92.6, 76.3, 92.8, 36.8, 75.0)
    assert of['3a']['1'][:3] == (17.5, 41.0, 34.9)
    assert of['7']['1'][6:8] == (34.4, 49.0)
    assert of['A3']['5'][:3] == (21.8, 58.6, 48.8)
    assert all(of[name]['1'] == (18.2, 33.2) for name in ('1a', '1b', '1c'))


def test_an_own_set_of_shapes_is_taken_as_it_is(shapes, tmp_path):
    before = (shapes / 'shapes_ov.json').read_bytes()
    data = prepare_shapes(shapes)
    assert data == 'Shapes-OV (24 training and 9 validation scenes of 128 px, seed 0)'
    assert (shapes / 'shapes_ov.json').read_bytes() == before
    named = prepare_shapes(tmp_path / 'none', write=False)
    assert named.startswith('Shapes-OV (600 training and 240 validation scenes of 256 px')
    assert not (tmp_path / 'none').exists()


def test_a_set_of_an_earlier_version_is_written_anew(tmp_path):
    old = {'name': 'Shapes-OV', 'format': 1, 'train': 3, 'val': 2, 'size': 64, 'seed': 5}
    (tmp_path / 'shapes_ov.json').write_text(json.dumps(old))
    assert prepare_shapes(tmp_path, write=False).startswith('Shapes-OV (3 training and 2 val')
    assert not (tmp_path / 'train').exists()
    prepare_shapes(tmp_path)
    assert len(list((tmp_path / 'train').glob('*.jpg'))) == 3
    assert json.loads((tmp_path / 'shapes_ov.json').read_text())['format'] > 1


@pytest.mark.parametrize('suite', SUITES)
def test_a_declip_tower_is_measured_with_the_last_block_it_was_distilled_with(suite):
    runs = reproduction(suite, ['after']).queue.runs
    trained = runs['declip_seed0']
    mode = trained.context.config(trained.experiment.config).model.tower.last_block
    assert f'model.tower.last_block={mode}' in runs['evaluate_panoptic_declip_seed0'].options()
    others = [run for key, run in runs.items() if 'declip' not in key]
    assert not any('last_block' in option for run in others for option in run.options())
