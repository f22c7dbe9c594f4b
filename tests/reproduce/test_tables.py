"""The tables of both suites: configs and keys that exist, runs that are shared, right numbers."""

import re

import pytest

from clipself_mm.reproduce import TABLES, CocoSuite, Reproduction, Setting, ShapesSuite
from clipself_mm.reproduce.shapes_suite import prepare_shapes
from tests.commands import ROOT

SUITES = {'shapes': ShapesSuite, 'coco': CocoSuite}


def reproduction(suite, names=tuple(TABLES), seeds=(0,), **options):
    tables = [TABLES[name](SUITES[suite]()) for name in names]
    places = (ROOT, ROOT / 'work', ROOT / 'data')
    return Reproduction(tables, seeds, Setting(*places, 'data', **options))


@pytest.fixture(scope='module', params=SUITES)
def runs(request):
    return reproduction(request.param).campaign.runs


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
        'test_dataloader.dataset.max_nouns',
    }
    for run in runs.values():
        config = run.setting.config(run.experiment.config)
        unknown = [
            key
            for key in (option.partition('=')[0] for option in run.options())
            if key not in new and not has(config, key)
        ]
        assert unknown == [], run.id


def test_every_folder_of_the_data_is_given(runs):
    """Nothing is read beside --data-root, --work-dir and the checkpoints."""
    for run in runs.values():
        config = run.setting.config(run.experiment.config)
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


@pytest.mark.parametrize('suite', SUITES)
def test_default_rows_of_table_1_and_table_2_are_one_training(suite):
    by_table = [set(reproduction(suite, [name]).campaign.runs) for name in ('1a', '1b', '1c', '2')]
    assert 'patches_seed0' in set.intersection(*by_table)
    runs = reproduction(suite, ['1a', '1b', '1c', '2']).campaign.runs
    evaluations = [key for key in runs if key.startswith('evaluate_')]
    originals = [key for key in evaluations if key.endswith('_original')]
    # Shapes-OV has one measurement for boxes and masks, COCO one for either.
    assert len(originals) == (1 if suite == 'shapes' else 2)
    towers = [
        key for key in runs if key in {'patches_seed0', 'proposals_seed0', 'image-text_seed0'}
    ]
    assert len(towers) == 3
    assert len(runs) < sum(map(len, by_table))


def test_proposals_come_from_the_detector_on_the_original_tower():
    runs = reproduction('shapes', ['2']).campaign.runs
    assert list(runs) == [
        'evaluate_panoptic_original',
        'patches_seed0',
        'evaluate_panoptic_patches_seed0',
        'train_fvit_original_seed0',
        'propose_seed0',
        'proposals_seed0',
        'evaluate_panoptic_proposals_seed0',
    ]
    ann_file = f'train_dataloader.dataset.ann_file={ROOT}/work/propose_seed0/proposals.json'
    assert ann_file in runs['proposals_seed0'].options()


@pytest.mark.parametrize('suite', SUITES)
def test_the_two_methods_of_table_7_share_their_proposals(suite):
    runs = reproduction(suite, ['7']).campaign.runs
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
    assert of['3a']['1'] == (17.5, 41.0, 34.9)
    assert of['7']['1'][-2:] == (34.4, 49.0)
    assert of['A3']['5'] == (21.8, 58.6, 48.8)
    assert all(of[name]['1'] == (18.2, 33.2) for name in ('1a', '1b', '1c'))


def test_expected_numbers_of_the_ablation_configs_are_those_of_the_tables():
    suite = CocoSuite()
    for name in ('1a', '1b', '1c'):
        for row in TABLES[name](suite).rows[1:]:
            (evaluation,) = row.measured_by
            path = ROOT / evaluation.needs['tower'].config
            if path.parent.name == 'ablations':
                top1, top5 = row.paper
                assert f'top-1 / top-5 of boxes: {top1} / {top5} (paper, Table {name}' in (
                    path.read_text()
                ), path.name


def test_an_own_set_of_shapes_is_taken_as_it_is(shapes, tmp_path):
    before = (shapes / 'shapes_ov.json').read_bytes()
    data = prepare_shapes(shapes)
    assert data == 'Shapes-OV (24 training and 9 validation scenes of 128 px, seed 0)'
    assert (shapes / 'shapes_ov.json').read_bytes() == before
    named = prepare_shapes(tmp_path / 'none', write=False)
    assert named.startswith('Shapes-OV (600 training and 240 validation scenes of 256 px')
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize('suite', SUITES)
def test_a_declip_tower_is_measured_with_the_last_block_it_was_distilled_with(suite):
    runs = reproduction(suite, ['after']).campaign.runs
    trained = runs['declip_seed0']
    mode = trained.setting.config(trained.experiment.config).model.tower.last_block
    assert f'model.tower.last_block={mode}' in runs['evaluate_panoptic_declip_seed0'].options()
    others = [run for key, run in runs.items() if 'declip' not in key]
    assert not any('last_block' in option for run in others for option in run.options())
