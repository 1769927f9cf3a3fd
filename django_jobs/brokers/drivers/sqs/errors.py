"""The codes of SQS's errors, by what they concern: the credentials, a queue, one message, or everybody for now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....exceptions import JobsError
from ...interface import NotSent, Refused, SendOutcome

CREDENTIALS_REJECTED = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Errors that only other credentials, or a right clock, end."""
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "KmsAccessDenied", "UnauthorizedOperation"})
"""The credentials are known, and may not do this to this queue."""
MISSING = frozenset({"InvalidAddress", "NonExistentQueue", "QueueDoesNotExist"})
BY_CONTENT = frozenset(
    {"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterCombination", "InvalidParameterValue"}
)
"""What no later attempt can send. A request may be refused whole for one such message."""
FOR_NOW = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "KmsThrottled",
        "OverLimit",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""How everybody is refused for a while; an answer with a status of 500 or more, or 429, is one too."""
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500


class AnswerError(JobsError):
    """SQS has refused one request; ``code`` without its prefixes says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code


def short_code(code: str) -> str:
    """Return an error's code without what stands in front: ``AWS.SimpleQueueService.``, ``com.amazonaws.sqs#``."""
    return code.rpartition("#")[2].rpartition(".")[2]


def is_for_now(answer: Mapping[str, Any]) -> bool:
    """Tell whether an error's answer says that nobody is served at the moment."""
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = short_code(answer.get("Error", {}).get("Code", ""))
    return code in FOR_NOW or status == TOO_MANY_REQUESTS or status >= SERVER_ERROR


def outcome_of(failed: Mapping[str, Any]) -> SendOutcome:
    """Return the outcome of a message that is among the failed ones of a batch."""
    code = short_code(failed.get("Code", ""))
    reason = f"{code}: {failed.get('Message', '')}".strip(": ")
    if code in FOR_NOW or not failed.get("SenderFault"):
        return NotSent(reason=reason)
    return Refused(reason=reason, is_permanent=code in BY_CONTENT)
