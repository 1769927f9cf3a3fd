from collections import Counter

from django_jobs.policy.heat_map import MAX_BANDS, heat_map


def test_bands_run_from_the_longest_to_the_shortest_without_a_gap():
    bands = heat_map([Counter({4: 8}), Counter({9: 1}), Counter()])

    assert [(band.first, band.last) for band in bands] == [(8, 9), (6, 7), (4, 5)]
    assert [band.cells for band in bands] == [
        ((0, 0), (1, 2), (0, 0)),
        ((0, 0), (0, 0), (0, 0)),
        ((8, 5), (0, 0), (0, 0)),
    ]


def test_any_range_fits_and_no_run_is_lost():
    for highest in (0, 1, 23, 24, 100, 160):
        columns = [Counter(dict.fromkeys(range(highest + 1), 1)), Counter({highest: 5})]
        bands = heat_map(columns)
        assert 1 <= len(bands) <= MAX_BANDS
        assert sum(number for band in bands for number, _ in band.cells) == highest + 6


def test_a_level_is_half_of_the_one_above_it():
    (band,) = heat_map([Counter({2: number}) for number in (100, 51, 50, 25, 12, 1, 0)])
    assert [level for _, level in band.cells] == [5, 5, 4, 3, 2, 1, 0]


def test_without_runs_there_is_no_map():
    assert heat_map([Counter(), Counter()]) == []
