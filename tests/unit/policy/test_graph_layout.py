from __future__ import annotations

from django_jobs.policy.graph_layout import BOX_HEIGHT, BOX_WIDTH, GAP_X, MARGIN, layout_graph


def test_each_job_is_right_of_its_predecessors_and_no_two_boxes_touch():
    drawing = layout_graph({1: [], 2: [1], 3: [1], 4: [2, 3], 5: []})
    places = {box.job_id: (box.x, box.y) for box in drawing.boxes}
    assert places[1][0] == places[5][0] < places[2][0] == places[3][0] < places[4][0]
    assert places[2][0] - places[1][0] == BOX_WIDTH + GAP_X
    assert len(drawing.lines) == 4
    for one, (x, y) in places.items():
        assert MARGIN <= x <= drawing.width - BOX_WIDTH - MARGIN
        assert MARGIN <= y <= drawing.height - BOX_HEIGHT - MARGIN
        assert all(
            other == one or abs(x - a) >= BOX_WIDTH or abs(y - b) >= BOX_HEIGHT for other, (a, b) in places.items()
        )


def test_unknown_ids_and_cycles_are_left_out():
    drawing = layout_graph({1: [9, 2], 2: [1]})
    assert (len(drawing.boxes), len(drawing.lines)) == (2, 1)
    assert layout_graph({}).boxes == ()
