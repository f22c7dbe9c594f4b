"""Options that the tools which detect have in common: the model and the classes to look for."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from clipself_mm.models import read_name_option

from .open_vocab_detector import (
    SHIPPED,
    DetectorVocabulary,
    OpenVocabDetector,
    check_score_thr,
)


def add_detector_options(parser: ArgumentParser, batch_size: int = 1) -> None:
    """Add the options to the parser of a tool, whose own positional arguments stand before.

    Args:
        parser: The parser; `read_detector_options` completes what it gives.
        batch_size: Images in a forward pass, by default.
    """
    parser.add_argument(
        'config',
        nargs='?',
        default=SHIPPED,
        help='config of an F-ViT, or name in model-index.yml; default: %(default)s',
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='its trained weights; default: those of the index'
    )
    parser.add_argument(
        '--texts',
        action='append',
        help="class names separated by '.' or ',', or a .txt or .json file; given several times: "
        "one name each; default: the config's, with --exemplars none",
    )
    parser.add_argument(
        '--exemplars', help='folder with a sub-folder of crops per class (docs/exemplars.md)'
    )
    parser.add_argument(
        '--exemplar-weight',
        type=float,
        default=0.5,
        help='share of the crops in 0-1 for classes of --texts; other classes have no name',
    )
    parser.add_argument(
        '--negatives',
        action='append',
        help="names of other objects, as --texts, that are not reported, or 'none'; default: the "
        'base classes of the training if all classes are of its vocabulary (docs/scores.md)',
    )
    parser.add_argument('--device', help='cpu, cuda:0, ...; by default the GPU if there is one')
    parser.add_argument(
        '--batch-size', type=int, default=batch_size, help='images in a forward pass'
    )


def add_score_option(parser: ArgumentParser, what: str = 'lowest score to draw') -> None:
    """Add `--score-thr`, one number in 0-1 for all classes.

    Args:
        parser: The parser.
        what: Its help.
    """
    parser.add_argument('--score-thr', type=_score, default=0.3, help=f'{what}, default: 0.3')


def _score(text: str) -> float:
    try:
        score = float(text)
        check_score_thr(score)
    except ValueError as error:
        raise ArgumentTypeError(f'expected 0 to 1, got {text}') from error
    return score


def read_detector_options(parser: ArgumentParser, args: Namespace) -> None:
    """Read the names of the options; what is wrong ends the tool with one sentence.

    Args:
        parser: The parser.
        args: What it gave; `texts` and `negatives` become lists of names or None.
    """
    if args.batch_size < 1:
        parser.error(f'--batch-size: expected at least 1, got {args.batch_size}')
    args.texts = read_name_option(parser, '--texts', args.texts)
    if args.negatives == ['none']:
        args.negatives = []
    else:
        args.negatives = read_name_option(parser, '--negatives', args.negatives)


def load_detector(
    args: Namespace, device: str | None = None
) -> tuple[OpenVocabDetector, DetectorVocabulary]:
    """Load the detector of the options.

    Args:
        args: As `read_detector_options` left them.
        device: In place of `args.device`.

    Returns:
        The detector, and its vocabulary, which is set.

    Raises:
        ImageReadError, OSError, TypeError, ValueError: As in `OpenVocabDetector` and its
            `read_vocabulary`.
    """
    detector = OpenVocabDetector(args.config, args.checkpoint, device or args.device)
    vocabulary = detector.read_vocabulary(
        args.texts, args.exemplars, args.exemplar_weight, args.negatives
    )
    detector.model.set_vocabulary(*vocabulary)
    return detector, vocabulary
