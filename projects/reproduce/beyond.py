"""Tables of recipes beyond CLIPSelf, on Shapes-OV and Emoji-OV: which ingredients help.

``beyond-search`` compares recipes on development scenes of both data sets. ``beyond`` looks at the
validation scenes of Shapes-OV, and trains F-ViT on the towers; ``beyond-long`` does so after four
times the steps. ``beyond-test`` measures the towers and detectors of ``beyond`` on further scenes,
on which nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .experiment import Experiment
from .shapes_suite import FOLDER, PATCHES, ShapesSuite
from .table import Column, Row, Table

MIXTURES = f'{FOLDER}/beyond'
OBJECTS = f'{FOLDER}/clipself_tiny_objects_shapes-ov.py'
KINDS = {
    'boxes': 'boxes',
    'thing masks': 'thing_masks',
    'stuff masks': 'stuff_masks',
    'image crops': 'image_crops',
}
"""Title of a column to the metric's name."""


class Ingredients(NamedTuple):
    """A recipe.

    Attributes:
        config: What distils the tower.
        objects: Boxes per image in the json of object regions; 0 for a recipe without.
        last_block: Mode of the tower's last block.
        shares: Of images with object regions and with cells; None for the config's.
    """

    config: str
    objects: int = 0
    last_block: str = 'value'
    shares: tuple[float, float] | None = None


RECIPES = {
    'patches': Ingredients(PATCHES),
    'objects': Ingredients(OBJECTS, objects=10),
    'image': Ingredients(f'{MIXTURES}/image.py'),
    'objects + image': Ingredients(f'{MIXTURES}/objects-image.py', objects=10),
    'correlation': Ingredients(f'{FOLDER}/clipself_tiny_scd_shapes-ov.py'),
    'values-3': Ingredients(f'{FOLDER}/clipself_tiny_values3_shapes-ov.py', last_block='values-3'),
    'objects + values-3': Ingredients(
        f'{MIXTURES}/objects-values3.py', objects=10, last_block='values-3'
    ),
    'relational': Ingredients(f'{MIXTURES}/relational.py'),
    'grids': Ingredients(f'{MIXTURES}/grids.py'),
    'tokens': Ingredients(f'{MIXTURES}/tokens.py'),
    'centred': Ingredients(f'{MIXTURES}/centred.py'),
    'similarity': Ingredients(f'{MIXTURES}/similarity.py'),
    'context': Ingredients(f'{MIXTURES}/context.py'),
    'confidence': Ingredients(f'{MIXTURES}/confidence.py'),
    'objects + correlation': Ingredients(f'{MIXTURES}/objects-correlation.py', objects=10),
    'objects + correlation + image': Ingredients(
        f'{MIXTURES}/objects-correlation-image.py', objects=10
    ),
    'objects + relational': Ingredients(f'{MIXTURES}/objects-relational.py', objects=10),
    'objects, 5 boxes': Ingredients(OBJECTS, objects=5),
    'objects, 20 boxes': Ingredients(OBJECTS, objects=20),
    'objects, half the images': Ingredients(OBJECTS, objects=10, shares=(0.5, 0.5)),
    'objects, nine of ten images': Ingredients(OBJECTS, objects=10, shares=(0.9, 0.1)),
    'objects + grids': Ingredients(f'{MIXTURES}/objects-grids.py', objects=10),
    'objects + grids + image': Ingredients(f'{MIXTURES}/objects-grids-image.py', objects=10),
    'objects moved': Ingredients(f'{MIXTURES}/moved.py', objects=10),
    'objects + image, nine of ten images': Ingredients(
        f'{MIXTURES}/objects-image.py', objects=10, shares=(0.9, 0.1)
    ),
    'objects + image, eight of ten images': Ingredients(
        f'{MIXTURES}/objects-image.py', objects=10, shares=(0.8, 0.2)
    ),
}
"""Name to recipe: patches, ingredients alone, combinations. Tables know a row by its number,
so new ones come last.
"""
CHOSEN = (
    'patches',
    'correlation',
    'objects',
    'objects + image',
    'objects + image, eight of ten images',
    'objects + image, nine of ten images',
)
"""Recipes of the table `beyond`."""
LONG = ('patches', 'objects + image, eight of ten images')
"""Recipes of the table `beyond-long`."""
LONG_EPOCHS = 56


class Scenes(NamedTuple):
    """A data set with its CLIP.

    Attributes:
        name: Prefix of its metrics.
        title: Its name in a table.
        data: Folder with training and validation scenes, as an option (see ``Experiment``).
        dev: Folder whose validation scenes are the development split, likewise.
        test: Folder whose validation scenes are the test split, likewise; None for no such split.
        clip: Model of the tower, likewise.
        vocabulary: Classes, things and stuff, likewise.
        files: ``Experiment.files``: what is known by its content.
    """

    name: str
    title: str
    data: str
    dev: str
    test: str | None
    clip: str
    vocabulary: str
    files: dict[str, Path]

    def distil(self, recipe: str, epochs: int | None = None) -> Experiment:
        """The training of a tower by a recipe; epochs of None are those of the config."""
        ingredients = RECIPES[recipe]
        options = {
            'train_dataloader.dataset.data_root': f'{self.data}/',
            'val_dataloader.dataset.data_root': f'{self.data}/',
            'val_dataloader.dataset.vocabulary': self.vocabulary,
            'model.classifier.vocabulary': self.vocabulary,
            'model.tower.model': self.clip,
            'train_cfg.val_begin': '1000000',
        }
        needs = {}
        if ingredients.objects:
            needs['objects'] = self.find_objects(ingredients.objects)
            options['train_dataloader.dataset.ann_file'] = '{objects}/object_regions.json'
        if ingredients.shares is not None:
            shares = 'train_dataloader.dataset.pipeline.1.regions.shares'
            options[shares] = '[{},{}]'.format(*ingredients.shares)
        if epochs is not None:
            options |= {'train_cfg.max_epochs': f'{epochs}', 'param_scheduler.0.end': f'{epochs}'}
        return Experiment(
            self._name('distil', recipe, epochs),
            ingredients.config,
            options,
            needs,
            self.files,
            trains=True,
        )

    def find_objects(self, boxes: int) -> Experiment:
        """Leaves ``object_regions.json``, the best boxes of each training scene."""
        options = {
            'test_dataloader.dataset.data_root': f'{self.data}/',
            'test_evaluator.out_file': '{here}/object_regions.json',
            'model.tower.model': self.clip,
        }
        name = f'{self.name}_objects'
        if boxes != 10:
            options['test_evaluator.max_per_img'] = f'{boxes}'
            name += f'{boxes}'
        config = f'{FOLDER}/object-regions_tiny_shapes-ov.py'
        return Experiment(name, config, options, files=self.files, seeded=False)

    def evaluate(self, recipe: str | None, split: str, epochs: int | None = None) -> Experiment:
        """Region classification by a tower, on `dev`, `val` or `test`; None: the untrained."""
        folder = {'dev': self.dev, 'val': self.data, 'test': self.test}[split]
        options = {
            'test_dataloader.dataset.data_root': f'{folder}/',
            'test_dataloader.dataset.vocabulary': self.vocabulary,
            'model.classifier.vocabulary': self.vocabulary,
            'model.tower.model': self.clip if recipe is None else 'local-dir:{tower}/tower',
            'test_evaluator.prefix': self.name,
        }
        needs = {}
        if recipe is not None:
            options['model.tower.last_block'] = RECIPES[recipe].last_block
            needs['tower'] = self.distil(recipe, epochs)
        name = self._name(f'evaluate_{split}', recipe or 'original', epochs)
        config = ShapesSuite.evaluation
        return Experiment(name, config, options, needs, self.files, seeded=recipe is not None)

    def detect(self, recipe: str | None, epochs: int | None = None) -> Experiment:
        """F-ViT on a tower, validated after each epoch."""
        options = {
            'train_dataloader.dataset.data_root': f'{self.data}/',
            'val_dataloader.dataset.data_root': f'{self.data}/',
            'model.backbone.tower.model': self.clip,
            'train_cfg.val_interval': '1',
        }
        needs = {}
        if recipe is not None:
            options['model.backbone.tower.model'] = 'local-dir:{tower}/tower'
            options['model.backbone.tower.last_block'] = RECIPES[recipe].last_block
            needs['tower'] = self.distil(recipe, epochs)
        config = ShapesSuite.detectors['fvit'].config
        name = self._name('detect', recipe or 'original', epochs)
        return Experiment(
            name, config, options, needs, self.files, trains=True, best_by='coco/novel_ap50'
        )

    def test_detector(self, recipe: str | None) -> Experiment:
        """F-ViT after its last epoch, on the test split."""
        needs = {'detector': self.detect(recipe)}
        tower = self.clip
        if recipe is not None:
            needs['tower'], tower = self.distil(recipe), 'local-dir:{tower}/tower'
        options = {
            'test_dataloader.dataset.data_root': f'{self.test}/',
            'model.backbone.tower.model': tower,
        }
        if recipe is not None:
            options['model.backbone.tower.last_block'] = RECIPES[recipe].last_block
        name = self._name('test', recipe or 'original', None)
        config = ShapesSuite.detectors['fvit'].config
        return Experiment(name, config, options, needs, self.files, checkpoint='detector')

    def columns(self) -> tuple[Column, ...]:
        """Top-1 of all kinds of regions."""
        return tuple(
            Column(f'{self.title} {title}', f'{self.name}/{kind}/top1')
            for title, kind in KINDS.items()
        )

    def _name(self, what: str, recipe: str, epochs: int | None) -> str:
        name = f'{self.name}_{what}_{recipe.replace(" ", "").replace(",", "-")}'
        return name if epochs is None else f'{name}_{epochs}epochs'


def scenes_of(root: Path, data_root: Path) -> tuple[Scenes, Scenes]:
    """Shapes-OV and Emoji-OV.

    Args:
        root: The checkout.
        data_root: Folder of Shapes-OV; the others lie beside it, see ``missing_data``.
    """
    clip = data_root.parent / 'emoji_clip'
    files = {
        'vocabulary': root / 'projects/emoji_ov/emoji_ov_panoptic.json',
        'clip': clip / 'open_clip_model.safetensors',
    }
    shapes = Scenes(
        'shapes',
        'Shapes',
        '{data}',
        '{data}/../shapes_ov_dev',
        '{data}/../shapes_ov_test',
        ShapesSuite.original,
        'shapes_ov_panoptic',
        {},
    )
    emoji = Scenes(
        'emoji',
        'Emoji',
        '{data}/../emoji_ov',
        '{data}/../emoji_ov_dev',
        None,
        'local-dir:{data}/../emoji_clip',
        '{vocabulary}',
        files,
    )
    return shapes, emoji


def missing_data(data_root: Path, tables: Iterable[str]) -> list[str]:
    """Commands that make the folders which some tables need and which are not there.

    Args:
        data_root: Folder of Shapes-OV; the others lie beside it.
        tables: Names of tables; those of other modules need no further folder.
    """
    shapes, emoji = 'tools/make_shapes_ov.py', 'tools/make_emoji_ov.py'
    makers = {
        'beyond-search': {
            'shapes_ov_dev': f'{shapes} --seed 1 --train 8',
            'emoji_ov': emoji,
            'emoji_ov_dev': f'{emoji} --seed 1 --train 8',
            'emoji_clip': 'tools/train_tiny_clip.py --data emoji',
        },
        'beyond-test': {'shapes_ov_test': f'{shapes} --seed 2 --train 8'},
    }
    return [
        f'python {command} --out {data_root.parent / folder}'
        for table in tables
        for folder, command in makers.get(table, {}).items()
        if not (data_root.parent / folder).is_dir()
    ]


def search_table(root: Path, data_root: Path) -> Table:
    """Each ingredient alone and some combinations, on the development scenes of both sets."""
    both = scenes_of(root, data_root)
    rows = [
        Row(
            str(number),
            (recipe or 'original',),
            tuple(scenes.evaluate(recipe, 'dev') for scenes in both),
            (None,) * 8,
        )
        for number, recipe in enumerate([None, *RECIPES])
    ]
    return Table(
        'beyond-search',
        'ingredients of recipes beyond CLIPSelf, top-1 on development scenes',
        '',
        ('recipe',),
        tuple(column for scenes in both for column in scenes.columns()),
        tuple(rows),
        'Development scenes are rendered anew (seed 1); the validation scenes are not looked at. '
        'Emoji-OV has as many scenes, and its own CLIP.',
    )


def beyond_table(root: Path, data_root: Path) -> Table:
    """The chosen recipes on the validation scenes of Shapes-OV, with F-ViT on their towers."""
    shapes, _ = scenes_of(root, data_root)
    rows = [(shapes.evaluate(recipe, 'val'), shapes.detect(recipe)) for recipe in (None, *CHOSEN)]
    return _with_detectors('beyond', '', (None, *CHOSEN), rows, shapes, 'last/')


def long_table(root: Path, data_root: Path) -> Table:
    """The same after four times the steps."""
    shapes, _ = scenes_of(root, data_root)
    rows = [
        (shapes.evaluate(recipe, 'val', LONG_EPOCHS), shapes.detect(recipe, LONG_EPOCHS))
        for recipe in LONG
    ]
    title = f', {LONG_EPOCHS} epochs'
    return _with_detectors('beyond-long', title, LONG, rows, shapes, 'last/')


def held_out_table(root: Path, data_root: Path) -> Table:
    """Towers and detectors of ``beyond`` on scenes of Shapes-OV on which nothing was chosen."""
    shapes, _ = scenes_of(root, data_root)
    rows = [
        (shapes.evaluate(recipe, 'test'), shapes.test_detector(recipe))
        for recipe in (None, *CHOSEN)
    ]
    return _with_detectors('beyond-test', ', test scenes', (None, *CHOSEN), rows, shapes)


def _with_detectors(
    name: str,
    title: str,
    recipes: Sequence[str | None],
    measured_by: Sequence[tuple[Experiment, ...]],
    scenes: Scenes,
    which: str = '',
) -> Table:
    detection = tuple(
        Column(f'last AP50 {split}', f'{which}coco/{split}_ap50', 100)
        for split in ('novel', 'base')
    )
    columns = (*scenes.columns(), *detection)
    rows = [
        Row(str(number), (recipe or 'original',), experiments, (None,) * len(columns))
        for number, (recipe, experiments) in enumerate(zip(recipes, measured_by, strict=True))
    ]
    heading = f'recipes beyond CLIPSelf on Shapes-OV{title}'
    return Table(name, heading, '', ('recipe',), columns, tuple(rows), 'See docs/beyond.md.')


BEYOND_TABLES: dict[str, Callable[[Path, Path], Table]] = {
    'beyond-search': search_table,
    'beyond': beyond_table,
    'beyond-test': held_out_table,
    'beyond-long': long_table,
}
"""Name to what makes the table of a checkout and the folder of Shapes-OV."""
