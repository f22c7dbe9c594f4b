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

from clipself_mm.detection.open_vocab_detector import SHIPPED
from clipself_mm.launch import drop_worker_options
from clipself_mm.model_index import find_model
from clipself_mm.tuning import PASSES, Protocol, Tuning, write_report


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Choose a detector's score settings.")
    parser.add_argument('config', nargs='?', help='config; by default the shipped detector')
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
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='least score of the errors that are counted'
    )
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
    """Cache, choose, measure, write."""
    args = parse_args()
    path = args.config or find_model(SHIPPED).config
    config = Config.fromfile(path)
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    drop_worker_options(config)
    checkpoint = args.checkpoint or config.get('load_from')
    if not checkpoint:
        sys.exit(f'error: {path} has no load_from: give a CHECKPOINT')
    out = args.out or Path('work_dirs', f'tune_{Path(path).stem}')
    model = init_detector(config, checkpoint, device=args.device or get_device())
    protocol = Protocol(args.choose_on)
    try:
        tuning = Tuning(config, model, out / 'cache')
    except ValueError as error:
        sys.exit(f'error: {error}')
    seconds = {}
    start = time.perf_counter()
    computed = tuning.cache.fill(lambda batches: tqdm(batches, 'proposals', unit='batch'))
    print(f'{tuning.cache.folder}: {computed} of {tuning.cache.images} images computed')
    seconds['proposals'] = time.perf_counter() - start
    start = time.perf_counter()
    with tqdm(total=PASSES, desc='sweep', unit='pass') as bar:
        choice = tuning.choose(protocol, args.sweep_images, bar.update)
    seconds['sweep'] = time.perf_counter() - start
    alone = None
    if args.alone:
        with tqdm(desc='alone', unit='class') as bar:
            alone = tuning.ask_alone(tuning.current, args.sweep_images, bar.update)
    text = write_report(
        tuning, out, protocol, args.precision, args.score_thr, choice, seconds, alone
    )
    print(text, f'\nTables, figures and thresholds.json: {out}', sep='\n')


if __name__ == '__main__':
    main()
