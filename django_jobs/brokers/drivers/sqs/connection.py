"""A client of SQS: its requests, with its errors as those of the contract, and the queues that it has looked up.

A client keeps sockets open, which a forked process must not share: it makes a client of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import BrokerDownError, import_client
from .errors import CREDENTIALS_REJECTED, AnswerError, is_for_now, short_code
from .names import parse_name

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0
"""The second is longer than any long poll, of up to 20 s."""
CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
NEEDED_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "ConfigNotFound",
    "ConfigParseError",
    "InvalidConfigError",
    "InvalidRegionError",
    "SSOError",
    "UnauthorizedSSOTokenError",
)
"""Errors of the client itself that only other settings end. All others are outages."""


class Queue(NamedTuple):
    """A queue that is there."""

    url: str
    is_fifo: bool


class SqsConnection:
    """Used by one thread at a time. Connects with the first request."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.label = f"DJANGO_JOBS['BROKERS'][{settings.name!r}]"
        self._boto3 = import_client(settings.scheme)
        from botocore import exceptions  # type: ignore[import-untyped]  # the package has no types

        self._exceptions = exceptions
        self._queues: dict[str, Queue] = {}
        self._pid = os.getpid()
        self._client = self._make_client()

    def ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to a request, such as ``ask("send_message_batch", QueueUrl=...)``.

        Raises BrokerDownError, ConfigurationError for credentials, or AnswerError if SQS refuses this request.
        """
        if self._pid != os.getpid():
            self._pid, self._client = os.getpid(), self._make_client()
        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(**parameters)
        except self._exceptions.ParamValidationError:
            raise  # a request that no server has seen: a bug of this driver
        except self._exceptions.ClientError as error:
            raise self._translate_answer(error.response) from error
        except self._exceptions.BotoCoreError as error:
            raise self._translate(error) from error
        except OSError as error:
            raise BrokerDownError(str(error)) from error
        return answer

    def find_queue(self, name: str) -> Queue:
        """Return a queue; each is looked up once, for its URL is made of its name.

        Raises ValueError for a name that no queue can have.
        """
        found = self._queues.get(name)
        if found is None:
            parsed = parse_name(name)
            owner = {"QueueOwnerAWSAccountId": parsed.account} if parsed.account else {}
            answer = self.ask("get_queue_url", QueueName=parsed.queue, **owner)
            found = self._queues[name] = Queue(answer["QueueUrl"], parsed.is_fifo)
        return found

    def check_credentials(self) -> None:
        """Have SQS say whether it knows the credentials, whatever they may do."""
        with suppress(AnswerError):
            self.ask("list_queues", MaxResults=1)

    def close(self) -> None:
        """Close the sockets. Those of a parent process are the parent's."""
        if self._pid == os.getpid():
            with suppress(Exception):
                self._client.close()

    def _make_client(self) -> Any:
        from botocore.config import Config  # type: ignore[import-untyped]  # the package has no types

        options = self._settings.options
        try:
            session = self._boto3.session.Session(
                region_name=self._settings.url.hosts[0], profile_name=options.get("profile_name")
            )
            return session.client(
                "sqs",
                endpoint_url=options.get("endpoint_url"),
                verify=options.get("ca_file"),
                **{name: options.get(name) for name in CREDENTIALS},
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=ANSWER_SECONDS,
                    retries={"total_max_attempts": 1},  # the callers try again, after their own pauses
                ),
            )
        except (self._exceptions.BotoCoreError, ValueError) as error:
            raise self._rejection(str(error)) from None

    def _translate(self, error: Exception) -> Exception:
        kinds = tuple(getattr(self._exceptions, name) for name in NEEDED_CREDENTIALS)
        return self._rejection(str(error)) if isinstance(error, kinds) else BrokerDownError(str(error))

    def _translate_answer(self, answer: Mapping[str, Any]) -> Exception:
        code, text = short_code(answer["Error"].get("Code", "")), answer["Error"].get("Message", "")
        if is_for_now(answer):
            return BrokerDownError(f"{code}: {text}")
        if code in CREDENTIALS_REJECTED:
            return self._rejection(f"{code}: {text}")
        return AnswerError(code, text)

    def _rejection(self, text: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.label}: expected a region and credentials that SQS knows, from 'options' or where boto3 looks for"
            f" them; it says: {text}"
        )
