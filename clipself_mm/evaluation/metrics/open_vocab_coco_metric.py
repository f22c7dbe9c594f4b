"""COCO average precision of novel, base and all classes (paper, Table 3)."""

from __future__ import annotations

import contextlib
import io
import logging
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

from clipself_mm.datasets.annotations.boxes import BoxCounts
from clipself_mm.datasets.annotations.categories import complete_labels
from clipself_mm.datasets.annotations.coco_json import image_file_name, load_instances, same_file

from ..functional import annotation_file, ground_truth, split_average_precision

_COLUMNS = ('ap', 'ap50', 'ap75', 'ap_s', 'ap_m', 'ap_l')


@METRICS.register_module()
class OpenVocabCocoMetric(CocoMetric):
    """COCO's average precision and recall per split of the classes.

    The splits are `novel`, `base` and `all`; only `all` if the metainfo of the data set has no
    `base_classes` and `novel_classes`. The result has for each split `ap`, `ap50`, `ap75`, `ap_s`,
    `ap_m`, `ap_l`, `ar1`, `ar10`, `ar100`, `ar_s`, `ar_m`, `ar_l`: fractions, not rounded, -1 if
    nothing is annotated. Keys of masks have the prefix `segm_`: `coco/novel_ap50`,
    `coco/segm_novel_ap50`.

    Label i of a prediction is the category with the name of class i in the metainfo, or with one of
    its `aliases`; the order of the json does not matter. Only images with predictions are
    evaluated, and they must have the name and the size that the json gives.

    Args:
        ann_file: COCO instances json with every class of the data set; by default the annotation
            file of the data set.
        metric: `bbox`, `segm` or a list of both.
        classwise: Log a table of the classes per split.
        proposal_nums: Limits of detections per image and class, ascending, with a recall for each.
            `ap` is at 100 detections if that is one of them, all other numbers at the highest
            limit, as in mmdet. The transfer results of the paper use mmdet's default,
            (100, 300, 1000).
        format_only: Only write the predictions, in COCO's format, to `outfile_prefix`.
        outfile_prefix: Path prefix of these files (`PREFIX.bbox.json`); None writes to a temporary
            folder.
        backend_args: Arguments of mmengine's file backend for the json.
        collect_device: Where results of several processes are gathered, 'cpu' or 'gpu'.
        prefix: Prefix of the keys, `coco` if None.

    Raises:
        FileNotFoundError: The json does not exist.
        ValueError: The json is broken or has no object, `metric` is unknown or `proposal_nums` does
            not ascend.
    """

    default_prefix = 'coco'
    federated = False
    """Whether images list the classes that were verified as absent, as in LVIS."""

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
            raise ValueError(f"metric must be 'bbox', 'segm' or a list of both, got {metric!r}")
        if list(proposal_nums) != sorted(set(proposal_nums)) or not proposal_nums:
            raise ValueError(f'proposal_nums must ascend, got {list(proposal_nums)}')
        super().__init__(  # without ann_file, which mmdet would read without checks
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
        """Match the classes with the json; a wrong file raises before the first image.

        Args:
            meta: Metainfo of the data set: `classes`, optionally `base_classes`, `novel_classes`.

        Raises:
            ValueError: The json lacks a class, a split has an unknown class, or neither the metric
                nor the metainfo has an `ann_file`.
        """
        self._dataset_meta = meta
        if not (meta or {}).get('classes'):
            raise ValueError(
                f'{type(self).__name__} needs class names ("classes") in the metainfo of the data '
                f'set, which has {sorted(meta or {})}'
            )
        path = annotation_file(self.given_file, meta, type(self).__name__)
        if path != self.ann_file:
            self.read_annotations(path)
        classes, categories = meta['classes'], self.content['categories']
        label_of = complete_labels(categories, classes, path, meta.get('aliases'))
        id_of = {label: key for key, label in reversed(label_of.items())}
        self.cat_ids = [id_of[label] for label in range(len(classes))]
        masks = 'segm' in self.metrics
        truth, counts = ground_truth(self.content, label_of, path, masks, self.federated)
        self._coco_api = self.index_content(truth)
        self.splits = self.split_classes()
        if not self.format_only:
            self._check_objects(truth['annotations'], counts)

    def read_annotations(self, path: str) -> None:
        """Read the annotation file.

        Args:
            path: The json.
        """
        self.ann_file = path
        self.content = load_instances(path, self.backend_args)
        self.image_of = {image['id']: image for image in self.content['images']}
        self.number_of = {key: number for number, key in enumerate(self.image_of, start=1)}
        self.check_content(self.content)

    def check_content(self, content: dict) -> None:
        """Check what the metric needs besides the keys that `load_instances` requires.

        Args:
            content: Content of the json.
        """
        if 'segm' in self.metrics:
            for image in content['images']:
                if not (image.get('height') and image.get('width')):
                    raise ValueError(
                        f'{self.ann_file}: image {image["id"]} has no height and width'
                    )

    def index_content(self, content: dict) -> COCO:
        """Index of the ground truth, for pycocotools."""
        return _index(content)

    @property
    def annotations(self) -> list[dict]:
        """The boxes to find, with numbered images and categories: see `ground_truth`."""
        return self._coco_api.dataset['annotations']

    def _check_objects(self, annotations: list[dict], counts: BoxCounts) -> None:
        """Raise ValueError without an object; warn of a split without one."""
        present = {entry['category_id'] - 1 for entry in annotations if not entry['iscrowd']}
        if not present:
            raise ValueError(
                f'{self.ann_file}: no object of the {len(self.cat_ids)} classes to evaluate, it '
                f'has {counts}'
            )
        for split, labels in self.splits.items():
            if present.isdisjoint(labels):
                print_log(
                    f'{self.ann_file}: no object of a {split} class is annotated, so the numbers '
                    f'of {split} are -1',
                    logger='current',
                    level=logging.WARNING,
                )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of a batch.

        Args:
            data_batch: Unused.
            data_samples: As in mmdet's `CocoMetric`.

        Raises:
            ValueError: An image is not that of the annotation file.
        """
        self.check_images(data_samples)
        super().process(data_batch, data_samples)

    def check_images(self, data_samples: Sequence[dict]) -> None:
        """Check that images are those of the annotation file.

        Args:
            data_samples: With `img_id` and perhaps `img_path` and `ori_shape` (height, width).

        Raises:
            ValueError: An image is not in the file, or has another name or size there.
        """
        for sample in data_samples:
            image = self.image_of.get(sample['img_id'])
            if image is None:
                raise ValueError(
                    f'{self.ann_file}: has no image {sample["img_id"]!r} of the data set: is it '
                    'the annotation file of the data set?'
                )
            path = sample.get('img_path')
            if path and (image.get('file_name') or image.get('coco_url')):
                name = image_file_name(image, str(self.ann_file))
                if not same_file(path, name):
                    raise ValueError(
                        f'{self.ann_file}: image {sample["img_id"]!r} is {name}, the data set has '
                        f'{path}: is it the annotation file of the data set?'
                    )
            size = (image.get('height'), image.get('width'))
            if all(size) and 'ori_shape' in sample and tuple(sample['ori_shape'][:2]) != size:
                height, width = sample['ori_shape'][:2]
                raise ValueError(
                    f'{self.ann_file}: image {sample["img_id"]!r} is {size[1]} x {size[0]} pixels, '
                    f'{path} has {width} x {height}'
                )

    def split_classes(self) -> dict[str, list[int]]:
        """Labels per split, from the metainfo.

        Returns:
            Name of the split to labels; without splits that have no class.
        """
        label_of = {name: label for label, name in enumerate(self.dataset_meta['classes'])}
        splits = {}
        for split in ('novel', 'base'):
            names = self.dataset_meta.get(f'{split}_classes') or ()
            unknown = [name for name in names if name not in label_of]
            if unknown:
                raise ValueError(
                    f'{split}_classes of the data set has {unknown[:5]}, which are not among its '
                    f'{len(label_of)} classes'
                )
            if names:
                splits[split] = [label_of[name] for name in names]
        return {**splits, 'all': list(label_of.values())}

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """Evaluate the predictions of all images.

        Args:
            results: Ground truth (sizes only) and prediction per image, of all processes.

        Returns:
            Key to value; empty with `format_only`.
        """
        predictions = [prediction for _, prediction in results]
        self._check_predictions(predictions)
        self.img_ids = [self.number_of[prediction['img_id']] for prediction in predictions]
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
            loaded = self._coco_api.loadRes(detections) if detections else self._no_detections()
            evaluator = COCOeval(self._coco_api, loaded, kind)
            evaluator.params.catIds = [label + 1 for label in range(len(self.cat_ids))]
            evaluator.params.imgIds = self.img_ids
            evaluator.params.maxDets = self.proposal_nums
            evaluator.evaluate()
            evaluator.accumulate()
        return evaluator.eval['precision'], evaluator.eval['recall']

    def summarize(self, kind: str, precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
        """The numbers of one kind of prediction; logs them as tables.

        Args:
            kind: `bbox` or `segm`.
            precision: Result of `precision_recall`.
            recall: Result of `precision_recall`.

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
        """Flatten the numbers of the splits into keys of the result."""
        prefix = 'segm_' if kind == 'segm' else ''
        return {
            f'{prefix}{split}_{name}': value
            for split, values in numbers.items()
            for name, value in values.items()
        }

    def _log_classes(self, kind: str, precision: np.ndarray, recall: np.ndarray) -> None:
        """Log a table of the classes per split; of all classes if there is no split."""
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
        """Raise ValueError if the predictions would give wrong numbers."""
        if not predictions:
            raise ValueError(f'{type(self).__name__} got no predictions')
        classes, seen = len(self.cat_ids), set()
        for prediction in predictions:
            image, labels = prediction['img_id'], prediction['labels']
            if image in seen:
                raise ValueError(f'image {image} has predictions twice')
            seen.add(image)
            if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
                raise ValueError(
                    f'image {image}: predicted labels {labels.min()}..{labels.max()}, the data '
                    f'set has {classes} classes'
                )

    def _detections(self, kind: str, files: Mapping[str, str]) -> list[dict]:
        """Detections with the ids of the ground truth, from the files of `results2json`."""
        if kind not in files:
            raise ValueError(f'metric {kind} needs masks, the predictions have none')
        detections = load(files[kind])
        label_of = {key: label for label, key in enumerate(self.cat_ids)}
        for detection in detections:
            detection['image_id'] = self.number_of[detection['image_id']]
            detection['category_id'] = label_of[detection['category_id']] + 1
            if kind == 'segm':  # with a box, pycocotools takes its area instead of the mask's
                del detection['bbox']
        return detections

    def _no_detections(self) -> COCO:
        """An empty result, for which pycocotools' `loadRes` raises."""
        return _index({**self._coco_api.dataset, 'annotations': []})


def _index(content: dict) -> COCO:
    """COCO api of mmdet for the content of a json."""
    api = COCO()
    api.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        api.createIndex()
    api.img_ann_map, api.cat_img_map = api.imgToAnns, api.catToImgs
    return api


def _table(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Table of average precision in percent; a dash if nothing is annotated."""
    width = max(map(len, (title, *rows)))
    head = f'{title:<{width}}' + ''.join(f'{column:>7}' for column in _COLUMNS)
    lines = [head, '-' * len(head)]
    for name, numbers in rows.items():
        cells = [f'{100 * numbers[key]:.1f}' if numbers[key] >= 0 else '-' for key in _COLUMNS]
        lines.append(f'{name:<{width}}' + ''.join(f'{cell:>7}' for cell in cells))
    return '\n'.join(lines)
