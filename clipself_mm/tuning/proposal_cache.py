"""Cosines and boxes of all proposals of a data set, computed once and kept on disk."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import Tensor

from clipself_mm.detection import FViT
from clipself_mm.io.atomic_write import atomic_write, remove_partial_files
from clipself_mm.version import __version__

_TUNED = ('alpha', 'beta', 'clip_temperature')
"""Arguments of the box head that change no cosine."""


@dataclass(frozen=True, eq=False)
class ImageProposals:
    """The R proposals of one image.

    Attributes:
        image_id: Id in the annotation file.
        boxes: Decoded, (x0, y0, x1, y1) in the frame of the detector's NMS, shape (R, 4).
        detector: Cosines of the detector's features with K classes and background, (R, K + 1).
        clip: Cosines of the dense CLIP features, (R, K + 1).
        scale: What `boxes` are divided by to be in pixels of the source image: (4).
    """

    image_id: int | str
    boxes: Tensor
    detector: Tensor
    clip: Tensor
    scale: Tensor


@contextmanager
def record_proposals(model: FViT) -> Iterator[list[ImageProposals]]:
    """Keep the proposals of all images that the model predicts inside the ``with`` block.

    Args:
        model: Its predictions do not change.

    Yields:
        A list that grows by one per image.
    """
    head = model.roi_head.bbox_head
    similarity, predict = head.fc_cls.similarity, head.predict_by_feat
    cosines: list[Tensor] = []
    kept: list[ImageProposals] = []

    def record_similarity(features: Tensor) -> Tensor:
        cosines.append(similarity(features))
        return cosines[-1]

    def record_boxes(*, rcnn_test_cfg: object, **given: Any) -> list:
        decoded = predict(rcnn_test_cfg=None, **given)
        sizes = [len(result.bboxes) for result in decoded]
        detector, clip = (table.cpu().split(sizes) for table in cosines)
        cosines.clear()
        for number, (result, meta) in enumerate(
            zip(decoded, given['batch_img_metas'], strict=True)
        ):
            scale = (1.0, 1.0) if given['rescale'] else meta['scale_factor']
            kept.append(
                ImageProposals(
                    meta['img_id'],
                    result.bboxes.cpu(),
                    detector[number],
                    clip[number],
                    torch.tensor(scale).repeat(2),
                )
            )
        return predict(rcnn_test_cfg=rcnn_test_cfg, **given)

    head.fc_cls.similarity, head.predict_by_feat = record_similarity, record_boxes
    try:
        yield kept
    finally:
        del head.fc_cls.similarity, head.predict_by_feat


class ProposalCache:
    """Proposals of the test data of a config, a file per batch.

    The files lie in a folder that is named by a digest of what they depend on: config, weights,
    text embeddings, annotation file and images. So files of another state are never read, and a
    killed run goes on where it was.

    Args:
        folder: Folder of the caches.
        config: Config of the detector, with `test_dataloader`.
        model: The detector with its weights, in eval mode.

    Attributes:
        folder: The folder of this state.
        images: Number of images.
    """

    def __init__(self, folder: str | Path, config: Config, model: FViT) -> None:
        self.config = config
        self.model = model
        self.dataset = DATASETS.build(copy.deepcopy(config.test_dataloader.dataset))
        self.images = len(self.dataset)
        self.batch_size = config.test_dataloader.batch_size
        self.folder = Path(folder, _digest(config, model, self.dataset))

    def fill(self, progress: Callable[[Iterable], Iterable] = iter) -> int:
        """Compute what is missing.

        Args:
            progress: Wraps the missing batches.

        Returns:
            Number of images that were computed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_partial_files(self.folder)
        missing = [path for path in self.paths() if not path.exists()]
        if not missing:
            return 0
        batches = [self._indices(path) for path in missing]
        dataset = self.dataset.get_subset([index for batch in batches for index in batch])
        loader = Runner.build_dataloader(
            dict(self.config.test_dataloader, dataset=dataset, drop_last=False)
        )
        half = bool((self.config.get('test_cfg') or {}).get('fp16'))
        device = next(self.model.parameters()).device.type
        with record_proposals(self.model) as kept, torch.no_grad():
            for path, data in zip(missing, progress(loader), strict=True):
                with torch.autocast(device, enabled=half):
                    self.model.test_step(data)
                with atomic_write(path) as part, part.open('wb') as file:
                    torch.save([vars(item) for item in kept], file)
                kept.clear()
        return sum(map(len, batches))

    def paths(self) -> list[Path]:
        """The files of all batches; they exist after `fill`."""
        return [self.folder / f'{first:07d}.pt' for first in range(0, self.images, self.batch_size)]

    def __iter__(self) -> Iterator[ImageProposals]:
        """The proposals of each image, in the order of the data set."""
        for path in self.paths():
            for item in torch.load(path, map_location='cpu', weights_only=True):
                yield ImageProposals(**item)

    def _indices(self, path: Path) -> Sequence[int]:
        first = int(path.stem)
        return range(first, min(first + self.batch_size, self.images))


def _digest(config: Config, model: FViT, dataset: BaseDataset) -> str:
    """Digest of all that the proposals depend on."""
    parts = copy.deepcopy(dict(model=config.model, data=config.test_dataloader))
    roi_head = parts['model'].roi_head
    for key in _TUNED:
        roi_head.bbox_head.pop(key, None)
    for key in ('temperature', 'learn_temperature'):
        roi_head.bbox_head.get('cls_predictor_cfg', {}).pop(key, None)
    for key in ('train_cfg', 'test_cfg'):  # mmdet puts them there when it builds the model
        roi_head.pop(key, None)
    parts['model'].pop('train_cfg', None)
    parts['model'].test_cfg.pop('rcnn', None)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    digest.update(f'{__version__} {config.get("test_cfg")} {model.classes}'.encode())
    state = model.state_dict()
    state.pop('roi_head.bbox_head.fc_cls.temperature', None)
    state['embeddings'] = model.roi_head.bbox_head.fc_cls.table()
    for name, tensor in state.items():
        digest.update(name.encode())
        values = tensor.detach().cpu().contiguous()
        digest.update(values.view(torch.uint8).numpy() if values.ndim else repr(values).encode())
    for number in range(len(dataset)):
        path = dataset.get_data_info(number)['img_path']
        digest.update(str(path).encode())
        if Path(path).is_file():
            stat = Path(path).stat()
            digest.update(f'{stat.st_size} {stat.st_mtime_ns}'.encode())
    path = Path(str(dataset.ann_file))
    if path.is_file():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
