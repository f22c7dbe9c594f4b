r"""Detect any classes with ONNX files: needs numpy, Pillow and onnxruntime only.

python tools/export_onnx.py CONFIG CHECKPOINT detector.onnx --text text.onnx  # once, with torch
python examples/onnx_detect.py detector.onnx image.jpg --out found.png     # classes of the config
python examples/onnx_detect.py detector.onnx image.jpg --text text.onnx --names "red star" dog
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnx_text import embed, metadata_of, read_embeddings
from PIL import Image, ImageDraw, ImageOps


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Detect objects with ONNX files.')
    parser.add_argument('detector', help='.onnx file of tools/export_onnx.py')
    parser.add_argument('image')
    parser.add_argument('--embeddings', help='.safetensors; default: the file beside the detector')
    parser.add_argument('--text', help='.onnx file of the text tower, for --names')
    parser.add_argument('--names', nargs='+', help='class names; one text is split at , . and ;')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score')
    parser.add_argument('--out', help='draw the boxes into this file')
    args = parser.parse_args()
    if bool(args.text) != bool(args.names):
        parser.error('--text and --names need each other')
    if args.names and len(args.names) == 1:
        args.names = [name for name in re.split(r'\s*[,.;]\s*', args.names[0].strip()) if name]
    return args


def detect(
    session: onnxruntime.InferenceSession,
    image: Image.Image,
    names: Sequence[str],
    embeddings: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (xyxy in pixels of the image), scores and labels, best first."""
    height, width = session.get_inputs()[0].shape[2:]
    scale = min(height / image.height, width / image.width)
    w, h = int(image.width * scale + 0.5), int(image.height * scale + 0.5)
    pixels = np.zeros((1, 3, height, width), np.float32)
    pixels[0, :, :h, :w] = [resize(band, (w, h)) for band in image.convert('RGB').split()]
    base = metadata_of(session)['base']
    given = dict(
        image=pixels,
        image_size=np.array([h, w]),
        embeddings=embeddings,
        novel=np.array([name not in base for name in names]),
    )
    boxes, scores, labels = session.run(None, given)
    return boxes * np.tile([image.width / w, image.height / h], 2), scores, labels


def resize(band: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Resize one channel to (width, height): bilinear, not antialiased, rounded, as OpenCV's."""
    matrix = (band.width / size[0], 0, 0, 0, band.height / size[1], 0)
    resized = band.convert('F').transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.floor(np.asarray(resized) + 0.5)


def main() -> None:
    """Detect, print and draw."""
    args = parse_args()
    if args.names:
        names, embeddings = args.names, embed(args.text, args.names)
    else:
        beside = Path(args.detector).with_suffix('.safetensors')
        names, embeddings = read_embeddings(args.embeddings or beside)
    image = ImageOps.exif_transpose(Image.open(args.image)).convert('RGB')
    session = onnxruntime.InferenceSession(args.detector)
    draw = ImageDraw.Draw(image)
    for box, score, label in zip(*detect(session, image, names, embeddings), strict=True):
        if score >= args.score_thr:
            print(f'{names[label]}  {score:.3f}  {" ".join(f"{side:.1f}" for side in box)}')
            draw.rectangle([*box], outline='red', width=2)
            draw.text((box[0] + 3, box[1] + 2), f'{names[label]} {score:.2f}', fill='red')
    if args.out:
        image.save(args.out)


if __name__ == '__main__':
    main()
