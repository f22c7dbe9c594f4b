"""The parts of the page: what stands where, with the first sample's answers."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from gradio.data_classes import FileData

from . import detection
from .answers import Described, Detected, Said
from .dense import HeatMap
from .images import MAX_BYTES, PageImage
from .session import Session

SCORE_THR = 0.3
WEIGHT = 0.5
GROUPS = 8
THEME = gr.themes.Default(
    primary_hue='blue',
    neutral_hue='slate',
    # Those of the visitor's system: gradio's are fetched from a server of Google.
    font=['system-ui', 'Segoe UI', 'Roboto', 'sans-serif'],
    font_mono=['ui-monospace', 'Menlo', 'Consolas', 'monospace'],
)
CSS = (Path(__file__).parent / 'page.css').read_text(encoding='utf-8')
LEGEND = (
    '<p class="legend"><span class="base"></span>base: had boxes in training<br>'
    '<span class="novel"></span>novel: had none</p>'
)
IMAGE_HINT = Said(f'Any image of at most {MAX_BYTES // 2**20} MB, or a sample:')
EXAMPLE_HINT = Said('Click two opposite corners of an object in the image above.')
FIGURE_BUTTONS = ['download', 'fullscreen']


class ImagePart(NamedTuple):
    """Left side: the image, and examples boxed in it."""

    shown: gr.Image
    upload: gr.UploadButton
    said: gr.HTML
    samples: gr.Gallery
    name: gr.Textbox
    weight: gr.Slider
    forget: gr.Button


class DetectionPart(NamedTuple):
    """Tab with boxes."""

    words: gr.Textbox
    run: gr.Button
    said: gr.HTML
    figure: gr.Image
    score: gr.Slider
    overlap: gr.Slider
    download: gr.DownloadButton
    table: gr.HTML


class DensePart(NamedTuple):
    """Tab with heat maps and k-means."""

    word: gr.Textbox
    run: gr.Button
    said: gr.HTML
    heat_maps: list[gr.Image]
    groups: gr.Slider
    size: gr.Slider
    clusters: list[gr.Image]


def sentence(said: Said) -> str:
    """A sentence as HTML that screen readers announce; markup in it is shown, not used."""
    kind = 'wrong' if said.wrong else 'right'
    return f'<p role="status" class="said {kind}">{html.escape(said.text)}</p>'


def tabulate(rows: Sequence[Sequence[Any]]) -> str:
    """A table of boxes as HTML, its columns are `detection.COLUMNS`; markup in it is not used."""
    if not rows:
        return ''
    head = ''.join(f'<th scope="col">{name}</th>' for name in detection.COLUMNS)
    body = ''.join(
        '<tr>' + ''.join(f'<td>{html.escape(str(value))}</td>' for value in row) + '</tr>'
        for row in rows
    )
    return (
        '<table><caption>Boxes, in pixels of the image</caption>'
        f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def place_header(detector: str) -> None:
    """Title of the page and name of the detector."""
    gr.HTML(
        '<h1>Open-vocabulary detection</h1>'
        '<p>Name any object, or box an example of it: it is found without training.</p>'
        f'<p class="quiet">Detector: {html.escape(detector)}</p>',
        elem_id='top',
    )


def place_image(session: Session, samples: Sequence[PageImage]) -> ImagePart:
    """The image with its samples and examples.

    Args:
        session: Its image is shown.
        samples: Images to choose from.
    """
    shown = gr.Image(
        session.shown(),
        label='Image',
        show_label=False,
        type='filepath',
        sources=['upload'],
        buttons=[],
        interactive=True,
        elem_id='shown',
    )
    upload = gr.UploadButton('Upload an image', size='md', elem_id='upload')
    for field in (shown, upload):
        field.preprocess = path_of_upload
    said = gr.HTML(sentence(IMAGE_HINT), elem_id='image-said')
    gallery = gr.Gallery(
        [(sample.rgb, None) for sample in samples],
        label='Samples',
        show_label=False,
        columns=len(samples),
        rows=1,
        height='auto',
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id='samples',
    )
    with gr.Accordion('Find by example', open=False, elem_id='examples'):
        gr.HTML(sentence(EXAMPLE_HINT))
        name = gr.Textbox(
            'example',
            label='Name of the boxed object',
            max_lines=1,
            max_length=detection.MAX_NAME_LENGTH,
            elem_id='example-name',
        )
        weight = gr.Slider(
            0,
            1,
            WEIGHT,
            step=0.05,
            label='Weight of the example where its name is typed too',
            elem_id='weight',
        )
        forget = gr.Button('Remove the examples', size='sm', elem_id='forget')
    return ImagePart(shown, upload, said, gallery, name, weight, forget)


def place_detection(words: str, overlap: float, answer: Detected) -> DetectionPart:
    """The tab with boxes.

    Args:
        words: What is looked for at first.
        overlap: IoU of the model's NMS.
        answer: What is found at first.
    """
    with gr.Row(elem_classes='ask'):
        field = gr.Textbox(
            words,
            label='What to look for: names, separated by commas',
            lines=1,
            max_lines=3,
            max_length=detection.MAX_LENGTH,
            scale=5,
            min_width=280,
            elem_id='words',
        )
        run = gr.Button('Detect', variant='primary', scale=1, min_width=110, elem_id='run')
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            figure = gr.Image(
                answer.figure,
                label='Detections',
                show_label=False,
                format='png',
                interactive=False,
                buttons=FIGURE_BUTTONS,
                elem_id='figure',
            )
        with gr.Column(scale=3, min_width=230):
            said = gr.HTML(sentence(answer.said), elem_id='said')
            gr.HTML(LEGEND)
            score = gr.Slider(
                0.01, 0.99, SCORE_THR, step=0.01, label='Least score', elem_id='score'
            )
            iou = gr.Slider(
                0.1, 0.9, overlap, step=0.05, label='Largest overlap (NMS)', elem_id='overlap'
            )
            download = gr.DownloadButton('Download COCO json', answer.file, elem_id='download')
    table = gr.HTML(tabulate(answer.rows), elem_id='table')
    return DetectionPart(field, run, said, figure, score, iou, download, table)


def place_dense(titles: Sequence[str], word: str, side: int, answer: Described) -> DensePart:
    """The tab with dense features.

    Args:
        titles: One per tower.
        word: Word of the first heat maps.
        side: Longest side of the detector's input in pixels.
        answer: What is shown at first.
    """
    with gr.Row(elem_classes='ask'):
        field = gr.Textbox(
            word,
            label='Where do the features match a word or phrase?',
            max_lines=1,
            max_length=detection.MAX_NAME_LENGTH,
            scale=5,
            min_width=280,
            elem_id='word',
        )
        run = gr.Button('Show', variant='primary', scale=1, min_width=110, elem_id='show')
    said = gr.HTML(sentence(answer.said), elem_id='dense-said')
    captions = [*map(caption, titles, answer.heat_maps)]
    heat_maps = place_pair(captions, [heat.figure for heat in answer.heat_maps], 'heat')
    with gr.Row():
        groups = gr.Slider(
            2, 16, GROUPS, step=1, label='Groups of similar features (k-means)', elem_id='groups'
        )
        size = gr.Slider(
            side // 2,
            2 * side,
            start_size(side),
            step=side // 2,
            label=f'Input in pixels (of the detector: {side})',
            elem_id='size',
        )
    clusters = place_pair(titles, answer.groups, 'groups-of')
    return DensePart(field, run, said, heat_maps, groups, size, clusters)


def place_pair(titles: Sequence[str], figures: Sequence[np.ndarray], name: str) -> list[gr.Image]:
    """A row of figures with their titles; the ids in the page are NAME-0, NAME-1."""
    with gr.Row(elem_classes='pair'):
        return [
            gr.Image(
                figure,
                label=title,
                format='png',
                interactive=False,
                buttons=FIGURE_BUTTONS,
                min_width=240,
                elem_id=f'{name}-{number}',
            )
            for number, (title, figure) in enumerate(zip(titles, figures, strict=True))
        ]


def start_size(side: int) -> int:
    """Input of the towers at first, in pixels: finer than the detector's."""
    return 3 * (side // 2)


def caption(title: str, heat: HeatMap) -> str:
    """Title of a heat map with its range of cosines."""
    return f'{title}: cosine {heat.low:.2f} to {heat.high:.2f}'


def path_of_upload(payload: FileData | None) -> str | None:
    """Path of an upload, in place of its pixels: `read_upload` decodes it, not gradio.

    Args:
        payload: The upload; gradio has checked that its path is one.
    """
    return None if payload is None else payload.path
