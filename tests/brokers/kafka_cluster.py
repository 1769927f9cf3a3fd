"""Several Kafka brokers: the mock cluster of librdkafka, which speaks the protocol on ports of this process.

It keeps messages and knows idempotent producers and offsets, but no times. Its C functions, which Python's client has
not wrapped, take brokers down and move leaders.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import confluent_kafka

from tests.required import is_missing

PRODUCER = 0


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    found = next(folder.glob("librdkafka*"), None)
    if found is None:
        is_missing(f"librdkafka in {folder}, where the wheel of confluent-kafka has it")
    library = ctypes.CDLL(str(found))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class KafkaCluster:
    """Brokers 1 to ``number``; every method is about all clients at once."""

    def __init__(self, number: int = 3) -> None:
        self._library = _library()
        conf = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._handle = ctypes.c_void_p(self._library.rd_kafka_new(PRODUCER, conf, None, ctypes.c_size_t(0)))
        assert self._handle.value
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._handle, number))
        assert self._cluster.value

    @property
    def addresses(self) -> str:
        """The addresses of all brokers, separated by commas."""
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def create_topic(self, name: str, *, partitions: int) -> None:
        """Create a topic whose partition 0 is led by broker 1, partition 1 by broker 2, and so on."""
        self._call("topic_create", name.encode(), partitions, 1)
        for partition in range(partitions):
            self.move_leader(name, partition, partition + 1)

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        """Have another broker lead a partition."""
        self._call("partition_set_leader", topic.encode(), partition, broker)

    def take_down(self, broker: int) -> None:
        """Cut a broker's connections, and refuse new ones. Its partitions keep their leader."""
        self._call("broker_set_down", broker)

    def bring_up(self, broker: int) -> None:
        """Let a broker answer again."""
        self._call("broker_set_up", broker)

    def close(self) -> None:
        """End all brokers."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def _call(self, verb: str, *arguments: object) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{verb}")(self._cluster, *arguments)
        assert code == 0, f"{verb}{arguments} answers {code}"
