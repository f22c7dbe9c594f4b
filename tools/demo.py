"""Distils the tiny CLIP on Shapes-OV and shows what it gains (``python tools/demo.py``)."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from clipself_mm.shapes.demo import Demo  # noqa: E402


def main() -> None:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--data-root', type=Path, default=Path('data/shapes_ov'))
    args = parser.parse_args()
    Demo(ROOT, args.work_dir.resolve(), args.data_root.resolve()).run()


if __name__ == '__main__':
    main()
