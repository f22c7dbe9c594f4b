"""Semantic labels out of a COCO panoptic json and its id images, without converting anything."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.fileio import join_path
from mmengine.registry import DATASETS
from mmseg.datasets import BaseSegDataset

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.annotations.coco_json import image_file_name
from clipself_mm.datasets.annotations.panoptic_json import read_panoptic_json


@DATASETS.register_module()
class PanopticSegDataset(BaseSegDataset):
    """Things and stuff of a panoptic data set as the classes of semantic segmentation.

    Label i is class i of the vocabulary; categories are matched by name. All segments count, crowd
    segments too: which of several people a pixel is of makes no difference here. A sample has
    `segment_labels`, segment id to label, for `LoadPanopticSemantic`.

    Args:
        ann_file: COCO panoptic json.
        vocabulary: Name or file of the vocabulary (`coco_panoptic`, `shapes_ov_panoptic`).
        ignore_unknown: Whether the json may have categories that the vocabulary lacks; their
            pixels are then ignored.
        metainfo: More meta information, as a `palette`.
        **kwargs: As in mmseg's `BaseSegDataset`; `data_prefix` has `img_path`, the folder of the
            images, and `seg_map_path`, that of the id images.

    Raises:
        ValueError: If `ignore_index` is the label of a class.
    """

    def __init__(
        self,
        ann_file: str,
        vocabulary: str = 'coco_panoptic',
        ignore_unknown: bool = False,
        metainfo: Mapping | None = None,
        **kwargs: object,
    ) -> None:
        self.vocabulary = load_vocabulary(vocabulary)
        self.ignore_unknown = ignore_unknown
        count, ignored = len(self.vocabulary.classes), kwargs.get('ignore_index', 255)
        if 0 <= ignored < count:
            raise ValueError(
                f'ignore_index {ignored} is the label of a class of vocabulary '
                f'{self.vocabulary.name}, which has {count}: give both the data set and the metric '
                'a larger one, as 65535'
            )
        metainfo = dict(metainfo or {}, classes=self.vocabulary.classes)
        super().__init__(ann_file=ann_file, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per annotated image, in the order of the annotations.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If it is broken or disagrees with the vocabulary; names the file.
        """
        found = read_panoptic_json(
            self.ann_file, self.vocabulary, self.ignore_unknown, self.backend_args
        )
        return [self._sample(image, entry, found.label_of) for image, entry in found.entries]

    def _sample(self, image: dict, entry: dict, label_of: dict[int, int]) -> dict:
        """What the file says about one image."""
        folders = {key: self.data_prefix.get(key) or '' for key in ('img_path', 'seg_map_path')}
        return dict(
            img_path=join_path(folders['img_path'], image_file_name(image, self.ann_file)),
            seg_map_path=join_path(folders['seg_map_path'], entry['file_name']),
            segment_labels={
                int(part['id']): label_of.get(part['category_id'], self.ignore_index)
                for part in entry['segments_info']
            },
            ignore_index=self.ignore_index,
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
