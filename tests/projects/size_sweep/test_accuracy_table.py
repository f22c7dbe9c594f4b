"""The csv file of accuracies: its rows by hand, whole or absent, one config's only."""

import pytest

from projects.size_sweep.accuracy import AccuracyTable, read_accuracy

METRICS = {
    'region/boxes/top1': 12.34567,
    'region/boxes/top5': 50.0,
    'region/masked_stuff_masks/top1': 1.0,
    'region/masked_stuff_masks/top5': 2.0,
    'region/image_crops/top1': 90.0,
    'region/image_crops/top5': 100.0,
}
TEXT = """size,route,kind,top1,top5,config,weights
128,boxes,things,12.3457,50.0,c1,w1
128,masked_stuff_masks,stuff,1.0,2.0,c1,w1
64,image_crops,things,90.0,100.0,c1,w1
"""


def test_rows_by_hand(tmp_path):
    path = tmp_path / 'new' / 'accuracy.csv'
    table = AccuracyTable(path, 'c1', 'w1')
    assert not table.crops_measured
    table.add(METRICS, 128, 64)
    assert path.read_text() == TEXT
    assert [item.name for item in path.parent.iterdir()] == ['accuracy.csv']


def test_existing_file_is_extended(tmp_path):
    path = tmp_path / 'accuracy.csv'
    path.write_text(TEXT)
    table = AccuracyTable(path, 'c1', 'w1')
    assert table.crops_measured
    assert table.sizes == {128}
    table.add({'region/boxes/top1': 1, 'region/boxes/top5': 2}, 256, None)
    assert path.read_text() == TEXT + '256,boxes,things,1,2,c1,w1\n'
    assert [row.size for row in read_accuracy(path)] == [128, 128, 64, 256]


@pytest.mark.parametrize(
    ('config', 'weights', 'message'),
    [('c2', 'w1', r'config.*\bc1\b.*\bc2\b'), ('c1', 'w2', r'weights.*\bw1\b.*\bw2\b')],
)
def test_digest_mismatch_raises(tmp_path, config, weights, message):
    (tmp_path / 'accuracy.csv').write_text(TEXT)
    with pytest.raises(ValueError, match=rf'accuracy\.csv.*{message}'):
        AccuracyTable(tmp_path / 'accuracy.csv', config, weights)


def test_broken_file_raises(tmp_path):
    path = tmp_path / 'accuracy.csv'
    path.write_text(TEXT + '256,boxes,things\n')
    with pytest.raises(ValueError, match=r'accuracy\.csv.*\b5\b'):
        read_accuracy(path)
    path.write_text('size,route\n')
    with pytest.raises(ValueError, match=r'accuracy\.csv.*size,route,kind,.*size,route$'):
        read_accuracy(path)


def test_metrics_without_top1_raise(tmp_path):
    table = AccuracyTable(tmp_path / 'accuracy.csv', 'c1', 'w1')
    with pytest.raises(ValueError, match=r"RegionClassificationMetric.*\['coco/bbox_mAP'\]"):
        table.add({'coco/bbox_mAP': 1.0}, 128, None)
    assert not table.path.exists()
