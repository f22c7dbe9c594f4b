"""F-ViT: mmdet's two-stage detector with a frozen CLIP ViT, for any class names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor, nn

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.models import read_names

from .fvit_roi_head import FViTRoIHead, PyramidWithDense, full_precision
from .generic_foreground import GenericForeground


@MODELS.register_module()
class FViT(TwoStageDetector):
    """Two-stage open-vocabulary detector (paper, section 3.3 and appendix A.3).

    Training is that of `TwoStageDetector`. For prediction, the dense CLIP map of the same forward
    pass goes to the RoI head, which fuses CLIP's scores with the detector's.

    Under autocast the RPN's outputs are converted to float32: boxes are decoded and losses computed
    in float32, as in mmdet 2. mmdet 3 makes anchors in the dtype of the scores.

    The vocabulary is that of the config until `set_vocabulary`. A sample with a `text` (mmdet's
    `DetInferencer(texts=...)`) is classified into the classes of its text.

    Args:
        channels_last: Whether the convolutions around the tower keep their weights, and therefore
            their maps, channels last: the layout of a GPU's half precision units.
        proposal_scorer: Config of a `GenericForeground`, which ranks the RPN's proposals anew at
            test time. None for the RPN's ranking.
        **kwargs: As in mmdet's `TwoStageDetector`: an `FViTBackbone`, a neck, an RPN and an
            `FViTRoIHead`. By default the classifier uses the text tower of the backbone's CLIP.
    """

    def __init__(
        self,
        channels_last: bool = False,
        proposal_scorer: dict | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        if channels_last:
            for name, parameter in self.named_parameters():
                if parameter.ndim == 4 and not name.startswith('backbone.tower.'):
                    parameter.data = parameter.data.to(memory_format=torch.channels_last)
        if self.with_rpn:
            self.rpn_head.register_forward_hook(float_outputs)
        classifier = self.roi_head.bbox_head.fc_cls
        classifier.text.use_clip_of(
            self.backbone.tower, 'model.roi_head.bbox_head.cls_predictor_cfg.text'
        )
        self.proposal_scorer: GenericForeground | None = None
        if proposal_scorer is not None:
            self._add_scorer(proposal_scorer)
        self.classes: tuple[str, ...] = classifier.classes
        self.exemplars: Mapping[str, ExemplarEmbedding] = {}
        self.negatives: tuple[str, ...] = ()
        self.aliases = self.roi_head.bbox_head.train_vocabulary.aliases

    def set_vocabulary(
        self,
        classes: Sequence[str],
        exemplars: Mapping[str, ExemplarEmbedding] | None = None,
        negatives: Sequence[str] = (),
    ) -> None:
        """Change the classes to detect, without training.

        Args:
            classes: K names; label i is `classes[i]`.
            exemplars: Pictures of some of them, by name; by default none.
            negatives: Names of other objects. They compete with the classes for the score of a
                box, but are not detected. Names that are among the classes have no effect.

        Raises:
            ValueError: There is no name, a name is not unique, or there is no text tower to encode
                it. The vocabulary does not change.
        """
        classes = tuple(classes)
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(f'expected unique class names, at least one, got {list(classes)}')
        named = {name.casefold() for name in classes}
        negatives = tuple(n for n in dict.fromkeys(negatives) if n.casefold() not in named)
        self.roi_head.bbox_head.set_vocabulary(classes, exemplars, negatives)
        self.classes, self.exemplars, self.negatives = classes, exemplars or {}, negatives

    @contextmanager
    def vocabulary(
        self,
        classes: Sequence[str],
        exemplars: Mapping[str, ExemplarEmbedding] | None = None,
        negatives: Sequence[str] = (),
    ) -> Iterator[None]:
        """Change the classes inside a ``with`` block; arguments as in `set_vocabulary`."""
        before = self.classes, self.exemplars, self.negatives
        self.set_vocabulary(classes, exemplars, negatives)
        try:
            yield
        finally:
            self.set_vocabulary(*before)

    def safe_negatives(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Negatives that take no object from the classes.

        These are the base classes of the training if all names are classes of its vocabulary,
        whose classes exclude each other. Beside any other name there are none: a base class can be
        a kind of it ('dog' beside 'puppy' or 'animal'), and would get its objects.

        Args:
            classes: Names to detect.
        """
        trained = self.roi_head.bbox_head.train_vocabulary
        known = {name.casefold() for name in trained.classes}
        safe = all(name.casefold() in known for name in classes)
        return (trained.base or trained.classes) if safe else ()

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect objects.

        Args:
            batch_inputs: Normalised images, shape (N, 3, H, W).
            batch_data_samples: N samples; their `proposals` replace the RPN's, their `text` the
                vocabulary.
            rescale: Whether to return boxes in source pixels.

        Returns:
            The samples with `pred_instances`: boxes, scores, labels, `label_names`, and masks if
            there is a mask head.
        """
        maps, dense = self.backbone.forward_with_dense(batch_inputs)
        pyramid = PyramidWithDense(self.neck(maps) if self.with_neck else maps, dense)
        if batch_data_samples[0].get('proposals', None) is None:
            proposals = self._rank(
                pyramid, self.rpn_head.predict(pyramid, batch_data_samples, rescale=False)
            )
        else:
            proposals = [sample.proposals for sample in batch_data_samples]
        if any('text' in sample for sample in batch_data_samples):
            results = [
                self._predict_one(pyramid, index, proposals[index], sample, rescale)
                for index, sample in enumerate(batch_data_samples)
            ]
        else:
            results = self._predict_rois(pyramid, proposals, batch_data_samples, rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _add_scorer(self, config: dict) -> None:
        if not self.with_rpn or not isinstance(self.roi_head, FViTRoIHead):
            raise ValueError('model.proposal_scorer needs a model.rpn_head and an FViTRoIHead')
        scorer = MODELS.build(config)
        scorer.text.use_clip_of(self.backbone.tower, 'model.proposal_scorer.text')
        count = self.test_cfg.rpn.max_per_img
        keep = 2 * count if scorer.keep is None else scorer.keep
        if keep < count:
            raise ValueError(
                f'model.proposal_scorer.keep is {keep}, but model.test_cfg.rpn.max_per_img is '
                f'{count}: expected at least as many'
            )
        self.rpn_head.test_cfg = ConfigDict(self.rpn_head.test_cfg, max_per_img=keep)
        self.proposal_scorer = scorer

    def _rank(self, pyramid: PyramidWithDense, proposals: InstanceList) -> InstanceList:
        """The RPN's proposals, with a scorer ranked anew and cut to `max_per_img`."""
        if self.proposal_scorer is None:
            return proposals
        rois = bbox2roi([found.bboxes for found in proposals])
        features = self.roi_head.pool_clip(pyramid.dense, rois)
        parts = features.split([len(found) for found in proposals])
        return self.proposal_scorer(proposals, parts, self.test_cfg.rpn.max_per_img)

    def _predict_rois(
        self, pyramid: PyramidWithDense, proposals: list, samples: SampleList, rescale: bool
    ) -> list:
        """Second stage; adds `label_names`, since the classes of a checkpoint may differ."""
        results = self.roi_head.predict(pyramid, proposals, samples, rescale=rescale)
        for result in results:
            result.label_names = [self.classes[label] for label in result.labels.tolist()]
        return results

    def _predict_one(
        self,
        pyramid: PyramidWithDense,
        index: int,
        proposals: InstanceData,
        sample: DetDataSample,
        rescale: bool,
    ) -> InstanceData:
        """Second stage of one image, with the classes of its `text` if there is one."""
        image = slice(index, index + 1)
        single = PyramidWithDense((level[image] for level in pyramid), pyramid.dense[image])
        if 'text' in sample:
            chosen = self.vocabulary(read_names(sample.text))
        else:
            chosen = self.vocabulary(self.classes, self.exemplars, self.negatives)
        with chosen:
            return self._predict_rois(single, [proposals], [sample], rescale)[0]


def float_outputs(
    rpn_head: nn.Module, inputs: tuple, outputs: tuple[list[Tensor], ...]
) -> tuple[list[Tensor], ...]:
    """Forward hook of an RPN: converts scores and deltas of all levels to float32."""
    return tuple(list(full_precision(levels)) for levels in outputs)
