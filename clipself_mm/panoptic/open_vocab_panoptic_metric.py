"""Panoptic quality whose labels follow a vocabulary, of seen and unseen classes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdet.evaluation import CocoPanopticMetric
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from panopticapi.evaluation import PQStat

from clipself_mm.datasets.annotations.categories import category_labels
from clipself_mm.datasets.annotations.coco_json import load_coco_json
from clipself_mm.models import name_classes

from .panoptic_vocabulary import find_panoptic_vocabulary

_PARTS = (('', None), ('_th', True), ('_st', False))


@METRICS.register_module()
class OpenVocabPanopticMetric(CocoPanopticMetric):
    """mmdet's `CocoPanopticMetric` (Kirillov et al. 2019) with classes matched by name.

    Label i of a prediction counts as the category named like class i of the data set, in whatever
    order the json lists them. With `seen`, the answer has `PQ_seen` and `PQ_unseen` too, and of
    each `_th` (things) and `_st` (stuff): means over those classes that occur, in percent; a group
    of which no class occurs is left out.

    Args:
        ann_file: COCO panoptic json with every class of the data set. As mmdet has it, the id image
            of ``x.jpg`` is ``x.png``, whatever folder the photo is in.
        seg_prefix: Folder of its id images.
        seen: Vocabulary of the classes that the generator was trained on, as
            `find_panoptic_vocabulary` takes it; None for no split. Classes are compared by name.
        **kwargs: As in mmdet's metric. With `outfile_prefix` there is no split.

    Raises:
        FileNotFoundError: The json does not exist.
        ValueError: It is broken, or `seen` and `outfile_prefix` are both given.
    """

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str,
        seen: str | Mapping | None = None,
        **kwargs: object,
    ) -> None:
        if seen is not None and kwargs.get('outfile_prefix') is not None:
            raise ValueError('seen and outfile_prefix do not go together: leave one out')
        keys = ('images', 'annotations', 'categories')
        load_coco_json(ann_file, keys, kwargs.get('backend_args'))  # a clear error, if need be
        super().__init__(ann_file=ann_file, seg_prefix=seg_prefix, **kwargs)
        self.ann_file = ann_file
        self.seen = None if seen is None else set(find_panoptic_vocabulary(seen).classes)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, meta: Mapping) -> None:
        """Match the classes with the json, so that a wrong file is found before the first image.

        Args:
            meta: Metainfo of the data set with `classes` and `thing_classes`.

        Raises:
            ValueError: The json lacks a class or has others, or calls a thing stuff.
        """
        lacking = [key for key in ('classes', 'thing_classes') if not (meta or {}).get(key)]
        if lacking:
            raise ValueError(
                f'{type(self).__name__} needs {lacking} in the metainfo of the data set, which '
                f'holds {sorted(meta or {})}'
            )
        self._dataset_meta = meta
        words = name_classes(meta['classes'], 'of the data set', meta['thing_classes'])
        categories = self._coco_api.dataset['categories']
        label_of = category_labels(categories, words, self.ann_file)
        if absent := set(range(len(words.classes))) - set(label_of.values()):
            names = [words.classes[label] for label in sorted(absent)]
            raise ValueError(f'{self.ann_file} has no category {names[:5]} of the data set')
        # mmdet numbers the classes as they come here.
        place = {name: label for label, name in enumerate(meta['classes'])}
        categories.sort(key=lambda entry: place[entry['name']])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum up all images.

        Args:
            results: Of each image its statistics (a `PQStat`), or truth and prediction.

        Returns:
            Key to percent: `PQ`, `SQ`, `RQ`, each of things (`_th`) and stuff (`_st`) too, and the
            split.
        """
        numbers = super().compute_metrics(results)
        if self.seen is None:
            return numbers
        numbers |= self.split_quality(results)
        shown = '  '.join(f'{key} {value:.2f}' for key, value in numbers.items() if 'seen' in key)
        print_log(shown, logger='current')
        return numbers

    def split_quality(self, results: Sequence[PQStat]) -> dict[str, float]:
        """PQ of seen and unseen classes, things and stuff apart.

        Args:
            results: Statistics of each image.

        Returns:
            Key to percent.
        """
        total = PQStat()
        for result in results:
            total += result
        numbers = {}
        for split, wanted in (('seen', True), ('unseen', False)):
            chosen = {
                key: entry
                for key, entry in self.categories.items()
                if (entry['name'] in self.seen) == wanted and _occurs(total, key)
            }
            for part, isthing in _PARTS:
                kinds = [bool(entry['isthing']) for entry in chosen.values()]
                if kinds and (isthing is None or isthing in kinds):
                    mean, _ = total.pq_average(chosen, isthing=isthing)
                    numbers[f'PQ_{split}{part}'] = 100 * mean['pq']
        return numbers


def _occurs(total: PQStat, category: int) -> bool:
    """Whether a category was annotated or predicted at all."""
    stat = total[category]
    return stat.tp + stat.fp + stat.fn > 0
