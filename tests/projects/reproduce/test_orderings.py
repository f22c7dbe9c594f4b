"""Orders of rows against the deviation of seeds, by hand."""

from projects.reproduce.orderings import Cell, compare, orderings_table


def cell(row, paper, *values, seeded=True):
    return Cell(row, paper, values, seeded)


def test_beyond_two_deviations_of_the_difference():
    # Both have the deviation 1, so the difference has sqrt(2), and twice that is 2.83.
    low = cell('1', 10.0, 4.0, 5.0, 6.0)
    assert compare([low, cell('2', 20.0, 7.0, 8.0, 9.0)]).hold == ['1 < 2']
    assert compare([low, cell('2', 20.0, 6.8, 7.8, 8.8)]).neither == ['1 < 2']
    assert compare([cell('2', 5.0, 7.0, 8.0, 9.0), low]).reversed == ['2 < 1']


def test_a_number_that_seeds_do_not_change_has_no_deviation():
    fixed = cell('1', 10.0, 0.9, seeded=False)
    assert compare([fixed, cell('2', 20.0, 3.0, 5.0)]).hold == ['1 < 2']  # 3.1 > 2 * sqrt(2)
    assert compare([fixed, cell('2', 20.0, 2.0, 4.0)]).neither == ['1 < 2']


def test_what_cannot_be_compared_is_left_out():
    cells = [
        cell('one seed', 10.0, 1.0),
        cell('not measured', 20.0),
        cell('2', 30.0, 5.0, 5.1),
        cell('equal in the paper', 30.0, 9.0, 9.1),
    ]
    assert not any(compare(cells))
    assert orderings_table({'AP': cells}) == []


def test_a_row_per_column():
    cells = [cell('1', 1.0, 1.0, 1.0), cell('2', 2.0, 2.0, 2.0), cell('3', 3.0, 0.0, 0.0)]
    assert orderings_table({'AP': cells, 'none': []}) == [
        ['AP', '1 < 2', '1 < 3, 2 < 3', '–'],
    ]
