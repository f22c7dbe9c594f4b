r"""Export an F-ViT as ONNX; its classes stay an input.

python tools/export_onnx.py CONFIG CHECKPOINT detector.onnx --text text.onnx
python examples/onnx_detect.py detector.onnx photo.jpg --text text.onnx --names "red star"
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmdet.apis import init_detector
from mmengine.config import Config, DictAction

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clipself_mm  # noqa: F401 - registers the types of configs
from clipself_mm.clip import PROMPT_TEMPLATES, TextTower
from clipself_mm.clip.class_embeddings import read_metadata, save_class_embeddings
from clipself_mm.clip.embedding_metadata import EmbeddingMetadata
from clipself_mm.clip.export.text_onnx import TEXT_TOLERANCE, compare_text, export_text
from clipself_mm.detection import FViT
from clipself_mm.detection.onnx_detector import unsupported
from clipself_mm.detection.onnx_export import LEAST_SHARE, compare_detector, export_detector
from clipself_mm.model_index import config_file


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Export a detector as ONNX.')
    parser.add_argument('config', type=config_file, help='config of an F-ViT')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument(
        'out', type=Path, help='.onnx file; the class embeddings of the config go beside it'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='input size in pixels; by default the square of the test pipeline',
    )
    parser.add_argument(
        '--text', type=Path, metavar='FILE', help='write the text tower to this .onnx file'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in tools/test.py')
    args = parser.parse_args()
    for path in (args.out, args.text):
        if path is not None and path.suffix != '.onnx':
            parser.error(f'{path}: expected a .onnx file')
    return args


def size_of(config: Config, divisor: int) -> tuple[int, int]:
    """The square that holds every image of the test pipeline."""
    steps = config.test_dataloader.dataset.pipeline
    sides = [max(step['scale']) for step in steps if step['type'] == 'Resize']
    if not sides:
        raise ValueError('the test pipeline has no Resize: give --size')
    side = -(-sides[-1] // divisor) * divisor
    return side, side


def write_detector(model: FViT, out: Path, size: tuple[int, int]) -> None:
    """Write and check the detector, and the embeddings of its classes."""
    export_detector(model, out, size)
    found = compare_detector(model, out, size)
    said = (
        f'{found.share:.1%} of the {found.boxes} boxes of an image of noise are those of PyTorch, '
        f'within {found.box_difference:.1e} px and scores of {found.score_difference:.1e}'
    )
    if not found.share >= LEAST_SHARE:
        out.unlink()
        raise ValueError(f'{out}: {said}, expected {LEAST_SHARE:.0%}; the file is removed')
    classifier = model.roi_head.bbox_head.fc_cls
    names = out.with_suffix('.safetensors')
    listed = classifier.text.classes  # with the background if it is a word
    save_class_embeddings(names, listed, classifier.text.table, metadata_of(model))
    print(f'{out}: {size[0]} x {size[1]} px; {said} (onnxruntime)')
    print(f'{names}: class embeddings of the {len(model.classes)} classes of the config')
    if model.roi_head.with_mask:
        print('the mask head is left out: the file gives boxes')


def metadata_of(model: FViT) -> EmbeddingMetadata:
    """How the class embeddings of a detector were made."""
    text = model.roi_head.bbox_head.fc_cls.text
    if text.embeddings is not None:
        return read_metadata(text.embeddings)
    return EmbeddingMetadata(PROMPT_TEMPLATES, text.synonyms, (text.text or {}).get('model'))


def write_text(model: FViT, out: Path) -> None:
    """Write and check the text tower of the classifier."""
    text = model.roi_head.bbox_head.fc_cls.text.text
    if text is None:
        raise ValueError('--text: the config has no text tower: its tower has random weights')
    tower = TextTower(**text)
    export_text(tower, out, metadata_of(model).templates or PROMPT_TEMPLATES)
    difference = compare_text(tower, out)
    if not difference <= TEXT_TOLERANCE:
        out.unlink()
        raise ValueError(
            f'{out}: embeddings differ by {difference:.1e} from the text tower, expected at most '
            f'{TEXT_TOLERANCE:.0e}; the file is removed'
        )
    print(f'{out}: text tower, differs by at most {difference:.1e} from PyTorch (onnxruntime)')


def main() -> None:
    """Load the detector, write and check the files."""
    args = parse_args()
    try:
        config = Config.fromfile(args.config)
        if args.cfg_options is not None:
            config.merge_from_dict(args.cfg_options)
        model = init_detector(config, args.checkpoint, device='cpu')
        wrong = unsupported(model)
        if wrong:
            raise ValueError(f'{args.config}: cannot be exported: {"; ".join(wrong)}')
        size = args.size or size_of(config, model.data_preprocessor.side_divisor)
        write_detector(model, args.out, tuple(size))
        if args.text is not None:
            write_text(model, args.text)
    except (ValueError, FileNotFoundError, ImportError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
