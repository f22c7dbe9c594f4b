"""The experiments behind the tables, whatever the data: trainings, and what measures them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from .experiment import Experiment


class Suite(ABC):
    """Names experiments by what they are for; a subclass knows configs and files.

    Towers are called by one word: ``patches``, ``proposals``, ``region-text``, ``image-text``,
    ``max-split-4``, ``blocks-3``, ``size-320``, ``scd``, ``declip``.

    Attributes:
        distillations: Tower to the config that trains it.
        detectors: Detector to its config.
        evaluations: ``panoptic`` and ``boxes`` to the config that measures a tower so.
        splits: Largest splits of Table 1a, each with its tower.
        blocks: Of Table 1b: tower, how many blocks train, the paper's row it stands for.
        sizes: Of Table 1c: tower, size of the student, the paper's row it stands for.
        tower_key: Key of a tower's config that takes a refined one.
        tower_file: What it takes, below a training's folder.
        val_boxes: Json that detectors are measured by, below the folder of the data.
        remark: How its blocks and sizes compare with the paper's.
        foundation_remark: What stands in DINOv2's place in DeCLIP's row, if anything does.
        nouns: Tower of region-text pairs to how many nouns an image keeps; None for all of its
            captions.
        nouns_remark: What is particular about its captions.
        last_blocks: Tower to the mode of its last block, where that is not the value path.
    """

    distillations: ClassVar[Mapping[str, str]]
    detectors: ClassVar[Mapping[str, str]]
    evaluations: ClassVar[Mapping[str, str]]
    splits: ClassVar[tuple[tuple[str, int], ...]]
    blocks: ClassVar[tuple[tuple[str, str, str], ...]]
    sizes: ClassVar[tuple[tuple[str, str, str], ...]]
    tower_key: ClassVar[str]
    tower_file: ClassVar[str]
    val_boxes: ClassVar[str]
    remark: ClassVar[str] = ''
    foundation_remark: ClassVar[str] = ''
    nouns_remark: ClassVar[str] = ''
    last_blocks: ClassVar[Mapping[str, str]] = {'declip': 'qq'}
    nouns: ClassVar[Mapping[str, int | None]] = {'region-text': None}

    @abstractmethod
    def proposals(self) -> Experiment:
        """Leaves ``proposals.json``, the proposals of the training images."""

    def distil(self, tower: str) -> Experiment:
        """The training of a tower."""
        options = self._data_of('train', 'val') | {'train_cfg.val_begin': '1000000'}
        needs = {}
        if tower == 'proposals':
            needs = {'proposals': self.proposals()}
            options['train_dataloader.dataset.ann_file'] = '{proposals}/proposals.json'
        elif tower in self.nouns:
            needs = {'pairs': self.pseudo_labels(tower)}
            options['train_dataloader.dataset.ann_file'] = '{pairs}/pairs.json'
        return Experiment(tower, self.distillations[tower], options, needs, trains=True)

    def pseudo_labels(self, tower: str) -> Experiment:
        """Leaves ``pairs.json``: the proposals, each with a noun of its image's captions."""
        options = self._data_of('test') | {
            'test_dataloader.dataset.ann_file': '{proposals}/proposals.json',
            'test_evaluator.ann_file': '{proposals}/proposals.json',
            'test_evaluator.out_file': '{here}/pairs.json',
        }
        if self.nouns[tower] is not None:
            options['test_dataloader.dataset.max_nouns'] = str(self.nouns[tower])
        needs = {'proposals': self.proposals()}
        name = tower.replace('region-text', 'pseudo-labels')
        return Experiment(name, self.evaluations['pseudo-labels'], options, needs)

    def evaluate(self, tower: str | None, what: str = 'panoptic') -> Experiment:
        """Region classification by a tower; by the untrained one for None."""
        name, options = f'evaluate_{what}', self._data_of('test')
        if tower is None:
            return Experiment(f'{name}_original', self.evaluations[what], options, seeded=False)
        options |= self._tower('model.tower', tower)
        needs = {'tower': self.distil(tower)}
        return Experiment(f'{name}_{tower}', self.evaluations[what], options, needs)

    def train_detector(self, tower: str | None, detector: str = 'fvit') -> Experiment:
        """F-ViT on a tower; on the untrained one for None."""
        options = self._data_of('train', 'val') | {
            'val_evaluator.ann_file': f'{{data}}/{self.val_boxes}',
            'train_cfg.val_begin': '1000000',
        }
        return self._detector('train', tower, detector, options, {}, trains=True)

    def detect(self, tower: str | None, detector: str = 'fvit') -> Experiment:
        """The measurement of a detector."""
        options = self._data_of('test') | {
            'test_evaluator.ann_file': f'{{data}}/{self.val_boxes}',
        }
        needs = {'detector': self.train_detector(tower, detector)}
        return self._detector('detect', tower, detector, options, needs, checkpoint='detector')

    def _detector(
        self,
        verb: str,
        tower: str | None,
        detector: str,
        options: dict[str, str],
        needs: dict[str, Experiment],
        **kwargs: object,
    ) -> Experiment:
        name, config = f'{verb}_{detector}_{tower or "original"}', self.detectors[detector]
        if tower is not None:
            options |= self._tower('model.backbone.tower', tower)
            needs |= {'tower': self.distil(tower)}
        return Experiment(name, config, options, needs, **kwargs)

    def _tower(self, place: str, tower: str) -> dict[str, str]:
        options = {f'{place}.{self.tower_key}': self.tower_file.format(folder='{tower}')}
        if tower in self.last_blocks:
            options[f'{place}.last_block'] = self.last_blocks[tower]
        return options

    @staticmethod
    def _data_of(*splits: str) -> dict[str, str]:
        return {f'{split}_dataloader.dataset.data_root': '{data}/' for split in splits}
