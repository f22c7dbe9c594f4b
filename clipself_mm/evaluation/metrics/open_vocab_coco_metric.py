"""Average precision of novel, base and all classes, by COCO's rules (paper, Table 3)."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import BaseMetric
from mmengine.fileio import load
from mmengine.logging import print_log
from mmengine.registry import METRICS

from clipself_mm.datasets.annotations.categories import category_ids
from clipself_mm.datasets.annotations.coco_json import load_coco_json

from ..functional import annotation_file, split_average_precision

_COLUMNS = ('ap', 'ap50', 'ap75', 'ap_s', 'ap_m', 'ap_l')


@METRICS.register_module()
class OpenVocabCocoMetric(CocoMetric):
    """COCO's average precision and recall for each split of the classes.

    A split is `novel`, `base` or `all`; where the data set's metainfo has no `base_classes` and
    `novel_classes`, only `all`. The answer holds `novel_ap50` and for every split `ap`, `ap50`,
    `ap75`, `ap_s`, `ap_m`, `ap_l`, `ar1`, `ar10`, `ar100`, `ar_s`, `ar_m`, `ar_l`: fractions, not
    rounded, -1 where nothing was annotated. Boxes have plain keys, masks the same keys behind
    `segm_`: `coco/novel_ap50`, `coco/segm_novel_ap50`.

    Label i of a prediction counts as the category named like class i of the metainfo, or like one
    of its `aliases`, in whatever order the json lists them. The images that were predicted for are
    the ones that count.

    Args:
        ann_file: COCO instances json with every class of the data set; by default the one that the
            data set itself was read from.
        metric: `bbox`, `segm` or a list of both.
        classwise: Log a table of the classes too, by split.
        proposal_nums: Detections an image and class that count, ascending: a recall for each;
            `ap` at 100 where that is one of them, every other number at the highest, as in mmdet.
            mmdet's own default, (100, 300, 1000), is what the transfer results were judged by.
        format_only: Only write the predictions, in COCO's format, to `outfile_prefix`.
        outfile_prefix: Path and first part of the name of these files (`PREFIX.bbox.json`);
            None writes to a temporary folder.
        backend_args: Arguments of MMEngine's file backend for the json.
        collect_device: Where results of several processes are gathered, 'cpu' or 'gpu'.
        prefix: Put before every key, `coco` when None.

    Raises:
        FileNotFoundError: If the json does not exist.
        ValueError: If it is broken, or an argument is not one of the above.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = 'bbox',
        classwise: bool = False,
        proposal_nums: Sequence[int] = (1, 10, 100),
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        kinds = [metric] if isinstance(metric, str) else list(metric)
        if not kinds or not {'bbox', 'segm'}.issuperset(kinds):
            raise ValueError(f"metric is 'bbox', 'segm' or a list of both, not {metric!r}")
        if list(proposal_nums) != sorted(set(proposal_nums)) or not proposal_nums:
            raise ValueError(f'proposal_nums must ascend, got {list(proposal_nums)}')
        super().__init__(  # without the file, which mmdet would read unchecked
            metric=kinds,
            classwise=classwise,
            proposal_nums=proposal_nums,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
        )
        self.backend_args = backend_args
        self.given_file = ann_file
        self.ann_file: str | None = None
        if ann_file is not None:
            self.read_annotations(ann_file)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, meta: Mapping) -> None:
        """Match the classes with the json, so that a wrong file is found before the first image.

        Args:
            meta: Metainfo of the data set: `classes`, and `base_classes`, `novel_classes` or not.

        Raises:
            ValueError: If the json lacks a class, the splits name a class that is none, or neither
                the metric nor the metainfo (`ann_file`) names a json.
        """
        self._dataset_meta = meta
        if not (meta or {}).get('classes'):
            raise ValueError(
                f'{type(self).__name__} needs the class names in the metainfo of the data set '
                f'("classes"), which holds {sorted(meta or {})}'
            )
        path = annotation_file(self.given_file, meta, type(self).__name__)
        if path != self.ann_file:
            self.read_annotations(path)
        categories = self._coco_api.dataset['categories']
        self.cat_ids = category_ids(categories, meta['classes'], self.ann_file, meta.get('aliases'))
        self.splits = self.split_classes()

    def read_annotations(self, path: str) -> None:
        """Read and index the json that predictions are judged by.

        Args:
            path: The json.

        Raises:
            FileNotFoundError: If it does not exist.
            ValueError: If it is broken; names the file.
        """
        self.ann_file = path
        content = load_coco_json(path, ('images', 'annotations', 'categories'), self.backend_args)
        self.check_content(content)
        self._coco_api = self.index_content(content)

    def check_content(self, content: dict) -> None:
        """Make sure that annotations have what the evaluation reads, and number them from 1.

        An id of 0 would count as unmatched, a doubled one would hide a box.

        Args:
            content: Content of the json; changed in place.

        Raises:
            ValueError: If an annotation lacks a key; names the file.
        """
        keys = {'image_id', 'category_id', 'bbox', 'area'}
        if 'segm' in self.metrics:
            keys.add('segmentation')
        for number, annotation in enumerate(content['annotations'], start=1):
            if not keys <= annotation.keys():
                raise ValueError(
                    f'{self.ann_file}: annotation {annotation.get("id")} lacks '
                    f'{sorted(keys - annotation.keys())}'
                )
            annotation['id'] = number
            annotation.setdefault('iscrowd', 0)

    def index_content(self, content: dict) -> COCO:
        """Return the evaluation library's index of the json's content."""
        return _index(content)

    def split_classes(self) -> dict[str, list[int]]:
        """Labels of each split, from the metainfo.

        Returns:
            Name of the split to labels; splits without a class are left out.

        Raises:
            ValueError: If a split names a class that the data set has not.
        """
        label_of = {name: label for label, name in enumerate(self.dataset_meta['classes'])}
        splits = {}
        for split in ('novel', 'base'):
            names = self.dataset_meta.get(f'{split}_classes') or ()
            unknown = [name for name in names if name not in label_of]
            if unknown:
                raise ValueError(
                    f'{split}_classes of the data set names {unknown[:5]}, which are not among '
                    f'its {len(label_of)} classes'
                )
            if names:
                splits[split] = [label_of[name] for name in names]
        return {**splits, 'all': list(label_of.values())}

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """Judge the predictions of all images.

        Args:
            results: Ground truth (sizes only) and prediction of each image, of all processes.

        Returns:
            Key to value; empty if only formatted.

        Raises:
            ValueError: If there is no image, or a prediction does not fit the data set.
        """
        predictions = [prediction for _, prediction in results]
        self._check_predictions(predictions)
        self.img_ids = [prediction['img_id'] for prediction in predictions]
        metrics: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or os.path.join(folder, 'results')
            files = self.results2json(predictions, prefix)
            if self.format_only:
                print_log(f'results are saved in {os.path.dirname(prefix)}', logger='current')
                return metrics
            for kind in self.metrics:
                detections = self._detections(kind, files)
                precision, recall = self.precision_recall(kind, detections)
                metrics.update(self.summarize(kind, precision, recall))
        return metrics

    def precision_recall(self, kind: str, detections: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """Match detections with the ground truth.

        Args:
            kind: `bbox` or `segm`.
            detections: Detections in COCO's format.

        Returns:
            Precision (T, R, K, A, M) and recall (T, K, A, M), class i at index i of axis K.
        """
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            found = self._coco_api.loadRes(detections) if detections else self._no_detections()
            judge = COCOeval(self._coco_api, found, kind)
            judge.params.catIds = self.cat_ids
            judge.params.imgIds = self.img_ids
            judge.params.maxDets = self.proposal_nums
            judge.evaluate()
            judge.accumulate()
        order = np.searchsorted(judge.params.catIds, self.cat_ids)  # evaluate() sorts the ids
        return judge.eval['precision'][:, :, order], judge.eval['recall'][:, order]

    def summarize(self, kind: str, precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
        """The numbers of one kind of prediction, which are logged as tables too.

        Args:
            kind: `bbox` or `segm`.
            precision: As from `precision_recall`.
            recall: As from `precision_recall`.

        Returns:
            Key to value.
        """
        numbers = {
            split: split_average_precision(precision, recall, labels, self.proposal_nums)
            for split, labels in self.splits.items()
        }
        table = _table(f'{kind} of {len(self.img_ids)} images, in %', numbers)
        print_log(f'\n{table}', logger='current')
        if self.classwise:
            self._log_classes(kind, precision, recall)
        return self.name_numbers(kind, numbers)

    def name_numbers(
        self, kind: str, numbers: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """Flatten the numbers of the splits into the keys of the answer."""
        marker = 'segm_' if kind == 'segm' else ''
        return {
            f'{marker}{split}_{name}': value
            for split, values in numbers.items()
            for name, value in values.items()
        }

    def _log_classes(self, kind: str, precision: np.ndarray, recall: np.ndarray) -> None:
        """Log a table of the classes of each split, of all classes where there is no split."""
        names = self.dataset_meta['classes']
        for split, labels in self.splits.items():
            if split == 'all' and len(self.splits) > 1:
                continue
            rows = {
                names[label]: split_average_precision(
                    precision, recall, [label], self.proposal_nums
                )
                for label in labels
            }
            print_log(f'\n{_table(f"{kind}, {split} classes, in %", rows)}', logger='current')

    def _check_predictions(self, predictions: list[dict]) -> None:
        """Raise ValueError where counting the predictions would give a wrong number."""
        if not predictions:
            raise ValueError(f'{type(self).__name__} got no image to judge')
        classes, seen = len(self.cat_ids), set()
        for prediction in predictions:
            image, labels = prediction['img_id'], prediction['labels']
            if image not in self._coco_api.imgs:
                raise ValueError(f'{self.ann_file} has no image {image}, which was predicted for')
            if image in seen:
                raise ValueError(f'image {image} was predicted for twice')
            seen.add(image)
            if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
                raise ValueError(
                    f'image {image}: predicted labels {labels.min()}..{labels.max()}, the data '
                    f'set has {classes} classes'
                )

    def _detections(self, kind: str, files: Mapping[str, str]) -> list[dict]:
        """Detections in COCO's format, as `results2json` wrote them."""
        if kind not in files:
            raise ValueError(f'metric {kind} needs masks, which the predictions have not')
        detections = load(files[kind])
        if kind == 'segm':  # with a box there, its area would be taken for the mask's
            for detection in detections:
                del detection['bbox']
        return detections

    def _no_detections(self) -> COCO:
        """An empty result, which pycocotools' own `loadRes` refuses."""
        return _index({**self._coco_api.dataset, 'annotations': []})


def _index(content: dict) -> COCO:
    """The COCO api of mmdet on the content of a file that is read already."""
    api = COCO()
    api.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        api.createIndex()
    api.img_ann_map, api.cat_img_map = api.imgToAnns, api.catToImgs
    return api


def _table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Average precision in percent, one line for each row; a dash where nothing is annotated."""
    width = max(map(len, (title, *rows)))
    head = f'{title:<{width}}' + ''.join(f'{column:>7}' for column in _COLUMNS)
    lines = [head, '-' * len(head)]
    for name, numbers in rows.items():
        cells = [f'{100 * numbers[key]:.1f}' if numbers[key] >= 0 else '-' for key in _COLUMNS]
        lines.append(f'{name:<{width}}' + ''.join(f'{cell:>7}' for cell in cells))
    return '\n'.join(lines)
