r"""Choose a detector's score settings: python tools/tune_scores.py [CONFIG [CHECKPOINT]].

The proposals of its test data are computed once and kept in DIR/cache; then fusion weights,
temperatures, suppression and least score are tried in seconds. By default it tunes the shipped
detector, which needs `python tools/make_shapes_ov.py` first.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mmdet.apis import init_detector
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clipself_mm.datasets import ImageReadError
from clipself_mm.detection.detector_options import add_score_option
from clipself_mm.detection.open_vocab_detector import SHIPPED, check_device, check_is_fvit
from clipself_mm.launch import drop_worker_options
from clipself_mm.model_index import CONFIG_HELP, config_file, find_model
from clipself_mm.tuning import PASSES, Protocol, Tuning, write_report


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Choose a detector's score settings.")
    parser.add_argument(
        'config', nargs='?', type=config_file, help=f'{CONFIG_HELP}; default: the shipped detector'
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='its weights; by default load_from of the config'
    )
    parser.add_argument('--out', type=Path, help='output folder, default: work_dirs/tune_NAME')
    parser.add_argument(
        '--choose-on',
        choices=[protocol.value for protocol in Protocol],
        default='base',
        help='what chooses: base classes (default); all classes on every second image, measured '
        'on the others; or all classes on all images',
    )
    parser.add_argument(
        '--precision', type=float, default=0.8, help='wanted precision of the thresholds per class'
    )
    add_score_option(parser, 'least score of the errors that are counted')
    parser.add_argument(
        '--sweep-images', type=int, default=500, help='most images of the sweep, evenly spaced'
    )
    parser.add_argument(
        '--alone',
        action='store_true',
        help='also measure each novel class asked for alone, with and without negatives',
    )
    parser.add_argument('--device', help='cpu, cuda:0, ...; by default the GPU if there is one')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='overrides of config values'
    )
    args = parser.parse_args()
    if not 0 < args.precision <= 1:
        parser.error(f'--precision: expected more than 0 and at most 1, got {args.precision}')
    if args.sweep_images < 1:
        parser.error(f'--sweep-images: expected at least 1, got {args.sweep_images}')
    return args


def main() -> None:
    """Tune; what is wrong ends the tool with one sentence."""
    args = parse_args()
    try:
        tune(args)
    except (ImageReadError, OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')


def tune(args: argparse.Namespace) -> None:
    """Cache, choose, measure, write.

    Raises:
        ImageReadError, OSError, TypeError, ValueError: Config, weights, data or options do not fit.
    """
    path = args.config or find_model(SHIPPED).config
    config = Config.fromfile(path)
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    drop_worker_options(config)
    checkpoint = args.checkpoint or config.get('load_from')
    if not checkpoint:
        raise ValueError(f'{path} has no load_from: give a CHECKPOINT')
    out = args.out or Path('work_dirs', f'tune_{Path(path).stem}')
    protocol = Protocol(args.choose_on)
    device = args.device or get_device()
    check_is_fvit(config, str(path))
    check_device(device)
    model = init_detector(config, checkpoint, device=device)
    tuning = Tuning(config, model, out / 'cache')
    if args.alone and not tuning.novel.any():
        raise ValueError('--alone: the vocabulary has no novel class')
    seconds = {}
    start = time.perf_counter()
    computed = tuning.cache.fill(lambda batches: tqdm(batches, 'proposals', unit='batch'))
    print(f'{tuning.cache.folder}: {computed} of {tuning.cache.images} images computed')
    seconds['proposals'] = time.perf_counter() - start
    alone = None
    if args.alone:
        with tqdm(desc='alone', unit='class') as bar:
            alone = tuning.ask_alone(tuning.current, args.sweep_images, bar.update)
    start = time.perf_counter()
    with tqdm(total=PASSES, desc='sweep', unit='pass') as bar:
        choice = tuning.choose(protocol, args.sweep_images, bar.update)
    seconds['sweep'] = time.perf_counter() - start
    text = write_report(
        tuning, out, protocol, args.precision, args.score_thr, choice, seconds, alone
    )
    print(text, f'\nTables, figures and thresholds.json: {out}', sep='\n')


if __name__ == '__main__':
    main()
