"""The Videos API through the `openai` SDK: every call that we make, and the only import of the SDK.

The calls are the SDK's low-level ones (`client.post`, `client.get`), not `client.videos.*`, which
- raises a deprecation warning each time, and warnings are filtered per process, not per thread;
- hides the reply's body, which the tolerant reader needs (no id, HTML, a job under an HTTP error);
- always creates by multipart, and cannot send references as JSON;
- may be dropped by a later major version, while the low-level calls carry the whole SDK.

The SDK's own retries are off: a create that it repeats is paid twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

import httpx2
import openai
from openai import OpenAI, Stream
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from orchestrator.catalog import Provider
from orchestrator.errors import ProviderError, Unsupported
from orchestrator.policies import PAGE_SIZE
from orchestrator.providers import content, refusals, replies, requests, transport
from orchestrator.providers.content import Download
from orchestrator.providers.probing import probe
from orchestrator.providers.protocol import CreateRequest, Probe, ProviderVideo, Span, Walk
from orchestrator.providers.replies import Page
from orchestrator.providers.reply import Reply
from orchestrator.providers.requests import Submission, video_path
from orchestrator.providers.walking import walk

T = TypeVar("T")

_EXCERPT = 16 * 1024


class OpenAIVideos:
    """A `VideoProvider` over HTTP, for every profile."""

    def __init__(
        self,
        provider: Provider,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ):
        self._provider = provider
        self._clock = clock
        self._sleep = sleep
        tls = httpx2.create_ssl_context()
        self._api = _sdk(provider, transport.api_client(provider, tls))
        self._files = _sdk(provider, transport.file_client(provider, tls))

    def create(self, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._submit(requests.create(self._provider, request), refusals.create_refusal)

    def remix(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        submission = requests.remix(self._provider, source_id, request)
        return self._derive(source_id, submission)

    def edit(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        submission = requests.edit(self._provider, source_id, request)
        return self._derive(source_id, submission)

    def extend(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        submission = requests.extend(self._provider, source_id, request)
        return self._derive(source_id, submission)

    def retrieve(self, provider_video_id: str) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._reading(lambda: self._retrieve(provider_video_id))

    def walk(self, span: Span) -> Walk:
        """See `VideoProvider`."""
        listing = self._provider.profile.list
        if listing == "none":
            raise Unsupported(f"Provider {self._provider.name} has no list of its videos.")
        return walk(
            lambda place: self._reading(lambda: self._page(place)),
            span,
            paged=listing == "paged",
        )

    def delete(self, provider_video_id: str) -> None:
        """See `VideoProvider`."""
        if not self._provider.profile.has_delete:
            raise Unsupported(f"Provider {self._provider.name} cannot delete a video.")
        reply = self._ask("DELETE", video_path(provider_video_id))
        if not reply.ok:
            raise refusals.read_refusal(reply, self._clock())

    @contextmanager
    def download(self, provider_video_id: str, variant: str = "video") -> Iterator[Download]:
        """See `VideoProvider`."""
        profile = self._provider.profile
        if variant != "video" and variant not in profile.variants:
            raise Unsupported(f"Provider {self._provider.name} offers no {variant} of a video.")
        response = self._reading(lambda: self._open_content(provider_video_id, variant))
        try:
            chunks = transport.chunks(response)
            head = content.take(chunks, content.HEAD)
            download = content.checked_download(
                head,
                chunks,
                variant=variant,
                containers=profile.containers,
                length=transport.content_length(response),
            )
            if download is None:
                text = (head + content.take(chunks, _EXCERPT)).decode(errors="replace")
                raise refusals.content_refusal(self._reply(response, text), self._clock())
            yield download
        finally:
            response.close()

    def probe(self) -> Probe:
        """See `VideoProvider`."""
        return probe(
            self._provider.profile, lambda path, query: self._ask("GET", path, query=query)
        )

    def close(self) -> None:
        """See `VideoProvider`."""
        self._api.close()
        self._files.close()

    def _derive(self, source_id: str, submission: Submission) -> ProviderVideo:
        found = self._submit(submission, refusals.remix_refusal)
        return replace(found, id=self._provider.profile.derived_id(found.id, source_id))

    def _submit(
        self, submission: Submission, refusal: Callable[[Reply, datetime], ProviderError]
    ) -> ProviderVideo:
        profile = self._provider.profile
        try:
            reply = self._post(submission)
            if reply.ok:
                video = replies.read_video(reply.body, profile, poll_after=reply.poll_after)
            else:
                video = replies.read_failed_reply(reply, profile)
            if video is None:
                raise refusal(reply, self._clock())
        except ProviderError:
            raise
        except Exception as error:
            # Whatever went wrong, on the wire or in our own reading: unless it is certain that
            # nothing was sent, the provider may be at work.
            raise transport.broken_create(error) from error
        return video

    def _post(self, submission: Submission) -> Reply:
        multipart = submission.files is not None
        headers = {"Idempotency-Key": submission.idempotency_key}
        if multipart:
            headers["Content-Type"] = "multipart/form-data"
        try:
            response = self._api.post(
                submission.path,
                cast_to=httpx2.Response,
                body=dict(submission.fields),
                files=list((submission.files or {}).items()) or None,
                options={
                    "headers": headers,
                    "timeout": transport.timeout(self._provider, self._provider.create_timeout),
                    "follow_redirects": False,
                },
            )
        except openai.APIStatusError as error:
            response = error.response
        return self._reply(response)

    def _retrieve(self, provider_video_id: str) -> ProviderVideo:
        profile = self._provider.profile
        reply = self._ask("GET", video_path(provider_video_id))
        if reply.ok:
            video = replies.read_video(reply.body, profile, poll_after=reply.poll_after)
        else:
            video = replies.read_failed_reply(reply, profile, asked_for=provider_video_id)
        if video is None:
            raise refusals.read_refusal(reply, self._clock())
        return video

    def _page(self, after: str | None) -> tuple[Page, timedelta]:
        profile = self._provider.profile
        query = {"limit": str(PAGE_SIZE), "order": "desc", **profile.list_query}
        reply = self._ask("GET", "/videos", query={**query, "after": after} if after else query)
        page = replies.read_page(reply.body, profile) if reply.ok else None
        if page is None:
            raise refusals.list_refusal(reply, self._clock())
        return page, reply.server_offset(self._clock())

    def _open_content(self, provider_video_id: str, variant: str) -> httpx2.Response:
        try:
            # With stream=True and this cast the SDK hands out the response before its body.
            response = self._files.get(
                f"{video_path(provider_video_id)}/content",
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=Stream[Any],
                options={
                    "headers": {"Accept": "*/*"},
                    "params": {} if variant == "video" else {"variant": variant},
                    "follow_redirects": True,
                },
            )
        except openai.APIStatusError as error:
            raise refusals.content_refusal(self._reply(error.response), self._clock()) from error
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise transport.broken_read(error) from error
        return cast(httpx2.Response, response)

    def _ask(self, method: str, path: str, *, query: Mapping[str, str] | None = None) -> Reply:
        call = self._api.delete if method == "DELETE" else self._api.get
        try:
            response = call(
                path,
                cast_to=httpx2.Response,
                options={"params": dict(query or {}), "follow_redirects": False},
            )
        except openai.APIStatusError as error:
            response = error.response
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise transport.broken_read(error) from error
        return self._reply(response)

    def _reply(self, response: httpx2.Response, text: str | None = None) -> Reply:
        """The response as values."""
        return Reply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            text=response.text if text is None else text,
            foreign=transport.is_foreign(response.url, self._provider),
            secret=self._provider.api_key,
        )

    def _reading(self, read: Callable[[], T]) -> T:
        """A second try, within a second, for what is quickly over; never for a refusal."""
        retrying = Retrying(
            retry=retry_if_exception(transport.is_brief),
            stop=stop_after_attempt(2),
            wait=wait_random(0.1, 0.5),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(read)


def _sdk(provider: Provider, http_client: httpx2.Client) -> OpenAI:
    client = OpenAI(
        # The SDK insists on a key; servers without authentication do not look at it.
        api_key=provider.api_key or "none",
        base_url=provider.base_url,
        max_retries=0,
        timeout=transport.timeout(provider, provider.read_timeout),
        http_client=http_client,
        # Compressed replies could not be bounded by their length.
        default_headers={"Accept-Encoding": "identity", **provider.headers},
    )
    # The SDK reads these from the environment, for whichever provider.
    client.organization = None
    client.project = None
    return client
