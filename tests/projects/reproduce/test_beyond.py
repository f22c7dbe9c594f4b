"""Tables beyond CLIPSelf: recipes on two data sets, chosen without the validation scenes."""

import copy
import json

import pytest
from mmengine.config import Config

from projects.reproduce import BEYOND_TABLES, Reproduction, RunContext, missing_data
from projects.reproduce.beyond import CHOSEN, LONG, RECIPES, scenes_of
from tests.commands import ROOT


@pytest.fixture
def data(tmp_path):
    clip = tmp_path / 'emoji_clip' / 'open_clip_model.safetensors'
    clip.parent.mkdir()
    clip.write_bytes(b'weights')
    return tmp_path / 'shapes_ov'


def runs_of(name, data, seeds=(0,), **options):
    table = BEYOND_TABLES[name](ROOT, data)
    context = RunContext(ROOT, data / 'work', data, 'data', **options)
    return Reproduction([table], seeds, context).queue.runs


def options_of(run):
    return dict(option.split('=', 1) for option in run.options())


@pytest.mark.parametrize('name', BEYOND_TABLES)
def test_every_option_is_a_key_of_its_config(name, data):
    added = {'train_cfg.val_begin', 'randomness.seed', 'test_evaluator.prefix'}
    for run in runs_of(name, data).values():
        flat = run.context.config(run.experiment.config).to_dict()
        for key in options_of(run).keys() - added:
            node = flat
            for part in key.split('.')[:-1]:
                node = node[int(part)] if isinstance(node, list) else node[part]
            # A tower's last block has a default.
            assert key.endswith('.last_block') or key.split('.')[-1] in node, (run.id, key)


def test_the_search_sees_development_scenes_of_both_sets_only(data):
    runs = runs_of('beyond-search', data)
    tested = {
        run.id: options_of(run)['test_dataloader.dataset.data_root']
        for run in runs.values()
        if 'evaluate' in run.id
    }
    assert len(tested) == 2 * (len(RECIPES) + 1)
    for name, folder in tested.items():
        own = 'shapes_ov_dev' if name.startswith('shapes_') else 'emoji_ov_dev'
        assert folder.endswith(f'/{own}/')


def test_each_set_has_its_teacher_cache_and_image_embeddings_have_none(data):
    runs = runs_of('beyond-search', data, teacher_cache=data / 'cache')
    folders = {
        run.experiment.name: options_of(run).get('model.teacher_cache.folder')
        for run in runs.values()
        if 'distil' in run.id
    }
    assert folders['shapes_distil_patches'] == folders['shapes_distil_objects'] is not None
    assert folders['emoji_distil_patches'] == folders['emoji_distil_objects'] is not None
    assert folders['shapes_distil_patches'] != folders['emoji_distil_patches']
    assert folders['shapes_distil_objects+image'] is None


def test_the_test_scenes_are_seen_by_towers_and_detectors_of_the_validation(data):
    validated, runs = runs_of('beyond', data), runs_of('beyond-test', data)
    tested = [run for run in runs.values() if not run.experiment.trains and run.id[7:] != 'objects']
    assert len(tested) == 2 * (len(CHOSEN) + 1)
    for run in tested:
        folder = options_of(run)['test_dataloader.dataset.data_root']
        assert folder.endswith('/shapes_ov_test/')
        assert {need.setup for need in run.needs.values()} <= {
            other.setup for other in validated.values()
        }
    detected = [run for run in tested if run.experiment.checkpoint]
    assert [run.needs['detector'].experiment.best_by for run in detected] == (
        ['coco/novel_ap50'] * (len(CHOSEN) + 1)
    )


def test_a_detector_has_the_last_block_of_its_tower(data):
    shapes, _ = scenes_of(ROOT, data)
    for recipe, ingredients in RECIPES.items():
        config = Config.fromfile(ROOT / ingredients.config, import_custom_modules=False)
        assert config.model.tower.get('last_block', 'value') == ingredients.last_block
        for place, run in (
            ('model.tower', shapes.evaluate(recipe, 'val')),
            ('model.backbone.tower', shapes.detect(recipe)),
        ):
            assert run.options[f'{place}.last_block'] == ingredients.last_block


def test_the_long_table_trains_four_times_as_long(data):
    runs, usual = runs_of('beyond-long', data), runs_of('beyond', data)
    distilled = {key: run for key, run in runs.items() if 'distil' in key}
    assert len(distilled) == len(LONG)
    assert not distilled.keys() & usual.keys()
    for run in distilled.values():
        config, options = run.context.config(run.experiment.config), options_of(run)
        assert int(options['train_cfg.max_epochs']) == 4 * config.train_cfg.max_epochs
        assert int(options['param_scheduler.0.end']) == 4 * config.param_scheduler[0].end
    for recipe in LONG:
        name = recipe.replace(' ', '').replace(',', '-')
        (detector,) = [run for key, run in runs.items() if f'_detect_{name}_' in key]
        assert detector.needs['tower'].id in distilled


def test_shares_and_boxes_of_a_recipe_reach_its_training(data):
    runs = runs_of('beyond-search', data)
    half = options_of(runs['shapes_distil_objects-halftheimages_seed0'])
    assert half['train_dataloader.dataset.pipeline.1.regions.shares'] == '[0.5,0.5]'
    few = runs['shapes_distil_objects-5boxes_seed0']
    assert options_of(few.needs['objects'])['test_evaluator.max_per_img'] == '5'
    assert few.needs['objects'].folder != runs['shapes_objects'].folder


def test_the_recipe_of_the_page_is_the_one_that_was_measured(data):
    run = runs_of('beyond', data)['shapes_distil_objects+image-eightoftenimages_seed0']
    measured = copy.deepcopy(run.context.config(run.experiment.config))
    shares = options_of(run)['train_dataloader.dataset.pipeline.1.regions.shares']
    measured.train_dataloader.dataset.pipeline[1].regions.shares = json.loads(shares)
    own = Config.fromfile(ROOT / 'configs/shapes/beyond/objects-image-8of10.py')
    assert own.to_dict() == measured.to_dict()


def test_object_regions_are_found_once_for_all_seeds_and_recipes(data):
    runs = runs_of('beyond', data, seeds=(0, 1))
    assert [key for key in runs if key.endswith('_objects')] == ['shapes_objects']
    needing = {key for key, run in runs.items() if 'objects' in run.needs}
    with_objects = [name for name in CHOSEN if RECIPES[name].objects]
    assert len(needing) == 2 * len(with_objects) > 0
    for key in needing:
        given = options_of(runs[key])['train_dataloader.dataset.ann_file']
        assert given == f'{runs["shapes_objects"].folder}/object_regions.json'


def test_setups_do_not_depend_on_places_but_on_the_clip(data, tmp_path_factory):
    setups = {key: run.setup for key, run in runs_of('beyond-search', data).items()}
    moved = tmp_path_factory.mktemp('moved')
    clip = moved / 'emoji_clip' / 'open_clip_model.safetensors'
    clip.parent.mkdir()
    clip.write_bytes(b'weights')
    again = runs_of('beyond-search', moved / 'shapes_ov')
    assert {key: run.setup for key, run in again.items()} == setups


def test_missing_data_is_named_with_the_command_that_makes_it(data):
    assert missing_data(data, ['1a', 'beyond', 'beyond-long']) == []  # Shapes-OV alone
    commands = missing_data(data, ['beyond-search', 'beyond-test'])
    assert [line.split()[1] for line in commands] == [
        'tools/make_shapes_ov.py',
        'tools/make_emoji_ov.py',
        'tools/make_emoji_ov.py',
        'tools/make_shapes_ov.py',
    ]
    assert commands[0].endswith(f'--out {data.parent / "shapes_ov_dev"}')
    for line in commands:
        assert (ROOT / line.split()[1]).is_file()


def test_the_plot_has_the_means_of_the_table(tmp_path):
    from projects.reproduce.beyond_plot import draw, points_of
    from projects.reproduce.records import Record, write_records

    titles = [
        column.title for scenes in scenes_of(tmp_path, tmp_path) for column in scenes.columns()
    ]
    lines = [
        Record('1', 'run', seed, 'setup', '', 'data', '2026-11-28', {'Shapes boxes': value})
        for seed, value in (('0', 20.0), ('1', 22.0))
    ]
    write_records(tmp_path / 'table.csv', titles, lines)
    points = points_of(tmp_path / 'table.csv')
    assert points['Shapes boxes'] == {'patches': 21}
    draw(points, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').stat().st_size > 5000
