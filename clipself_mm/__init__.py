"""CLIPSelf and F-ViT for MMDetection 3.x: importing the package registers its modules.

``custom_imports = dict(imports=['clipself_mm'])`` in a config is all that a pipeline needs. It
also makes mmengine read checkpoints without running code from them (``checkpoint_loading.py``).
"""

from .environment import require_mm_packages
from .version import __version__

require_mm_packages()

from . import clip, datasets, detection, distillers, evaluation, hooks, losses, optim, visualization  # noqa: E402
from .checkpoint_loading import register_loaders  # noqa: E402
from .detection import OpenVocabDetector  # noqa: E402
from .visualization import load_tower  # noqa: E402

register_loaders()

__all__ = [
    'OpenVocabDetector',
    '__version__',
    'clip',
    'datasets',
    'detection',
    'distillers',
    'evaluation',
    'hooks',
    'load_tower',
    'losses',
    'optim',
    'visualization',
]
