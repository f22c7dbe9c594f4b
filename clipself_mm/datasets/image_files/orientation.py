"""The EXIF orientation: in which frame the boxes of an image are annotated."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

from ..structures import ImageReadError
from .log_once import log_once
from .reading import DECODING_ERRORS

Size = tuple[int, int]
"""Width and height in pixels."""

_TOLERANCE = 1  # px that boxes may exceed their image by rounding


@dataclass(frozen=True)
class Annotation:
    """What the annotation of an image says about its size and frame.

    Attributes:
        size: Annotated width and height in pixels, None if there is none.
        boxes_extent: Largest x and largest y of all annotated boxes in pixels, None without boxes.
        map_path: File of the label map, None if there is none.
        map_size: Width and height of the label map, None if there is none.
    """

    size: Size | None = None
    boxes_extent: tuple[float, float] | None = None
    map_path: str | None = None
    map_size: Size | None = None


def orient(
    image: Image.Image,
    path: str,
    exif: str,
    annotation: Annotation | None = None,
    strict_size: bool = False,
) -> Image.Image:
    """Turn an image by its EXIF orientation where its annotation needs it, see `must_turn`."""
    annotation = annotation or Annotation()
    needed = exif == 'apply' or (annotation.size or annotation.map_size) not in (None, image.size)
    orientation = _orientation_of(image, path, needed)
    turn = must_turn(image.size, orientation, path, exif, annotation, strict_size)
    return ImageOps.exif_transpose(image) if turn else image


def must_turn(
    stored: Size,
    orientation: int,
    path: str,
    exif: str,
    annotation: Annotation,
    strict_size: bool = False,
) -> bool:
    """Say whether an image is to be turned by its EXIF orientation, and check its size.

    Boxes are annotated in the frame of the stored pixels (COCO) or of the turned image that viewers
    show. With `auto`, the annotated size tells which; without one, the size of the label map does,
    or the boxes if only one frame holds them. Where turning leaves the size as it is (orientations
    2 to 4, squares), the frame is the stored one, with one warning.

    Args:
        stored: Width and height of the image as stored, in pixels.
        orientation: Its EXIF orientation, 1 to 8.
        path: Its file, for the errors.
        exif: `auto`, `apply` or `ignore`.
        annotation: Of the image.
        strict_size: Whether the annotated size must be right even without boxes or where `exif`
            is fixed: mm uses it.

    Raises:
        ImageReadError: The annotated size or the label map's is not the frame's, size and boxes
            contradict each other, nothing tells the frame, or the EXIF data are needed and broken.
    """
    extent = annotation.boxes_extent
    size = annotation.size or annotation.map_size
    turned = stored[::-1] if orientation >= 5 else stored
    if orientation == 1:
        turn = False
    elif exif == 'auto':
        turn = _is_turned(path, stored, turned, size, annotation)
    else:
        turn = exif == 'apply'
    frame = turned if turn else stored
    is_size = _text(frame)
    if turned != stored:
        is_size += f' ({_text(stored)} stored, {_text(turned)} turned by its EXIF orientation)'
    if annotation.map_path and annotation.map_size not in (None, frame):
        raise ImageReadError(
            annotation.map_path,
            f'the label map is {_text(annotation.map_size)} pixels, its image {path} {is_size}',
        )
    # A fixed `exif` says in which frame the boxes are; the size may then be that of the other one.
    told = exif != 'auto' and size in (stored, turned) and _holds(frame, extent)
    free = not strict_size and (extent is None or told)
    if size not in (None, frame) and not free:
        raise ImageReadError(
            path,
            f'the image is {is_size} pixels, it is annotated with {_text(size)} '
            f"(exif='{exif}'): correct the annotated width and height, or use the image that was "
            'annotated',
        )
    return turn


def _orientation_of(image: Image.Image, path: str, needed: bool) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none, or if it is broken and not needed."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DECODING_ERRORS as error:
        if needed:
            raise ImageReadError(path, f'the EXIF orientation cannot be read: {error}') from error
        return 1
    return orientation if orientation in range(2, 9) else 1


def _is_turned(
    path: str, stored: Size, turned: Size, size: Size | None, annotation: Annotation
) -> bool:
    """Whether the annotation is in the turned frame."""
    extent = annotation.boxes_extent
    if stored == turned:
        if extent is not None or annotation.map_path is not None:
            log_once(
                'frame',
                f'{path}: has an EXIF orientation, its size {_text(stored)} is the same in both '
                'frames, so the stored frame is taken for the annotated one. If the annotations '
                "were drawn on turned images, set exif='apply' in LoadRGB or LoadBGR",
            )
        return False
    if size is None:
        if extent is None:
            return False
        if _holds(stored, extent) != _holds(turned, extent):
            return _holds(turned, extent)
        raise ImageReadError(
            path,
            f'nothing tells whether its boxes are in the stored frame of {_text(stored)} pixels or '
            f'in the frame of {_text(turned)} turned by its EXIF orientation: annotate width and '
            "height, or set exif='ignore' (stored) or exif='apply' (turned) in LoadRGB or LoadBGR",
        )
    turn = size == turned
    frame, other = (turned, stored) if turn else (stored, turned)
    if size == frame and extent is not None and not _holds(frame, extent) and _holds(other, extent):
        has, lie, remedy = ('turned', 'stored', 'apply') if turn else ('stored', 'turned', 'ignore')
        raise ImageReadError(
            path,
            f'its boxes reach to x = {extent[0]:g}, y = {extent[1]:g} and lie in the {lie} frame '
            f'of {_text(other)} pixels, the annotated size {_text(frame)} is the {has} one (EXIF '
            f'orientation): annotate width {other[0]} and height {other[1]}, or set '
            f"exif='{remedy}' in LoadRGB or LoadBGR if the size is right",
        )
    return turn


def _holds(frame: Size, extent: tuple[float, float] | None) -> bool:
    """Whether no box exceeds a frame."""
    return extent is None or all(e <= f + _TOLERANCE for e, f in zip(extent, frame, strict=True))


def _text(size: Size) -> str:
    return f'{size[0]} x {size[1]}'
