"""Time and peak memory of a real-size F-ViT on this machine: one training step, one inference.

    python benchmarks/detector_step.py configs/fvit/fvit_eva02-b16_original_8xb8-3e_ov-coco.py

Weights and pixels are random (no file is needed), the image has the config's size, the batch is 1.
Each measurement runs in a process of its own, so that peak memory is its own too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import clipself_mm  # noqa: F401 - registers the types
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.datasets import load_vocabulary


def build(path: str, folder: str) -> tuple[torch.nn.Module, dict]:
    """The config's detector with random weights, and a batch of one random image."""
    config = Config.fromfile(path)
    init_default_scope('mmdet')
    model = config.model
    classes = [*load_vocabulary(model.roi_head.bbox_head.vocabulary).classes, 'background']
    embeddings = str(Path(folder, 'random.pt'))
    width = model.roi_head.bbox_head.fc_out_channels
    save_class_embeddings(embeddings, classes, torch.randn(len(classes), width))
    model.backbone.tower.checkpoint = None
    model.roi_head.bbox_head.cls_predictor_cfg.embeddings = embeddings
    side = model.data_preprocessor.pad_size_divisor
    with_mask = model.roi_head.get('mask_head') is not None
    batch = demo_mm_inputs(
        1, [[3, side, side]], num_items=[8], num_classes=len(classes) - 1, with_mask=with_mask
    )
    return MODELS.build(model), batch


def measure(path: str, training: bool, queue: multiprocessing.Queue) -> None:
    """Runs one step and puts (seconds, peak memory in GiB, parameters that train) in the queue."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model, batch = build(path, folder)
        model.init_weights()
        trained = [p for p in model.parameters() if p.requires_grad]
        data = model.data_preprocessor(batch, training)
        start = time.perf_counter()
        if training:
            optimizer = torch.optim.AdamW(trained, lr=1e-4)
            losses, _ = model.train().parse_losses(model(**data, mode='loss'))
            losses.backward()
            optimizer.step()
        else:
            with torch.no_grad():
                model.eval()(**data, mode='predict')
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    queue.put((seconds, peak, sum(p.numel() for p in trained)))


def main() -> None:
    """Measures the configs given and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+')
    print(f'{"config":<60}{"step":>10}{"seconds":>9}{"peak GiB":>10}')
    context = multiprocessing.get_context('spawn')
    for path in parser.parse_args().configs:
        for training in (True, False):
            queue = context.Queue()
            process = context.Process(target=measure, args=(path, training, queue))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f'{path}: the step failed (exit code {process.exitcode})')
            seconds, peak, trained = queue.get()
            step = 'train' if training else 'predict'
            print(f'{Path(path).stem:<60}{step:>10}{seconds:>9.1f}{peak:>10.1f}', flush=True)
        print(f'{"":<60}parameters that train: {trained / 1e6:.1f} M')


if __name__ == '__main__':
    main()
