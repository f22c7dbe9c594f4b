"""Mask AP of the things of a panoptic data set (mAP in Table 6 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.registry import METRICS

from clipself_mm.evaluation import OpenVocabCocoMetric

from .panoptic_vocabulary import find_panoptic_vocabulary


@METRICS.register_module()
class ThingMaskMetric(OpenVocabCocoMetric):
    """`OpenVocabCocoMetric` over the things of a panoptic data set.

    Args:
        ann_file: COCO instances json with every thing of the data set.
        seen: Vocabulary of the classes that the generator was trained on, see
            `find_panoptic_vocabulary`. Things in it are `base`, the others `novel`. None for no
            split.
        metric: As in `OpenVocabCocoMetric`.
        **kwargs: As in `OpenVocabCocoMetric`.
    """

    def __init__(
        self,
        ann_file: str,
        seen: str | Mapping | None = None,
        metric: str | list[str] = 'segm',
        **kwargs: Any,
    ) -> None:
        self.seen = None if seen is None else set(find_panoptic_vocabulary(seen).classes)
        super().__init__(ann_file=ann_file, metric=metric, **kwargs)

    @OpenVocabCocoMetric.dataset_meta.setter
    def dataset_meta(self, meta: Mapping) -> None:
        """Match the things with the json.

        Args:
            meta: Metainfo of the data set with `thing_classes`, the first of its `classes`.

        Raises:
            ValueError: The metainfo has no things, or the json lacks one.
        """
        things = (meta or {}).get('thing_classes')
        if not things:
            raise ValueError(
                f'{type(self).__name__} needs thing_classes in the metainfo of the data set, found '
                f'{sorted(meta or {})}'
            )
        thing_meta = dict(classes=tuple(things))
        if self.seen is not None:
            thing_meta['base_classes'] = tuple(name for name in things if name in self.seen)
            thing_meta['novel_classes'] = tuple(name for name in things if name not in self.seen)
        OpenVocabCocoMetric.dataset_meta.fset(self, thing_meta)
