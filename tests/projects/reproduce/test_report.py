"""From measurements to csv and markdown, by hand."""

import datetime
from dataclasses import replace

import pytest

from projects.reproduce import Reproduction, mean_and_spread, write_report
from projects.reproduce.records import Record, merge_records, read_records, write_records
from projects.reproduce.report import markdown
from tests.projects.reproduce.stub_checkout import (
    COLUMNS,
    Lines,
    calls_of,
    context_of,
    measure,
    original,
    table_of,
    train,
    validated,
    write_checkout,
)

TITLES = ['top-1', 'AP']


@pytest.fixture
def root(tmp_path):
    return write_checkout(tmp_path)


def record_of(run='m', seed='0', setup='s', row='1', date='2030-01-01', **values):
    return Record(row, run, seed, setup, '', 'toys', date, values or {'top-1': 1.0})


def test_mean_and_spread_by_hand():
    assert mean_and_spread([]) == '–'
    assert mean_and_spread([12.34]) == '12.3'
    assert mean_and_spread([1, 3]) == '2.0 ± 1.4'  # sqrt(((1 - 2)^2 + (3 - 2)^2) / (2 - 1))
    assert mean_and_spread([21.6, 20.5, 19.6]) == '20.6 ± 1.0'


def test_later_lines_replace_their_own_and_no_other():
    earlier = [record_of(seed='0'), record_of(seed='1'), record_of(seed='0', setup='old')]
    later = [record_of(seed='1', date='2031-01-01'), record_of(seed='2')]
    merged = merge_records(earlier, later)
    assert merged == [earlier[0], later[0], earlier[2], later[1]]


def test_lines_survive_the_file(tmp_path):
    path = tmp_path / 'deep' / 't.csv'
    records = [record_of(**{'top-1': 20.5}), record_of(seed='', **{'top-1': 1.0, 'AP': 0.0})]
    write_records(path, TITLES, records)
    assert read_records(path, TITLES) == records
    assert path.read_text().splitlines()[1] == '1,m,0,s,,toys,2030-01-01,20.5,'
    assert read_records(tmp_path / 'none.csv', TITLES) == []


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a,b\n', r't\.csv.*row,run,.*\ba,b'),
        ('', r't\.csv.*row,run,.*empty'),
        ('HEAD\n1,m,0,s,,toys,d,high,1\n', r"t\.csv.*\b2\b.*'high'"),
        ('HEAD\n1,m,0,s,,toys\n', r't\.csv.*line 2\b'),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, message):
    path = tmp_path / 't.csv'
    head = 'row,run,seed,setup,epochs,data,date,top-1,AP'
    path.write_text(text.replace('HEAD', head))
    with pytest.raises(ValueError, match=message):
        read_records(path, TITLES)


def test_table_with_two_seeds_by_hand(root):
    table = table_of(('1', (original(),)), ('2*', (measure(train()),)))
    work = Reproduction([table], [0, 2], context_of(root), display=Lines())
    assert work.execute(root / 'out')
    lines = (root / 'out/table_x.md').read_text().splitlines()
    assert lines[0] == '# Table x: toys'
    assert lines[2].startswith('Measured here on toys, in %; mean ± standard deviation of')
    assert '(seeds 0, 2; 20' in lines[2]
    assert 'its numbers on COCO (Table X)' in lines[2]
    assert lines[4:] == [
        '| # | what | top-1 | paper | AP | runs |',  # of AP the paper has no number
        '|---|---|---|---|---|---|',
        '| 1 | row 1 | 7.0 | 70.0 | 7.0 | 1 |',
        '| 2* | row 2* | 14.0 ± 14.1 | 70.0 | 14.0 ± 14.1 | 2 |',  # 4 and 24
    ]
    rows = (root / 'out/table_x.csv').read_text().splitlines()
    assert len(rows) == 4
    assert rows[2].startswith('2*,measure_tower,0,')


def test_orders_of_the_paper_are_held_against_those_of_the_seeds(root):
    table = table_of(('1', (original(),)), ('2', (measure(train()),)))
    rows = (table.rows[0], table.rows[1]._replace(paper=(90.0, None)))
    work = Reproduction([replace(table, rows=rows)], [0, 2], context_of(root), display=Lines())
    assert work.execute(root / 'out')
    lines = (root / 'out/table_x.md').read_text().splitlines()
    assert lines[-3:] == [  # 7 more, with a deviation of 14
        '| order of rows in the paper | the same here | reversed here | neither |',
        '|---|---|---|---|',
        '| top-1 | – | – | 1 < 2 |',
    ]


def test_a_table_that_is_not_the_papers_has_no_column_for_it(root):
    table = table_of(('1', (original(),)))
    rows = tuple(row._replace(paper=(None, None)) for row in table.rows)
    own = replace(table, rows=rows, source='')
    text = markdown(own, [], [0], context_of(root), {})
    assert 'paper' not in text
    assert '| # | what | top-1 | AP | runs |' in text
    assert '| 1 | row 1 | – | – | 0 |' in text


def test_seeds_of_another_machine_are_kept_and_counted(root, tmp_path):
    table = table_of(('1', (measure(train()),)))
    for seed, work_dir in ((0, 'here'), (2, 'there')):
        context = context_of(root, work_dir=tmp_path / work_dir)
        work = Reproduction([table], [seed], context, display=Lines())
        assert work.execute(root / 'out')
    text = (root / 'out/table_x.md').read_text()
    assert '| 1 | row 1 | 14.0 ± 14.1 | 70.0 | 14.0 ± 14.1 | 2 |' in text
    assert 'Missing' not in text


def test_what_another_machine_has_recorded_is_not_measured_again(root, tmp_path):
    table = table_of(('1', (original(),)), ('2', (measure(train()),)))
    out = root / 'out'
    for number, (seeds, recorded) in enumerate([([0], None), ([0, 2], out)]):
        context = context_of(root, work_dir=tmp_path / str(number))
        work = Reproduction([table], seeds, context, display=Lines(), recorded=recorded)
        assert work.execute(out)
    of_both = ['original', 'tower_seed0', 'measure_tower_seed0']
    assert calls_of(root) == [*of_both, 'tower_seed2', 'measure_tower_seed2']
    text = (out / 'table_x.md').read_text()
    assert '| 2 | row 2 | 14.0 ± 14.1 | 70.0 | 14.0 ± 14.1 | 2 |' in text
    assert 'Missing' not in text


def test_a_recorded_line_stays_when_its_run_is_made_for_another(root, tmp_path):
    """A detector is measured by its validations and needed by what tests it."""
    detector = validated(0.1, 0.3, 0.2)
    columns = (COLUMNS[0], COLUMNS[1]._replace(metric='last/coco/ap'))
    first = replace(table_of(('1', (detector,))), columns=columns)
    out = root / 'out'
    assert Reproduction([first], [0], context_of(root), display=Lines()).execute(out)
    today = datetime.date.today().isoformat()
    before = (out / 'table_x.csv').read_text().replace(today, '2020-02-02')
    (out / 'table_x.csv').write_text(before)
    tested = measure(detector, name='tested')
    table = replace(table_of(('1', (detector,)), ('2', (tested,))), columns=columns)
    context = context_of(root, work_dir=tmp_path / 'other')
    work = Reproduction([table], [0], context, display=Lines(), recorded=out)
    assert list(work.queue.runs) == ['detector_seed0', 'tested_seed0']
    assert work.execute(out)
    after = (out / 'table_x.csv').read_text()
    assert after.startswith(before)
    assert after.count('\n') == before.count('\n') + 1


def test_a_record_of_another_setup_or_table_spares_no_run(root, tmp_path):
    table, out = table_of(('1', (measure(train()),))), root / 'out'
    assert Reproduction([table], [0], context_of(root), display=Lines()).execute(out)
    for other, options in ((table, {'epochs': 2}), (replace(table, name='y'), {})):
        context = context_of(root, work_dir=tmp_path / 'other', **options)
        runs = Reproduction([other], [0], context, recorded=out).queue.runs
        assert list(runs) == ['tower_seed0', 'measure_tower_seed0']


def test_a_row_of_two_measurements_takes_its_columns_from_both(root):
    context = context_of(root)
    table = table_of(('1', (measure(train()), original())))
    one = record_of('measure_tower', **{'top-1': 5.0})
    other = record_of('original', seed='', **{'AP': 6.0})
    runs = Reproduction([table], [0], context).queue.runs
    records = [
        one._replace(setup=runs['measure_tower_seed0'].setup),
        other._replace(setup=runs['original'].setup),
    ]
    text = markdown(table, records, [0], context, {})
    assert '| 1 | row 1 | 5.0 | 70.0 | 6.0 | 1 |' in text
    text = markdown(table, records[:1], [0], context, {'original': 'failed with exit code 1: log'})
    assert '| 1 | row 1 | 5.0 | 70.0 | – | 0 / 1 |' in text
    assert text.endswith('Missing:\n\n- row 1 (row 1): original failed\n')


def test_lines_of_another_setup_are_kept_and_not_counted(root):
    table = table_of(('1', (measure(train()),)))
    work = [
        Reproduction([table], [0], context_of(root, **options), display=Lines())
        for options in (dict(epochs=1, work_dir=root / 'short'), {})
    ]
    assert all(item.execute(root / 'out') for item in work)
    text = (root / 'out/table_x.md').read_text()
    assert '| 1 | row 1 | 4.0 | 70.0 | 4.0 | 1 |' in text
    assert 'of another config, length or data and not counted: 1.' in text
    assert 'Trainings were cut' not in text
    assert work[0].execute(root / 'out')
    text = (root / 'out/table_x.md').read_text()
    assert '| 1 | row 1 | 2.0 | 70.0 | 2.0 | 1 |' in text
    assert '**Trainings were cut to at most 1 epoch.**' in text
    assert len((root / 'out/table_x.csv').read_text().splitlines()) == 3


def test_failures_leave_a_table_that_says_so(root):
    (root / 'stop').touch()
    broken = measure(train('broken', fails=str(root / 'stop')))
    table = table_of(('1', (original(),)), ('2', (broken,)))
    work = Reproduction([table], [0], context_of(root), display=Lines())
    assert not work.execute(root / 'out')
    text = (root / 'out/table_x.md').read_text()
    assert '| 2 | row 2 | – | 70.0 | – | 0 |' in text
    assert '- row 2 (row 2): measure_broken_seed0 failed' in text
    lines = work.display.lines
    assert lines[-2].endswith('log.txt')
    assert lines[-1] == 'problem: measure_broken_seed0 not run: it needs broken_seed0'


def test_tables_share_runs_and_are_written_as_soon_as_they_can(root):
    tower = measure(train())
    first = table_of(('1', (tower,)), name='first')
    second = table_of(('1', (tower,)), ('2', (original(),)), name='second')
    written = []

    class Watch(Lines):
        def log(self, line):
            if line.startswith('[3/3] started original'):
                written.extend(path.name for path in sorted((root / 'out').glob('*.md')))

    work = Reproduction([first, second], [0, 0], context_of(root), display=Watch())
    assert work.execute(root / 'out')
    assert written == ['table_first.md', 'table_second.md']
    assert calls_of(root) == ['tower_seed0', 'measure_tower_seed0', 'original']


def test_a_csv_of_other_columns_is_refused_before_the_first_run(root):
    (root / 'out').mkdir()
    (root / 'out/table_x.csv').write_text('row,run,seed,setup,epochs,data,date,other\n')
    work = Reproduction([table_of(('1', (original(),)))], [0], context_of(root))
    with pytest.raises(ValueError, match=r'table_x\.csv'):
        work.execute(root / 'out')
    assert calls_of(root) == []


def test_only_what_was_cut_says_how_far(root):
    """Tests that need no training have their own length whatever trainings are cut to."""
    table = table_of(('1', (original(),)), ('2', (measure(train()),)))
    work = Reproduction([table], [0], context_of(root, epochs=2), display=Lines())
    assert work.execute(root / 'out')
    records = read_records(root / 'out/table_x.csv', TITLES)
    assert {record.run: record.epochs for record in records} == {
        'original': '',
        'measure_tower': '2',
    }


def test_a_measurement_without_a_column_is_refused(root):
    context = context_of(root)
    table = table_of(('1', (original(),)))
    results = {'original': dict(date='2030-01-01', metrics={'other': 1.0})}
    with pytest.raises(ValueError, match=r"original.*\['m/top1', 'coco/ap'\].*\['other'\]"):
        write_report(table, [0], context, results, {}, root / 'out')


def test_commands_in_an_order_that_keeps_needs(root):
    table = table_of(('1', (measure(train()),)), ('2', (original(),)))
    work = Reproduction([table], [0], context_of(root), display=Lines())
    heads = [text.splitlines()[0] for text in work.commands()]
    assert heads == ['# tower_seed0', '# measure_tower_seed0', '# original']
    assert calls_of(root) == []
    work.execute(root / 'out')
    assert work.commands()[0].startswith('# tower_seed0 (done)\n')


def test_columns_are_those_of_the_stub():
    assert [column.title for column in COLUMNS] == TITLES
