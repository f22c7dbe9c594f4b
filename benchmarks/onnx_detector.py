r"""An exported F-ViT against PyTorch on the val images of its config: boxes, AP, time.

    python tools/export_onnx.py CONFIG CHECKPOINT detector.onnx
    python benchmarks/onnx_detector.py CONFIG CHECKPOINT detector.onnx [--images N]

The ONNX side is `examples/onnx_detect.py`. Both sides have the same number of threads, and take
turns on each image.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from mmdet.apis import init_detector
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS
from mmengine.structures import InstanceData
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'examples'))

from onnx_detect import detect
from onnx_text import read_embeddings

import clipself_mm  # noqa: F401 - registers the types of configs
from clipself_mm.clip.export.onnx_file import open_onnx


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Compare an ONNX detector with PyTorch.')
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('detector', type=Path, help='.onnx file of tools/export_onnx.py')
    parser.add_argument('--images', type=int, help='number of images; by default all')
    return parser.parse_args()


def differences(torch_side: InstanceData, onnx_side: InstanceData) -> tuple[int, float, float]:
    """Boxes without an equal one, largest differences of coordinates (px) and scores of others."""
    apart = (torch_side.bboxes[:, None] - onnx_side.bboxes).abs().amax(dim=-1)
    off = (torch_side.scores[:, None] - onnx_side.scores).abs()
    near = (apart < 0.5) & (off < 1e-2) & (torch_side.labels[:, None] == onnx_side.labels)
    best = torch.where(near, apart, torch.inf).min(dim=1) if len(onnx_side) else None
    if best is None or not len(torch_side):
        return len(torch_side), 0.0, 0.0
    kept = best.values.isfinite()
    off = off[torch.arange(len(kept)), best.indices][kept]
    lost = int((~kept).sum()) + max(0, len(onnx_side) - len(torch_side))
    return lost, *(float(item.max()) if len(item) else 0.0 for item in (best.values[kept], off))


def main() -> None:
    """Run both sides, print."""
    args = parse_args()
    config = Config.fromfile(args.config)
    model = init_detector(config, args.checkpoint, device='cpu')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    session = open_onnx(args.detector)
    names, embeddings = read_embeddings(args.detector.with_suffix('.safetensors'))
    metrics = [METRICS.build(config.test_evaluator) for _ in range(2)]
    for metric in metrics:
        metric.dataset_meta = dataset.metainfo
    count = min(args.images or len(dataset), len(dataset))
    rows, times = [], []
    for index in range(count):
        data = dataset[index]
        path = data['data_samples'].img_path
        started = time.perf_counter()
        with torch.no_grad():
            batch = dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
            (sample,) = model.test_step(batch)
        middle = time.perf_counter()
        boxes, scores, labels = detect(session, Image.open(path), names, embeddings)
        times.append((middle - started, time.perf_counter() - middle))
        found = InstanceData(
            bboxes=torch.from_numpy(boxes).float(),
            scores=torch.from_numpy(scores),
            labels=torch.from_numpy(labels),
        )
        rows.append((len(sample.pred_instances), *differences(sample.pred_instances, found)))
        for metric, instances in zip(metrics, (sample.pred_instances, found), strict=True):
            metric.process({}, [dict(sample.to_dict(), pred_instances=instances.to_dict())])
    total, lost, apart, off = np.array(rows).T
    print(
        f'{count} images, {int(total.sum())} boxes of PyTorch: {int(lost.sum())} differ; the '
        f'others by at most {apart.max():.1e} px and scores of {off.max():.1e}'
    )
    for name, metric in zip(('PyTorch', 'ONNX'), metrics, strict=True):
        found = metric.evaluate(count)
        line = {key: f'{100 * found[f"coco/{key}_ap50"]:.2f}' for key in ('novel', 'base', 'all')}
        print(name, 'AP50', line)
    slow, fast = np.median(times[1:], axis=0)
    print(
        f'median of an image: PyTorch {1e3 * slow:.0f} ms, ONNX {1e3 * fast:.0f} ms with resizing; '
        f'ONNX / PyTorch {fast / slow:.2f}; {torch.get_num_threads()} threads'
    )


if __name__ == '__main__':
    main()
