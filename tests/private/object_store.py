"""A store for objects that speaks the protocol of S3."""

from __future__ import annotations

from .ministack import REGION, PrivateMinistack


class PrivateObjectStore(PrivateMinistack):
    """Keeps objects as long as it runs."""

    service = "s3"

    def create_bucket(self, name: str) -> None:
        """Create a bucket."""
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
