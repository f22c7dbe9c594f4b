"""Recall of region proposals on novel, base and all objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import METRICS

from ..functional import proposal_recall
from ..functional.proposal_recall import Proposals
from .open_vocab_coco_metric import OpenVocabCocoMetric


@METRICS.register_module()
class OpenVocabProposalRecall(OpenVocabCocoMetric):
    """Class-agnostic average recall of proposals, per split of the classes.

    Measures whether an RPN that was trained on base boxes (paper, section 4.2) finds novel objects.
    For `novel`, `base` and `all` the result has `ar10`, `ar100` (IoU 0.50 to 0.95) and
    `ar10_iou50`, `ar100_iou50` (`proposals/novel_ar100_iou50`): fractions, not rounded, -1 if
    nothing is annotated. Splits, matching of class names and evaluated images are as in
    `OpenVocabCocoMetric`.

    Args:
        ann_file: COCO instances json with every class of the data set; by default the annotation
            file of the data set.
        proposal_nums: Numbers of best proposals per image, ascending.
        backend_args: Arguments of mmengine's file backend for the json.
        collect_device: Where results of several processes are gathered, 'cpu' or 'gpu'.
        prefix: Prefix of the keys, `proposals` if None.

    Raises:
        FileNotFoundError: The json does not exist.
        ValueError: The json is broken, or `proposal_nums` does not ascend.
    """

    default_prefix = 'proposals'

    def __init__(
        self,
        ann_file: str | None = None,
        proposal_nums: Sequence[int] = (10, 100),
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            ann_file,
            proposal_nums=proposal_nums,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
        )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the best proposals of a batch.

        Args:
            data_batch: Unused.
            data_samples: With `img_id` and `pred_instances` (`bboxes` xyxy, `scores`).
        """
        self.check_images(data_samples)
        for sample in data_samples:
            predicted = sample['pred_instances']
            order = predicted['scores'].argsort(descending=True, stable=True)
            order = order[: max(self.proposal_nums)]
            prediction = {
                'img_id': sample['img_id'],
                'bboxes': predicted['bboxes'][order].cpu().numpy(),
                'scores': predicted['scores'][order].cpu().numpy(),
                'labels': np.zeros(0, np.int64),
            }
            self.results.append(({}, prediction))

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """Evaluate the proposals of all images.

        Args:
            results: An empty dict and the proposals per image, of all processes.

        Returns:
            Key to value.
        """
        predictions = [prediction for _, prediction in results]
        self._check_predictions(predictions)
        proposals: dict[int | str, Proposals] = {
            self.number_of[prediction['img_id']]: (prediction['bboxes'], prediction['scores'])
            for prediction in predictions
        }
        annotations = self._coco_api.dataset['annotations']
        splits = {split: {label + 1 for label in labels} for split, labels in self.splits.items()}
        numbers = proposal_recall(
            {
                split: [entry for entry in annotations if entry['category_id'] in categories]
                for split, categories in splits.items()
            },
            proposals,
            self.proposal_nums,
        )
        print_log(f'\n{recall_table(numbers, len(proposals))}', logger='current')
        return self.name_numbers('bbox', numbers)


def recall_table(numbers: Mapping[str, Mapping[str, float]], images: int) -> str:
    """Table of recalls in percent, one line per split; a dash if nothing is annotated.

    Args:
        numbers: Result of `proposal_recall`.
        images: Number of evaluated images.
    """
    title = f'recall on {images} images, in %'
    columns = list(next(iter(numbers.values())))
    head = f'{title:<32}' + ''.join(f'{column:>14}' for column in columns)
    lines = [head, '-' * len(head)]
    for split, values in numbers.items():
        cells = [f'{100 * values[key]:.1f}' if values[key] >= 0 else '-' for key in columns]
        lines.append(f'{split:<32}' + ''.join(f'{cell:>14}' for cell in cells))
    return '\n'.join(lines)
