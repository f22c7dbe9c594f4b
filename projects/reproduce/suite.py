"""The experiments behind the tables, whatever the data: trainings, and what measures them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from .experiment import Experiment
from .given_proposals import GivenProposals

TOWER_LR = 'optim_wrapper.paramwise_cfg.custom_keys.tower.lr_mult'
"""Share of the learning rate that a tower which is not frozen trains at."""


class Recipe(NamedTuple):
    """A training: a config, and what is changed in it."""

    config: str
    changes: Mapping[str, str] = {}


def ablations(
    patches: str, splits: Iterable[int], blocks: Iterable[int], sizes: Iterable[int]
) -> dict[str, Recipe]:
    """The towers of Table 1: CLIPSelf with patches and one number changed.

    Args:
        patches: Config of CLIPSelf with patches.
        splits: Largest rows and columns of a grid.
        blocks: How many blocks train, the last ones.
        sizes: Input sizes of the student, px.
    """
    pipeline = 'train_dataloader.dataset.pipeline'
    changes = {
        **{f'max-split-{n}': {f'{pipeline}.1.regions.max_split': str(n)} for n in splits},
        **{f'blocks-{n}': {'model.unlocked_blocks': str(n)} for n in blocks},
        **{
            f'size-{n}': {
                'model.data_preprocessor.image_size': str(n),
                f'{pipeline}.3.size': str(n),
                'val_dataloader.dataset.pipeline.4.size': str(n),
            }
            for n in sizes
        },
    }
    return {tower: Recipe(patches, change) for tower, change in changes.items()}


class Suite(ABC):
    """Names experiments by what they are for; a subclass knows configs and files.

    Towers are called by one word: ``patches``, ``proposals``, ``region-text``, ``image-text``,
    ``max-split-4``, ``blocks-3``, ``size-320``, ``scd``, ``declip``. All but ``image-text`` are
    trained on one GPU: the release never synchronised gradients, so its published weights are what
    one GPU reaches.

    Args:
        given: Proposals to take in place of an RPN's of its own.

    Attributes:
        distillations: Tower to what trains it.
        detectors: Detector to what trains it.
        evaluation: Config that measures a tower by all classes, things and stuff, in one run.
        pseudo_labeller: Config that gives proposals the nouns of captions.
        splits: Largest splits of Table 1a, each with its tower.
        blocks: Of Table 1b: tower, how many blocks train, the paper's row it stands for.
        sizes: Of Table 1c: tower, size of the student, the paper's row it stands for.
        epoch_iters: Iterations that count as an epoch of a distillation that counts iterations.
        tower_key: Key of a tower's config that takes a refined one.
        tower_file: What it takes, below a training's folder.
        original: What it takes for the untrained one.
        train_images: Folder of the training images, below that of the data.
        remark: How its blocks and sizes compare with the paper's.
        foundation_remark: What stands in DINOv2's place in DeCLIP's row, if anything does.
        nouns: Tower of region-text pairs to how many nouns an image keeps; None for all of its
            captions.
        own_nouns: Vocabulary that proposals get nouns of where none are given.
        nouns_remark: What is particular about its captions.
        own_proposals: Whose proposals there are where none are given.
        last_blocks: Tower to the mode of its last block, where that is not the value path.
    """

    distillations: ClassVar[Mapping[str, Recipe]]
    detectors: ClassVar[Mapping[str, Recipe]]
    evaluation: ClassVar[str]
    pseudo_labeller: ClassVar[str]
    splits: ClassVar[tuple[tuple[str, int], ...]]
    blocks: ClassVar[tuple[tuple[str, str, str], ...]]
    sizes: ClassVar[tuple[tuple[str, str, str], ...]]
    epoch_iters: ClassVar[int | None] = None
    tower_key: ClassVar[str]
    tower_file: ClassVar[str]
    original: ClassVar[str]
    train_images: ClassVar[str]
    remark: ClassVar[str] = ''
    foundation_remark: ClassVar[str] = ''
    nouns_remark: ClassVar[str] = ''
    own_proposals: ClassVar[str]
    own_nouns: ClassVar[str]
    last_blocks: ClassVar[Mapping[str, str]] = {'declip': 'qq'}
    nouns: ClassVar[Mapping[str, int | None]] = {'region-text': None}

    def __init__(self, given: GivenProposals | None = None) -> None:
        self.given = given

    @abstractmethod
    def proposals(self) -> Experiment:
        """Leaves ``proposals.json``, the proposals of the training images."""

    @property
    def proposals_remark(self) -> str:
        """Whose proposals the rows with proposals have."""
        whose = f'those of {self.given.path.name}' if self.given else self.own_proposals
        return f'Region proposals are {whose}.'

    @property
    def pairs_remark(self) -> str:
        """What is particular about the region-text pairs."""
        if self.given is not None and self._given_pairs('region-text'):
            return f'Region-text pairs have the {self.given.nouns} nouns of {self.given.path.name}.'
        return self.nouns_remark

    def distil(self, tower: str) -> Experiment:
        """The training of a tower."""
        config, changes = self.distillations[tower]
        options = self.data_of('train', 'val') | {'train_cfg.val_begin': '1000000'}
        source: dict[str, Any] = {}
        if tower == 'proposals':
            options['train_dataloader.dataset.ann_file'] = self._proposals_file
            source = self._proposals_source()
        elif tower in self.nouns and self._given_pairs(tower):
            options |= {
                'train_dataloader.dataset.ann_file': self._proposals_file,
                'train_dataloader.dataset.vocabulary': 'None',
                'model.nouns.vocabulary': self._proposals_file,
            }
            source = self._proposals_source()
        elif tower in self.nouns:
            options |= {
                'train_dataloader.dataset.ann_file': '{pairs}/pairs.json',
                'train_dataloader.dataset.vocabulary': self.own_nouns,
                'model.nouns.vocabulary': self.own_nouns,
            }
            source = {'needs': {'pairs': self.pseudo_labels(tower)}}
        return Experiment(
            tower,
            config,
            {**changes, **options},
            trains=True,
            one_gpu=tower != 'image-text',  # which contrasts the pairs of all GPUs
            epoch_iters=self.epoch_iters,
            **source,
        )

    def pseudo_labels(self, tower: str) -> Experiment:
        """Leaves ``pairs.json``: the proposals, each with a noun of its image's captions."""
        options = self.data_of('test') | {
            'test_dataloader.dataset.ann_file': self._proposals_file,
            'test_evaluator.out_file': '{here}/pairs.json',
        }
        if self.nouns[tower] is not None:
            options['test_dataloader.dataset.max_nouns'] = str(self.nouns[tower])
        name = tower.replace('region-text', 'pseudo-labels')
        return Experiment(name, self.pseudo_labeller, options, **self._proposals_source())

    def evaluate(self, tower: str | None) -> Experiment:
        """Region classification by a tower; by the untrained one for None."""
        name = f'evaluate_panoptic_{tower or "original"}'
        options = self.data_of('test') | self.tower_options('model.tower', tower)
        needs = {} if tower is None else {'tower': self.distil(tower)}
        return Experiment(name, self.evaluation, options, needs, seeded=tower is not None)

    def detect(self, tower: str | None, detector: str = 'fvit') -> Experiment:
        """F-ViT on a tower, measured after each epoch; on the untrained one for None."""
        config, changes = self.detectors[detector]
        options = {
            **changes,
            **self.data_of('train', 'val'),
            **self.tower_options('model.backbone.tower', tower),
            'train_cfg.val_interval': '1',
        }
        return Experiment(
            f'detect_{detector}_{tower or "original"}',
            config,
            options,
            needs={} if tower is None else {'tower': self.distil(tower)},
            trains=True,
            best_by='coco/novel_ap50',
        )

    def tower_options(self, place: str, tower: str | None) -> dict[str, str]:
        """Options that put a tower at a place of a config; the untrained one for None."""
        file = self.original if tower is None else self.tower_file.format(folder='{tower}')
        options = {f'{place}.{self.tower_key}': file}
        if tower is not None and tower in self.last_blocks:
            options[f'{place}.last_block'] = self.last_blocks[tower]
        return options

    @property
    def _proposals_file(self) -> str:
        return '{proposals}' if self.given else '{proposals}/proposals.json'

    def _proposals_source(self) -> dict[str, Any]:
        """The arguments of an experiment that say where its proposals come from."""
        if self.given:
            return {'files': {'proposals': self.given.path}}
        return {'needs': {'proposals': self.proposals()}}

    def _given_pairs(self, tower: str) -> bool:
        """Whether the given proposals have the nouns that a tower is trained with."""
        return bool(self.given and self.given.nouns and self.nouns[tower] is None)

    @staticmethod
    def data_of(*splits: str) -> dict[str, str]:
        """Options that make the data sets of some splits read the run's data."""
        return {f'{split}_dataloader.dataset.data_root': '{data}/' for split in splits}
