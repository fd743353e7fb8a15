"""Which α is chosen, and what is then reported."""

from evaluation import selection


def test_one_alpha_is_reported_alone_and_nothing_is_added():
    for select in ("honest", "paper"):
        assert selection.to_select([0.5], select) == []
        assert selection.to_report([0.5], select, None) == [0.5]
        record = selection.describe([0.5], select, 0.5)
        assert (record.how, record.optimistic, record.returns_stream) == ("given", False, "report")


def test_honest_selection_tries_all_and_reports_plain_conversion_and_the_best():
    assert selection.to_select([1.0, 0.0, 0.5], "honest") == [1.0, 0.0, 0.5]
    assert selection.to_report([1.0, 0.0, 0.5], "honest", 1.0) == [0.0, 1.0]
    assert selection.to_report([0.2, 0.4], "honest", 0.2) == [0.0, 0.2]
    assert selection.to_report([0.0, 0.4], "honest", 0.0) == [0.0]
    record = selection.describe([0.2, 0.4], "honest", 0.2)
    assert (record.how, record.optimistic, record.returns_stream) == ("honest", False, "selection")


def test_the_papers_way_reports_all_and_is_called_optimistic():
    assert selection.to_select([0.0, 0.5], "paper") == []
    assert selection.to_report([0.5, 0.0], "paper", None) == [0.0, 0.5]
    record = selection.describe([0.0, 0.5], "paper", 0.5)
    assert (record.how, record.optimistic, record.returns_stream) == ("paper", True, "report")


def test_of_equals_the_smallest_alpha_wins():
    assert selection.best({0.5: 3.0, 0.0: 1.0, 0.2: 3.0}) == 0.2
