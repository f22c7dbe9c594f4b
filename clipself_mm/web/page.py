"""The page: which answer each of its parts shows."""

from __future__ import annotations

from typing import Any

import gradio as gr

from . import detection
from .answers import Described, PageModels, Said, answer_dense, answer_detection, say
from .dense import input_size
from .images import PageImage, read_upload, sample_images
from .parts import (
    GROUPS,
    IMAGE_HINT,
    SCORE_THR,
    WEIGHT,
    DensePart,
    DetectionPart,
    ImagePart,
    caption,
    place_dense,
    place_detection,
    place_header,
    place_image,
    sentence,
    start_size,
    tabulate,
)
from .session import Session

ONE_AT_A_TIME: dict[str, Any] = dict(
    concurrency_id='models',
    concurrency_limit=1,
    trigger_mode='always_last',
    show_progress='minimal',
    api_visibility='private',
)
"""Options of all events: the models are shared, and of many clicks the last one is answered."""
QUEUE = 100
"""Events that may wait; above, the visitor is told that the page is busy."""


def build_page(models: PageModels, folder: str) -> gr.Blocks:
    """Build the page; it begins with the first sample and its answers.

    Args:
        models: The models.
        folder: Folder for the json files.
    """
    samples = sample_images()
    start, words = Session(samples[0]), samples[0].words
    word = detection.read_words(words)[-1]
    overlap = detection.nms_iou(models.detector)
    side = input_size(models.detector, samples[0])
    found = answer_detection(models, start, folder, words, WEIGHT, SCORE_THR, overlap)
    described = answer_dense(models, start, word, GROUPS, start_size(side))
    with gr.Blocks(
        title='Open-vocabulary detection', analytics_enabled=False, delete_cache=(600, 3600)
    ) as page:
        session = gr.State(start)
        place_header(models.name)
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                image = place_image(start, samples)
            with gr.Column(scale=7, min_width=300), gr.Tabs():
                with gr.Tab('Detect'):
                    boxes = place_detection(words, overlap, found)
                with gr.Tab('Dense features'):
                    dense = place_dense([*models.towers], word, side, described)
        Actions(models, folder, samples).connect(session, image, boxes, dense)
        page.queue(max_size=QUEUE)
    return page


class Actions:
    """What happens when the page is used.

    Each action takes the visitor's `Session` first, and gives values of components.

    Args:
        models: The models.
        folder: Folder for the json files.
        samples: Images to choose from.
    """

    def __init__(self, models: PageModels, folder: str, samples: list[PageImage]) -> None:
        self.models = models
        self.folder = folder
        self.samples = samples
        self._described: dict[Any, Described] = {}

    def connect(
        self, session: gr.State, image: ImagePart, boxes: DetectionPart, dense: DensePart
    ) -> None:
        """Connect the parts of the page."""
        options = [boxes.words, image.weight, boxes.score, boxes.overlap]
        found = [boxes.said, boxes.figure, boxes.table, boxes.download]
        asked = [session, dense.word, dense.groups, dense.size]
        described = [dense.said, *dense.heat_maps, *dense.clusters]
        chosen = [session, image.shown, image.said, boxes.words]
        boxed = [session, image.shown, image.said]

        sliders = [slider.release for slider in (boxes.score, boxes.overlap, image.weight)]
        gr.on(
            [boxes.run.click, boxes.words.submit, *sliders],
            self.detect,
            [session, *options],
            found,
            **ONE_AT_A_TIME,
        )
        gr.on(
            [dense.run.click, dense.word.submit, dense.groups.release, dense.size.release],
            self.describe,
            asked,
            described,
            **ONE_AT_A_TIME,
        )
        for field in (image.shown, image.upload):
            field.upload(
                self.choose_upload, [session, field, *options], [*chosen, *found], **ONE_AT_A_TIME
            ).then(self.describe, asked, described, **ONE_AT_A_TIME)
        image.samples.select(
            self.choose_sample, [session, *options], [*chosen, *found], **ONE_AT_A_TIME
        ).then(self.describe, asked, described, **ONE_AT_A_TIME)
        image.shown.select(
            self.click,
            [session, image.name, *options],
            [*boxed, *found],
            # Each click counts: the second corner may come before the first is answered.
            **ONE_AT_A_TIME | dict(trigger_mode='multiple'),
        )
        image.forget.click(self.forget, [session, *options], [*boxed, *found], **ONE_AT_A_TIME)

    def detect(self, session: Session, *options: Any) -> list[Any]:
        """Sentence, figure, table and json of a detection."""
        answer = answer_detection(self.models, session, self.folder, *options)
        file = gr.update(value=answer.file, interactive=answer.file is not None)
        return [sentence(answer.said), answer.figure, tabulate(answer.rows), file]

    def describe(self, session: Session, word: str, groups: int, size: int) -> list[Any]:
        """Sentence, heat maps and clusters; a wrong file leaves the last ones as they are."""
        asked = session.image, word, int(groups), int(size)
        answer = self._described.get(asked) or answer_dense(self.models, session, *asked[1:])
        self._described = {} if answer.said.wrong else {asked: answer}
        return [sentence(answer.said), *self._heat_maps(answer), *self._clusters(answer)]

    def choose_upload(self, session: Session, path: str | None, *options: Any) -> list[Any]:
        """Read an uploaded file and detect; a wrong file leaves all as it was."""
        try:
            chosen = session.choose(read_upload(path or ''))
        except Exception as error:
            return [session, session.shown(), sentence(say(error)), *[gr.skip()] * 5]
        return [*self._chosen(chosen), gr.skip(), *self.detect(chosen, *options)]

    def choose_sample(self, session: Session, event: gr.SelectData, *options: Any) -> list[Any]:
        """Take a sample and look for its objects."""
        sample = self.samples[event.index]
        chosen = session.choose(sample)
        answer = self.detect(chosen, sample.words, *options[1:])
        return [*self._chosen(chosen), sample.words, *answer]

    def click(self, session: Session, name: str, event: gr.SelectData, *options: Any) -> list[Any]:
        """Take a corner of an example; the second one detects."""
        try:
            x, y = event.index
            clicked = session.click(x, y, name)
            said = describe_examples(clicked)
        except ValueError as error:
            clicked, said = session.choose(session.image), say(error)
        boxed = [clicked, clicked.shown(), sentence(said)]
        if len(clicked.examples) == len(session.examples):
            return [*boxed, *[gr.skip()] * 4]
        return [*boxed, *self.detect(clicked, *options)]

    def forget(self, session: Session, *options: Any) -> list[Any]:
        """Remove the examples and detect without them."""
        empty = session.forget()
        return [*self._chosen(empty), *self.detect(empty, *options)]

    @staticmethod
    def _chosen(session: Session) -> list[Any]:
        return [session, session.shown(), sentence(IMAGE_HINT)]

    def _heat_maps(self, answer: Described) -> list[Any]:
        if not answer.heat_maps:
            return [gr.update(value=None, label=title) for title in self.models.towers]
        return [
            gr.update(value=heat.figure, label=caption(title, heat))
            for title, heat in zip(self.models.towers, answer.heat_maps, strict=True)
        ]

    def _clusters(self, answer: Described) -> list[Any]:
        return [*answer.groups] or [None] * len(self.models.towers)


def describe_examples(session: Session) -> Said:
    """Which examples there are, and what to do next."""
    if session.corner is not None:
        return Said('Now click the opposite corner.')
    counts = {name: len(boxed) for name, boxed in session.exemplars().items()}
    listed = ', '.join(f'{name} ({count})' for name, count in counts.items())
    return Said(f'Examples: {listed}. They are looked for in each image you choose.')
