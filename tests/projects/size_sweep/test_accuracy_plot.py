"""What the figure shows: the points of every tower and its image crops."""

import pytest

from projects.size_sweep.accuracy import AccuracyRow, draw_accuracy_by_size


def row(size, route, top1, top5=99.0):
    kind = 'stuff' if 'stuff' in route else 'things'
    return AccuracyRow(size, route, kind, top1, top5, 'c', 'w')


ORIGINAL = [
    row(64, 'image_crops', 90, 95),
    row(256, 'boxes', 3),
    row(128, 'boxes', 7, 11),
    row(128, 'masked_boxes', 20),
    row(128, 'stuff_masks', 5),
]
REFINED = [row(128, 'boxes', 50), row(256, 'boxes', 60)]


def lines_of(axes):
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()), line.get_linestyle())
        for line in axes.get_lines()
    }


def test_lines_of_the_figure():
    figure = draw_accuracy_by_size({'original': ORIGINAL, 'CLIPSelf': REFINED})
    boxes, stuff, boxes5, _ = figure.axes
    assert [axes.get_title() for axes in (boxes, stuff)] == ['boxes', 'stuff masks']
    assert lines_of(boxes) == {
        'original, dense features': ([128, 256], [7, 3], '-'),
        'original, masked attention': ([128], [20], ':'),
        'original, image crops': ([0, 1], [90, 90], '--'),
        'CLIPSelf, dense features': ([128, 256], [50, 60], '-'),
    }
    assert lines_of(stuff) == {'original, dense features': ([128], [5], '-')}
    assert lines_of(boxes5)['original, dense features'][1] == [11, 99]
    assert lines_of(boxes5)['original, image crops'][1] == [95, 95]
    assert list(boxes5.get_xticks()) == [128, 256]
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 4


def test_one_colour_per_tower():
    figure = draw_accuracy_by_size({'original': ORIGINAL, 'CLIPSelf': REFINED})
    colours = {}
    for line in figure.axes[0].get_lines():
        colours.setdefault(line.get_label().split(',')[0], set()).add(line.get_color())
    assert colours == {'original': {'C0'}, 'CLIPSelf': {'C1'}}


@pytest.mark.parametrize('title', ['original', 'a name that is far longer than anyone would like'])
def test_legend_is_inside_the_figure(title):
    figure = draw_accuracy_by_size({title: ORIGINAL, 'CLIPSelf': REFINED, 'third': REFINED})
    figure.canvas.draw()
    box, (legend,) = figure.bbox, figure.legends
    inside = legend.get_window_extent()
    assert (box.x0 <= inside.x0, inside.x1 <= box.x1, box.y0 <= inside.y0) == (True, True, True)


def test_table_without_boxes_and_masks_raises():
    with pytest.raises(ValueError, match=r'original.*boxes.*masks'):
        draw_accuracy_by_size({'original': ORIGINAL[:1]})
