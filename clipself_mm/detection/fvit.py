"""F-ViT: mmdet's two-stage detector on a frozen CLIP ViT, open to any class names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmdet.models.detectors import TwoStageDetector
from mmdet.structures import DetDataSample, SampleList
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor, nn

from clipself_mm.models import read_names

from .fvit_roi_head import PyramidWithDense, full_precision


@MODELS.register_module()
class FViT(TwoStageDetector):
    """Two-stage open-vocabulary detector (paper, section 3.3 and appendix A.3).

    Trains as any `TwoStageDetector`. For prediction the dense CLIP map of the same pass reaches the
    RoI head, where its scores are fused with the detector's.

    Under autocast whatever RPN there is gives float32, so that its boxes are decoded and its losses
    taken in float32, as in mmdet 2; mmdet 3 makes anchors of the type of the scores.

    The vocabulary is the config's until `set_vocabulary`; a sample that brings a `text` (mmdet's
    `DetInferencer(texts=...)`) is scored on the classes it names, only that sample.

    Args:
        **kwargs: As in mmdet's `TwoStageDetector`: an `FViTBackbone`, a neck, an RPN and an
            `FViTRoIHead`. A classifier without a text tower of its own takes that of the backbone's
            CLIP.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if self.with_rpn:
            self.rpn_head.register_forward_hook(float_outputs)
        classifier = self.roi_head.bbox_head.fc_cls
        classifier.text.use_clip_of(
            self.backbone.tower, 'model.roi_head.bbox_head.cls_predictor_cfg.text'
        )
        self.classes: tuple[str, ...] = classifier.classes
        self.aliases = self.roi_head.bbox_head.configured.aliases

    def set_vocabulary(self, classes: Sequence[str]) -> None:
        """Detect these classes from now on, without training.

        Args:
            classes: K names; label i is `classes[i]`.

        Raises:
            ValueError: There is no name, or one is doubled or cannot be encoded, for lack of a text
                tower; the vocabulary stays as it was.
        """
        classes = tuple(classes)
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(f'expected distinct class names, got {list(classes)}')
        self.roi_head.bbox_head.set_vocabulary(classes)
        self.classes = classes

    @contextmanager
    def vocabulary(self, classes: Sequence[str]) -> Iterator[None]:
        """Detect these classes inside a ``with`` block; arguments as in `set_vocabulary`."""
        before = self.classes
        self.set_vocabulary(classes)
        try:
            yield
        finally:
            self.set_vocabulary(before)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect objects.

        Args:
            batch_inputs: Normalised images, shape (N, 3, H, W).
            batch_data_samples: N samples; `proposals` replaces the RPN's, `text` the vocabulary.
            rescale: Whether boxes are in pixels of the original images.

        Returns:
            The samples with `pred_instances`: boxes, scores, labels, `label_names`, and masks if
            there is a mask head.
        """
        maps, dense = self.backbone.forward_with_dense(batch_inputs)
        pyramid = PyramidWithDense(self.neck(maps) if self.with_neck else maps, dense)
        if batch_data_samples[0].get('proposals', None) is None:
            proposals = self.rpn_head.predict(pyramid, batch_data_samples, rescale=False)
        else:
            proposals = [sample.proposals for sample in batch_data_samples]
        if any('text' in sample for sample in batch_data_samples):
            results = [
                self._recognise_one(pyramid, index, proposals[index], sample, rescale)
                for index, sample in enumerate(batch_data_samples)
            ]
        else:
            results = self._recognise(pyramid, proposals, batch_data_samples, rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _recognise(
        self, pyramid: PyramidWithDense, proposals: list, samples: SampleList, rescale: bool
    ) -> list:
        """Second stage; results name their labels, since a checkpoint's classes may be others."""
        results = self.roi_head.predict(pyramid, proposals, samples, rescale=rescale)
        for result in results:
            result.label_names = [self.classes[label] for label in result.labels.tolist()]
        return results

    def _recognise_one(
        self,
        pyramid: PyramidWithDense,
        index: int,
        proposals: InstanceData,
        sample: DetDataSample,
        rescale: bool,
    ) -> InstanceData:
        """Second stage of one image, on the classes of its `text` if it brings one."""
        image = slice(index, index + 1)
        alone = PyramidWithDense((level[image] for level in pyramid), pyramid.dense[image])
        names = read_names(sample.text) if 'text' in sample else self.classes
        with self.vocabulary(names):
            return self._recognise(alone, [proposals], [sample], rescale)[0]


def float_outputs(
    rpn_head: nn.Module, inputs: tuple, outputs: tuple[list[Tensor], ...]
) -> tuple[list[Tensor], ...]:
    """Forward hook of an RPN: its scores and deltas in float32, level by level."""
    return tuple(list(full_precision(levels)) for levels in outputs)
