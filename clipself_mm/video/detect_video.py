"""Detects objects in a video: writes an annotated video and a json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from clipself_mm.datasets import ImageReadError
from clipself_mm.detection import ImageDetections, OpenVocabDetector
from clipself_mm.io.atomic_write import atomic_write, save_json
from clipself_mm.io.text_files import read_local_json
from clipself_mm.visualization import OpenVocabVisualizer

from .frames import Frame, VideoFrames, VideoReadError
from .tracks import ObjectTracks
from .video_writer import VideoWriter


@dataclass(frozen=True)
class DetectedVideo:
    """What was done.

    Attributes:
        video: The annotated video.
        json: The detections.
        frames: Number of frames.
        codec: Encoder of the video.
        complaint: What of the source could not be read; '' if nothing is known to lack.
    """

    video: Path
    json: Path
    frames: int
    codec: str
    complaint: str


def detect_video(
    detector: OpenVocabDetector,
    source: str | Path,
    out_dir: str | Path,
    score_thr: float = 0.3,
    batch_size: int = 1,
    tracks: bool = False,
    progress: Callable[..., Iterable[Frame]] | None = None,
) -> DetectedVideo:
    """Detect the classes of the detector in each frame.

    `OUT_DIR/NAME.mp4` has the frames of the source at their times, with boxes drawn.
    `OUT_DIR/NAME.json` has `video`, `width`, `height`, `rate` (frames per second), `classes`,
    `complaint`, and `frames`: per frame `time` (seconds since the first), `labels`, `label_names`,
    `scores`, `bboxes` (x0, y0, x1, y1 in pixels), with tracks `track_ids`, and with a mask head
    `masks` (COCO's RLE).
    Both appear when they are complete; an interrupted call writes neither.

    Args:
        detector: Its classes are those of `model.set_vocabulary`.
        source: Video file.
        out_dir: Folder of the output.
        score_thr: Least score; with tracks, of the first detection of a track.
        batch_size: Frames in a forward pass.
        tracks: Whether to link detections to tracks, see `ObjectTracks`.
        progress: As `tqdm`: wraps the frames, is given `total` and `unit`.

    Raises:
        VideoReadError: The source is no video; or the output would replace it, or files that are
            not of an earlier call with this source.
        ImportError: PyAV, or with tracks lap, is not installed.
    """
    video, json = (Path(out_dir, f'{Path(source).stem}.{kind}') for kind in ('mp4', 'json'))
    _check_output(video, json, Path(source))
    follow = ObjectTracks(score_thr) if tracks else None
    frames = VideoFrames(source)
    shown: Iterable[Frame] = frames
    if progress is not None:
        shown = progress(frames, total=frames.expected or None, unit='frame')
    least = score_thr if follow is None else follow.least_score
    records: list[dict[str, Any]] = []
    size = (0, 0)
    try:
        with atomic_write(video) as part, VideoWriter(part, frames.rate) as writer:
            for batch in _batches(iter(shown), batch_size):
                results = detector(
                    [frame.pixels for frame in batch], score_thr=least, batch_size=batch_size
                )
                for frame, found in zip(batch, results, strict=True):
                    numbers = None
                    if follow is not None:
                        found, numbers = follow.follow(found)
                    size = found.size
                    records.append(_record(frame, found, numbers))
                    writer.write(draw_tracks(detector, frame.pixels, found, numbers), frame.time)
        content = dict(
            video=str(source),
            width=size[0],
            height=size[1],
            rate=float(frames.rate),
            classes=list(detector.model.classes),
            complaint=frames.complaint(),
            frames=records,
        )
        save_json(content, json)
    except ImageReadError as error:  # a frame that has no pixel after resizing
        raise VideoReadError(f'{source}: {error.why or error}') from error
    finally:
        frames.close()
    return DetectedVideo(video, json, frames.read, writer.codec, frames.complaint())


def _check_output(video: Path, json: Path, source: Path) -> None:
    """VideoReadError if the output would replace other files than its own of an earlier call."""
    if video.exists() and video.samefile(source):
        raise VideoReadError(f'{source}: would be replaced by the output, give another folder')
    found = [path for path in (video, json) if path.exists()]
    if not found:
        return
    try:
        earlier = read_local_json(json, 'the json of a video').get('video')
    except (AttributeError, OSError, ValueError):
        earlier = None
    if earlier is None or Path(earlier).resolve() != source.resolve():
        raise VideoReadError(
            f'{found[0]}: is there already, not from {source}; give another folder, or move it away'
        )


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(islice(frames, size)):
        yield batch


def _record(frame: Frame, found: ImageDetections, numbers: list[int] | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        'time': float(frame.time),
        'labels': found.labels.tolist(),
        'label_names': found.names,
        'scores': found.scores.tolist(),
        'bboxes': found.boxes.tolist(),
    }
    if numbers is not None:
        record['track_ids'] = numbers
    if found.segmentations is not None:
        record['masks'] = found.segmentations
    return record


def draw_tracks(
    detector: OpenVocabDetector,
    pixels: np.ndarray,
    found: ImageDetections,
    numbers: list[int] | None = None,
) -> np.ndarray:
    """Draw detections with the visualizer of the detector.

    Args:
        detector: The detector.
        pixels: BGR, uint8 of shape (H, W, 3).
        found: What it found there.
        numbers: Number of the track of each object; it follows the name.

    Returns:
        RGB, uint8 of shape (H, W, 3).
    """
    visualizer: OpenVocabVisualizer = detector.inferencer.visualizer
    drawn = InstanceData(
        bboxes=torch.from_numpy(found.boxes),
        labels=torch.from_numpy(found.labels),
        scores=torch.from_numpy(found.scores),
        label_names=found.names,
    )
    if found.masks is not None:
        drawn.masks = torch.from_numpy(found.masks)
    if numbers is not None:
        drawn.instances_id = torch.tensor(numbers)
    sample = DetDataSample(pred_instances=drawn)
    visualizer.add_datasample(
        'frame', pixels[..., ::-1], sample, draw_gt=False, show=False, pred_score_thr=-1.0
    )
    return visualizer.get_image()
