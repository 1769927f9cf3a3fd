"""Findings about a Galera node: what it says of its cluster, and nothing about a server that is in none."""

import pytest

from django_jobs.policy.doctor import RowFacts, SchemaFacts, ServerFacts, Severity, diagnose
from django_jobs.policy.galera import GaleraFacts

HEALTHY = {
    "wsrep_on": "ON",
    "wsrep_ready": "ON",
    "wsrep_cluster_size": "3",
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state_comment": "Synced",
    "wsrep_local_cert_failures": "0",
    "wsrep_local_bf_aborts": "0",
    "innodb_autoinc_lock_mode": "2",
    "auto_increment_increment": "3",
}


def found(**changes):
    facts = GaleraFacts.read(HEALTHY | changes)
    findings = diagnose(rows=RowFacts(), server=ServerFacts(galera=facts), schema=SchemaFacts())
    assert all(one.about == "cluster" and one.advice for one in findings)
    return [(one.severity, one.what) for one in findings]


def test_a_server_of_its_own_has_no_findings():
    assert found(wsrep_on="OFF") == []
    assert found(wsrep_cluster_size="0") == []
    assert GaleraFacts.read({"innodb_autoinc_lock_mode": "1", "auto_increment_increment": "1"}) is None


def test_a_healthy_cluster_is_a_hint_to_one_writer():
    [(severity, what)] = found()
    assert (severity, what) == (Severity.HINT, "the database is a Galera cluster of 3 nodes")


def test_transactions_that_other_nodes_have_undone_are_counted():
    [(_, what)] = found(wsrep_local_cert_failures="1200", wsrep_local_bf_aborts="34")
    assert what.endswith("; other nodes have undone 1,234 transactions of this one")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wsrep_cluster_status": "non-Primary", "wsrep_cluster_size": "1"}, "the component is non-Primary"),
        ({"wsrep_ready": "OFF", "wsrep_local_state_comment": "Joining"}, "the node Joining"),
        ({"innodb_autoinc_lock_mode": "1"}, "innodb_autoinc_lock_mode is 1"),
    ],
)
def test_a_node_that_does_not_work_is_a_problem(changes, said):
    assert any(severity is Severity.PROBLEM and said in what for severity, what in found(**changes))


def test_ids_that_are_not_apart_and_two_nodes_are_hints():
    texts = [what for severity, what in found(auto_increment_increment="1", wsrep_cluster_size="2")]
    assert any("the same ids" in what for what in texts)
    assert any("of 2 nodes stops" in what for what in texts)
    assert not any("of 2 nodes stops" in what for _, what in found())
