"""Distil the tiny CLIP on Shapes-OV and show what it gains (``python tools/demo.py``).

What is done already is not made again: after a failure or Ctrl-C, give the same command once more.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from projects.reproduce import OtherSetupError, RunContext, prepare_shapes  # noqa: E402
from projects.reproduce.demo import Demo  # noqa: E402


def main() -> int:
    """Write the data and run the demo; 1 if a step has failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--data-root', type=Path, default=Path('data/shapes_ov'))
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.perf_counter()
    data = prepare_shapes(args.data_root.resolve())
    context = RunContext(ROOT, args.work_dir.resolve(), args.data_root.resolve(), data)
    try:
        done = Demo(context, time.perf_counter() - start).run()
    except OtherSetupError as error:  # the configs have changed since the last call
        parser.error(str(error))
    return 0 if done else 1


if __name__ == '__main__':
    sys.exit(main())
