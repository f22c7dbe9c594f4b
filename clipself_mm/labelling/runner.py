"""Detects the objects of all images of a source, into a journal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, broadcast_object_list, get_dist_info
from PIL import ExifTags
from torch.utils.data import DataLoader, Dataset

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.image_files import decode_image, read_bytes
from clipself_mm.datasets.input_images import InputImage
from clipself_mm.datasets.sharded.order import share
from clipself_mm.detection import ImageDetections, OpenVocabDetector
from clipself_mm.detection.image_detections import of_sample
from clipself_mm.detection.open_vocab_detector import DetectorVocabulary
from clipself_mm.detection.open_vocab_inferencer import prepare
from clipself_mm.io.journal import weights_digest

from .journal import BrokenImage, Journal, LabelledImage, Records
from .sources import ImageSource


def label_images(
    detector: OpenVocabDetector,
    source: ImageSource,
    thresholds: Mapping[str, float],
    journal: Journal,
    batch_size: int = 8,
    workers: int = 2,
    progress: Callable[..., Any] | None = None,
    vocabulary: DetectorVocabulary | None = None,
) -> Records | None:
    """Detect objects in all images that the journal does not have yet.

    Several processes share the images. Batches are the same ones in every run with one
    `batch_size`, so that the labels do not depend on kills and on the number of processes. Images
    that could not be read in an earlier run are tried again.

    Args:
        detector: What detects.
        source: N images.
        thresholds: The K classes with their least scores.
        journal: Where the labels are kept; the main process has locked it.
        batch_size: Images in a forward pass.
        workers: Processes that read images; 0 for none.
        progress: Progress bar of the main process, called like ``tqdm``.
        vocabulary: Pictures of these classes and negatives, from the detector's `read_vocabulary`;
            by default its own for the names.

    Returns:
        The labels of all images in the main process, else None.

    Raises:
        ValueError: The journal was begun with other options, or is damaged; or the model itself
            returns no box of a score as low as the thresholds.
        OSError: The journal cannot be written.
    """
    rank, world = get_dist_info()
    _check_model_threshold(detector, min(thresholds.values()))
    names, pictures, negatives = vocabulary or detector.read_vocabulary([*thresholds])
    settings = dict(
        input=source.fingerprint(),
        texts=[*names],
        exemplars={name: _digest_of(given) for name, given in pictures.items()},
        negatives=[*negatives],
        score_thr=dict(thresholds),
        model=_model_digests(detector),
    )
    started = _begin(journal, settings, len(source)) if rank == 0 else None
    problem, claimed, done = _from_main(started)
    if problem is None and claimed != settings:
        problem = f'{source.path}: process {rank} finds other images or weights than process 0'
    if problem is not None:
        raise ValueError(problem)

    missing = np.flatnonzero(~done)
    batches = np.unique(missing // batch_size).tolist()
    first, end = share(len(batches), rank, world)
    own = [
        range(batch * batch_size, min((batch + 1) * batch_size, len(source)))
        for batch in batches[first:end]
    ]
    loader = DataLoader(
        _Batches(source, detector.inferencer.pipeline, own),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    least = np.array([*thresholds.values()], np.float32)
    with ExitStack() as stack:
        part = stack.enter_context(journal.part(rank))
        stack.enter_context(detector.model.vocabulary(names, pictures, negatives))
        bar = None
        if progress is not None and rank == 0:
            total = sum(len(batch) for batch in own)
            bar = stack.enter_context(progress(total=total, desc='images', unit=' images'))
        for batch in loader:
            part.add([*_detect(detector, batch, done, least)])
            if bar is not None:
                bar.update(len(batch))
    barrier()
    return journal.records(len(source)) if rank == 0 else None


def _begin(journal: Journal, settings: dict, total: int) -> tuple[str | None, dict, np.ndarray]:
    """In the main process: what is wrong with the journal, its settings, which images it has."""
    try:
        journal.claim(settings)
        journal.repair()
        return None, settings, journal.records(total).labelled
    except (OSError, ValueError) as error:
        return str(error), settings, np.zeros(0, bool)


def _from_main(given: Any) -> Any:  # noqa: ANN401
    """What the main process gives to all."""
    box = [given]
    broadcast_object_list(box)
    return box[0]


def _check_model_threshold(detector: OpenVocabDetector, least: float) -> None:
    """ValueError if the model leaves out boxes that the thresholds allow."""
    own = detector.model.roi_head.test_cfg.score_thr
    if least < own:
        raise ValueError(
            f'the threshold {least:g} is below {own:g}, model.test_cfg.rcnn.score_thr of the '
            'config, below which the model finds nothing: give a higher one, or lower it there'
        )


def _model_digests(detector: OpenVocabDetector) -> dict[str, str]:
    """SHA-256 of the weights, and of the config of the model and of its input: 64 bits, as hex."""
    config = detector.inferencer.cfg
    read = dict(model=config.model, pipeline=config.test_dataloader.dataset.pipeline)
    text = json.dumps(read, sort_keys=True, default=repr)
    return dict(
        weights=weights_digest(detector.model.state_dict()),
        config=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def _digest_of(given: ExemplarEmbedding) -> str:
    """Digest of the pictures of a class and their weight, equal where devices round otherwise."""
    numbers = np.append(given.vector.cpu().numpy(), given.weight).round(2).astype('<f4') + 0.0
    return hashlib.sha256(numbers.tobytes()).hexdigest()[:16]


class _Batches(Dataset):
    """Batches of images, read and put through the pipeline of the detector.

    Args:
        source: The images.
        pipeline: Pipeline of the inferencer.
        batches: Indices of images per batch.
    """

    def __init__(
        self, source: ImageSource, pipeline: Callable[[dict], dict], batches: Sequence[range]
    ) -> None:
        self.source = source
        self.pipeline = pipeline
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> list[dict | BrokenImage]:
        return [self._load(index) for index in self.batches[number]]

    def _load(self, index: int) -> dict | BrokenImage:
        """`inputs` and `data_samples` of an image, with `index`, `name` and `orientation`."""
        listed = self.source[index]
        try:
            listed.name.encode()
        except UnicodeEncodeError:
            name = listed.name.encode('utf-8', 'backslashreplace').decode()
            return BrokenImage(index, name, 'its name is not UTF-8: rename the file')
        try:
            content = read_bytes(listed.path) if listed.content is None else listed.content
            image = decode_image(content, listed.path)
            pixels = InputImage(image, listed.path).read_bgr()
            packed = prepare(self.pipeline, dict(img=pixels), listed.path)
        except ImageReadError as error:
            return BrokenImage(index, listed.name, error.why or str(error))
        sample: DetDataSample = packed['data_samples']
        sample.set_metainfo(dict(img_path=listed.path, output_name=listed.name))
        same_size = pixels.shape[1::-1] == image.size
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1) if same_size else 1
        return dict(
            packed, index=index, orientation=orientation if orientation in range(2, 9) else 1
        )


def _as_it_is(batch: list) -> list:
    """Collate function of batches that the data set makes."""
    return batch


def _detect(
    detector: OpenVocabDetector,
    batch: Sequence[dict | BrokenImage],
    done: np.ndarray,
    least: np.ndarray,
) -> Iterator[LabelledImage | BrokenImage]:
    """The labels of the images of a batch that are not done."""
    loaded = [image for image in batch if isinstance(image, dict)]
    yield from (image for image in batch if isinstance(image, BrokenImage))
    if all(done[image['index']] for image in loaded):
        return
    keys = ('inputs', 'data_samples')
    with torch.no_grad():
        samples = detector.model.test_step(
            pseudo_collate([{key: image[key] for key in keys} for image in loaded])
        )
    for image, sample in zip(loaded, samples, strict=True):
        if not done[image['index']]:
            found = of_sample(sample, detector.model.classes, float(least.min()))
            yield labels_of(found, image['index'], image['orientation'], least)


def labels_of(
    found: ImageDetections, index: int, orientation: int, least: np.ndarray
) -> LabelledImage:
    """The objects above their thresholds that have an area.

    Args:
        found: Objects of one image.
        index: Its number in the source.
        orientation: See `LabelledImage`.
        least: Threshold of each class, shape (K).
    """
    boxes = found.boxes.astype(np.float64).round(2)
    kept = (found.scores >= least[found.labels]) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    masks = found.segmentations
    if masks:
        kept &= coco_mask.area(masks) > 0
    return LabelledImage(
        index=index,
        name=found.file_name,
        size=found.size,
        labels=found.labels[kept].tolist(),
        scores=found.scores[kept].astype(np.float64).round(5).tolist(),
        boxes=boxes[kept].tolist(),
        segmentations=None if masks is None else [masks[i] for i in np.flatnonzero(kept)],
        orientation=orientation,
    )
