"""Panoptic quality with classes matched by name, split into seen and unseen classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mmdet.evaluation import CocoPanopticMetric
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from panopticapi.evaluation import PQStat

from clipself_mm.datasets.annotations.categories import category_labels
from clipself_mm.datasets.annotations.coco_json import image_file_names
from clipself_mm.datasets.annotations.panoptic_json import load_panoptic_json
from clipself_mm.models import name_classes

from .panoptic_vocabulary import find_panoptic_vocabulary

_PARTS = (('', None), ('_th', True), ('_st', False))


@METRICS.register_module()
class OpenVocabPanopticMetric(CocoPanopticMetric):
    """mmdet's `CocoPanopticMetric` (Kirillov et al. 2019) with classes matched by name.

    Label i is the category of the json with the name of class i of the data set. With `seen`, the
    metric adds `PQ_seen` and `PQ_unseen`, each also for things (`_th`) and stuff (`_st`): means
    over the classes that occur, in percent. A group without such a class is left out.

    Args:
        ann_file: COCO panoptic json with every class of the data set. As in mmdet, the id image of
            ``FOLDER/x.jpg`` is ``x.png``.
        seg_prefix: Folder of the id images.
        seen: Vocabulary of the classes that the generator was trained on, see
            `find_panoptic_vocabulary`; matched by name. None for no split.
        backend_args: Arguments of MMEngine's file backend.
        **kwargs: As in mmdet's metric. `outfile_prefix` excludes `seen`.

    Raises:
        FileNotFoundError: The json does not exist.
        ValueError: The json is broken, or `seen` and `outfile_prefix` are both given.
    """

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str,
        seen: str | Mapping | None = None,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        if seen is not None and kwargs.get('outfile_prefix') is not None:
            raise ValueError(
                f'{type(self).__name__}: seen and outfile_prefix exclude each other, remove one'
            )
        # mmdet reads the file without checks, and needs the name of each image.
        content, _ = load_panoptic_json(ann_file, backend_args)
        image_file_names(content['images'], ann_file)
        if nameless := [image['id'] for image in content['images'] if 'file_name' not in image]:
            raise ValueError(f"{ann_file}: image {nameless[0]!r} has no 'file_name'")
        super().__init__(
            ann_file=ann_file, seg_prefix=seg_prefix, backend_args=backend_args, **kwargs
        )
        self.ann_file = ann_file
        self.seen = None if seen is None else set(find_panoptic_vocabulary(seen).classes)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, meta: Mapping) -> None:
        """Match the classes with the json before the first image.

        Args:
            meta: Metainfo of the data set with `classes` and `thing_classes`.

        Raises:
            ValueError: The categories of the json are not the classes of the data set, or things
                and stuff differ.
        """
        lacking = [key for key in ('classes', 'thing_classes') if not (meta or {}).get(key)]
        if lacking:
            raise ValueError(
                f'{type(self).__name__} needs {lacking} in the metainfo of the data set, found '
                f'{sorted(meta or {})}'
            )
        self._dataset_meta = meta
        vocabulary = name_classes(meta['classes'], 'of the data set', meta['thing_classes'])
        categories = self._coco_api.dataset['categories']
        label_of = category_labels(categories, vocabulary, self.ann_file)
        if missing := set(range(len(vocabulary.classes))) - set(label_of.values()):
            names = [vocabulary.classes[label] for label in sorted(missing)]
            raise ValueError(f'{self.ann_file} has no category {names[:5]} of the data set')
        # mmdet takes the position in this list as the label.
        categories.sort(key=lambda entry: label_of[entry['id']])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics over all images.

        Args:
            results: Per image a `PQStat`, or ground truth and prediction.

        Returns:
            Metric to percent: `PQ`, `SQ`, `RQ`, each also for things (`_th`) and stuff (`_st`), and
            the split.
        """
        numbers = super().compute_metrics(results)
        if self.seen is None:
            return numbers
        numbers |= self.split_quality(results, self.seen)
        shown = '  '.join(f'{key} {value:.2f}' for key, value in numbers.items() if 'seen' in key)
        print_log(shown, logger='current')
        return numbers

    def split_quality(self, results: Sequence[PQStat], seen: Collection[str]) -> dict[str, float]:
        """PQ of seen and unseen classes, for all, things and stuff.

        Args:
            results: Statistics per image.
            seen: Names of the seen classes.

        Returns:
            Metric to percent.
        """
        total = PQStat()
        for result in results:
            total += result
        numbers = {}
        for split, wanted in (('seen', True), ('unseen', False)):
            chosen = {
                key: entry
                for key, entry in self.categories.items()
                if (entry['name'] in seen) == wanted and _occurs(total, key)
            }
            for part, isthing in _PARTS:
                kinds = [bool(entry['isthing']) for entry in chosen.values()]
                if kinds and (isthing is None or isthing in kinds):
                    mean, _ = total.pq_average(chosen, isthing=isthing)
                    numbers[f'PQ_{split}{part}'] = 100 * mean['pq']
        return numbers


def _occurs(total: PQStat, category: int) -> bool:
    """Whether a category is annotated or predicted in some image."""
    stat = total[category]
    return stat.tp + stat.fp + stat.fn > 0
