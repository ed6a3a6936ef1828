"""Put files into an S3 bucket: single requests for small ones, resumable multipart uploads for the rest.

Works with Amazon's and with every other S3 API that boto3 can talk to (``AWS_ENDPOINT_URL_S3``). An
object carries its SHA-256 as metadata, so that a later run knows what is already there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, Literal, TypeVar

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from seedkeep.core.errors import Error, NotFound, Refused, Unreachable, UsageError, VerificationFailed
from seedkeep.core.manifest import FileEntry
from seedkeep.core.web_seed import ObjectPlace
from seedkeep.webseeds.local_file import LocalFile

#: files up to this many bytes go in one request, larger ones in parts of at least as many
PART_BYTES = 16 << 20
_MAX_PARTS = 9000  # the protocol allows 10,000
_IN_FLIGHT = 4
_THREADS = 8
_DIGEST = "sha256"
T = TypeVar("T")


class S3Store:
    """A bucket to write to, with credentials as boto3 finds them. An async context manager."""

    def __init__(
        self,
        place: ObjectPlace,
        *,
        endpoint: str | None = None,
        credentials: Mapping[str, str] | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """
        Args:
            endpoint: the server's URL; by default boto3's choice (``AWS_ENDPOINT_URL_S3``, then Amazon's).
            credentials: ``aws_access_key_id``, ``aws_secret_access_key``, ``region_name`` …, as boto3's
                session takes them; by default boto3's own search.
        """
        self._place = place
        self._endpoint = endpoint
        self._credentials = dict(credentials or {})
        self._part_bytes = part_bytes
        self._client: Any = None
        self._anonymous: Any = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self.large_above = part_bytes

    async def __aenter__(self) -> S3Store:
        try:
            self._client = await self._call(self._make)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for requests under way (they have time-outs) and let go of the connections."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _make(self) -> Any:
        session = boto3.session.Session(**self._credentials)  # type: ignore[arg-type]
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=_THREADS,
            retries={"mode": "standard", "max_attempts": 4},
            # older servers know no trailing checksums; every request carries Content-MD5 instead
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = session.client("s3", endpoint_url=self._endpoint, config=config)
        amazon = client.meta.endpoint_url.endswith(".amazonaws.com")
        # other servers seldom have a host name for every bucket; Amazon's redirect where it is not used
        style: Literal["virtual", "path"] = (
            "virtual" if amazon and "." not in self._place.container else "path"
        )
        client.close()
        config = config.merge(Config(s3={"addressing_style": style}))
        client = session.client("s3", endpoint_url=self._endpoint, config=config)
        self._anonymous = session.client(
            "s3", endpoint_url=self._endpoint, config=config.merge(Config(signature_version=UNSIGNED))
        )
        return client

    async def _call(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Run a blocking call in a thread, and turn its errors into ours."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(function, *args, **options))
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise UsageError(
                "there are no credentials for S3",
                hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run aws configure.",
            ) from error
        except ClientError as error:
            raise self._told(error) from error
        except (ParamValidationError, ValueError) as error:
            raise UsageError(f"S3 cannot be asked for {self._place}: {error}") from error
        except BotoCoreError as error:
            raise Unreachable(f"the object store of {self._place} does not answer: {error}") from error

    def _told(self, error: ClientError) -> Error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            hint = "Make the bucket first; check AWS_ENDPOINT_URL_S3 if it is not at Amazon."
            return NotFound(f"there is no bucket {self._place.container}", hint=hint)
        if status == 404:
            return NotFound(f"{self._place} does not have it ({code})")
        if status >= 500 or code in ("SlowDown", "RequestTimeout", "BadDigest"):
            return Unreachable(f"the object store of {self._place} fails ({code or status})")
        hint = "Check the keys, and that they may read and write this bucket."
        return Refused(f"the object store of {self._place} refuses ({code or status})", hint=hint)

    async def prepare(self) -> None:
        """Nothing to do: a bucket that is not there is told by the first write."""

    async def has(self, key: str, entry: FileEntry) -> bool:
        """Whether the object is already there, with the right size and SHA-256."""
        try:
            head = await self._call(self._client.head_object, Bucket=self._place.container, Key=key)
        except (NotFound, Refused):
            # without the right to list, a missing object looks forbidden; the write will tell
            return False
        known = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        return bool(head["ContentLength"] == entry.size and known.get(_DIGEST) == entry.sha256)

    async def put(self, key: str, file: LocalFile, report: Callable[[int], None]) -> None:
        """Write one object; ``report`` gets the bytes of it that are done.

        Raises:
            VerificationFailed: the file has changed; the object is not written.
            NotFound, Refused, Unreachable, UsageError: the store cannot be written to.
        """
        if file.entry.size <= self._part_bytes:
            await self._call(self._put_whole, key, file)
            report(file.entry.size)
            return
        await self._put_parts(key, file, report, resume=True)
        if not await self.has(key, file.entry):
            # an upload left over from other content of this name had its digest in the metadata
            with closing(LocalFile(file.path, file.entry)) as again:
                await self._call(again.open)
                await self._put_parts(key, again, report, resume=False)

    def _put_whole(self, key: str, file: LocalFile) -> None:
        data = file.read(file.entry.size + 1)
        file.finish()
        self._client.put_object(
            Bucket=self._place.container,
            Key=key,
            Body=data,
            ContentMD5=_md5(data),
            ContentType="application/octet-stream",
            Metadata={_DIGEST: file.entry.sha256},
        )

    async def _put_parts(
        self, key: str, file: LocalFile, report: Callable[[int], None], *, resume: bool
    ) -> None:
        where = {"Bucket": self._place.container, "Key": key}
        part_bytes = self._part_size(file.entry.size)
        upload, there = await self._unfinished(key) if resume else ("", {})
        if not upload:
            made = await self._call(
                self._client.create_multipart_upload,
                **where,
                ContentType="application/octet-stream",
                Metadata={_DIGEST: file.entry.sha256},
            )
            upload, there = made["UploadId"], {}
        parts: list[dict[str, Any]] = []
        under_way: deque[asyncio.Task[None]] = deque()
        done = 0

        async def send(part: dict[str, Any], data: bytes) -> None:
            nonlocal done
            if there.get(part["PartNumber"]) != (
                len(data),
                hashlib.md5(data, usedforsecurity=False).hexdigest(),
            ):
                answer = await self._call(
                    self._client.upload_part,
                    **where,
                    UploadId=upload,
                    PartNumber=part["PartNumber"],
                    Body=data,
                    ContentMD5=_md5(data),
                )
                part["ETag"] = answer["ETag"]
            else:
                part["ETag"] = there[part["PartNumber"]][1]
            done += len(data)
            report(done)

        try:
            for number in range(1, -(-file.entry.size // part_bytes) + 1):
                data = await self._call(file.read, part_bytes)
                parts.append({"PartNumber": number})
                under_way.append(asyncio.create_task(send(parts[-1], data)))
                if len(under_way) >= max(1, min(_IN_FLIGHT, (256 << 20) // part_bytes)):
                    await under_way.popleft()
            await self._call(file.finish)
            while under_way:
                await under_way.popleft()
        except VerificationFailed:
            # a part that arrives after the end of its upload would stay for ever
            await asyncio.gather(*under_way, return_exceptions=True)
            await self._call(self._client.abort_multipart_upload, **where, UploadId=upload)
            raise
        finally:
            await self._drop(under_way)
        await self._call(
            self._client.complete_multipart_upload, **where, UploadId=upload, MultipartUpload={"Parts": parts}
        )

    def _part_size(self, size: int) -> int:
        needed = -(-size // _MAX_PARTS)
        return max(self._part_bytes, -(-needed // (1 << 20)) << 20 if needed > self._part_bytes else 0)

    @staticmethod
    async def _drop(tasks: deque[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks.clear()

    async def _unfinished(self, key: str) -> tuple[str, dict[int, tuple[int, str]]]:
        """The newest unfinished upload of this object, and its parts by number: (bytes, MD5 as hex)."""
        bucket = self._place.container
        try:
            listed = await self._call(self._client.list_multipart_uploads, Bucket=bucket, Prefix=key)
            uploads = [u for u in listed.get("Uploads", []) if u["Key"] == key]
            if not uploads:
                return "", {}
            newest = max(uploads, key=lambda u: u["Initiated"])["UploadId"]
            return newest, await self._call(self._parts, key, newest)
        except (NotFound, Refused):
            # listing uploads is a right of its own; without it nothing is resumed
            return "", {}

    def _parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._place.container, Key=key, UploadId=upload
        )
        parts = (part for page in pages for part in page.get("Parts", []))
        return {p["PartNumber"]: (p["Size"], p["ETag"].strip('"')) for p in parts}

    async def public_url(self) -> str:
        """The place's http(s) URL for those who need no credentials; ends in ``/``."""
        url = await self._call(
            self._anonymous.generate_presigned_url,
            "get_object",
            Params={"Bucket": self._place.container, "Key": f"{self._place.prefix}x"},
        )
        return str(url).removesuffix("x")


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
