"""A real S3 API for the tests: Swift's ``s3api``, with version 4 signatures it does verify."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.swift import Swift


@dataclass(frozen=True)
class S3:
    """Where the S3 API is, and whose keys open it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str

    def environment(self) -> dict[str, str]:
        """The ``AWS_*`` variables a user would set."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self) -> Any:
        """A boto3 client of the owner."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@pytest.fixture(scope="session")
def s3(swift: Swift) -> S3:
    """The S3 face of the session's Swift."""
    return S3(endpoint=swift.url, access_key=swift.user, secret_key=swift.key, region=swift.region)


@pytest.fixture
def bucket(s3: S3) -> str:
    """A fresh private bucket."""
    name = f"b{secrets.token_hex(6)}"
    client = s3.client()
    client.create_bucket(Bucket=name)
    client.close()
    return name
