"""Presigned S3 URLs (AWS signature version 4) for reading one object for a limited time."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from seedkeep.core.errors import Refused
from seedkeep_registrar.web_seeds.storage import Storage


class S3Signer:
    """Signs URLs for one storage; talks to nobody, except where boto3 itself has to fetch credentials."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._client: Any = None
        self._making = asyncio.Lock()

    def _make(self) -> Any:
        storage = self._storage
        style: Literal["path", "virtual"]
        if storage.addressing == "auto":
            style = "path" if storage.endpoint else "virtual"
        else:
            style = storage.addressing
        # a session of its own: boto3's default one must not be used from several threads
        session = boto3.session.Session(
            aws_access_key_id=storage.access_key or None,
            aws_secret_access_key=storage.secret_key or None,
            region_name=storage.region or None,
        )
        return session.client(
            "s3",
            endpoint_url=storage.endpoint or None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": style},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=10,
                read_timeout=10,
            ),
        )

    async def url(self, key: str) -> str:
        """A URL that reads object ``key`` until the storage's ``expires_s`` are over; a secret, never log it.

        Raises:
            Refused: there are no credentials.
        """
        try:
            async with self._making:
                if self._client is None:
                    self._client = await asyncio.to_thread(self._make)
            signed: str = await asyncio.to_thread(
                self._client.generate_presigned_url,
                "get_object",
                Params={"Bucket": self._storage.bucket, "Key": key},
                ExpiresIn=self._storage.expires_s,
            )
        except BotoCoreError as error:
            raise Refused(f"storage {self._storage.name} cannot sign: {error}") from error
        return signed

    def close(self) -> None:
        """Let go of the client."""
        if self._client is not None:
            self._client.close()
