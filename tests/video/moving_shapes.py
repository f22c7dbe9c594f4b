"""Videos that the tests render: shapes on paths of their own, with boxes and names."""

from fractions import Fraction

import av
import numpy as np

from clipself_mm.shapes import SceneStyle, render_scene
from clipself_mm.shapes.scene import mask_box

SIDE = 128


def moving_shapes(frames=36):
    """Three objects of a scene on straight paths, which do not meet.

    Returns:
        Frames (RGB), names of the objects, and boxes of shape (frames, objects, 4).
    """
    style = SceneStyle(SIDE, objects=(3, 3), side=(0.25, 0.3), max_cover=0.0)
    scene = render_scene(3, 20, style)
    ground = render_scene(3, 20, SceneStyle(SIDE, objects=(0, 0))).image
    masks = [scene.visible_mask(number) for number in range(3)]
    pictures, boxes = [], []
    for frame in range(frames):
        picture = ground.copy()
        here = []
        for number, mask in enumerate(masks):
            rows, columns = np.nonzero(mask)
            x0, y0, x1, y1 = mask_box(mask)
            left = round(4 + (SIDE - 8 - (x1 - x0)) * abs(2 * frame / frames - number % 2) / 2)
            top = 4 + 42 * number
            picture[rows - y0 + top, columns - x0 + left] = scene.image[mask]
            here.append((left, top, left + x1 - x0, top + y1 - y0))
        pictures.append(picture)
        boxes.append(here)
    return pictures, [item.name for item in scene.objects], np.array(boxes)


def write_video(path, pictures, rate=25, times=None, **options):
    """Write RGB pictures as H.264; `times` in seconds, by default those of the rate."""
    ticks = 1000
    with av.open(str(path), 'w', options=options) as container:
        stream = container.add_stream('libx264', rate=rate, options={'crf': '10'})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.time_base = Fraction(1, ticks)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            time = number / rate if times is None else times[number]
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
