"""The adapter against scripted servers: what counts as the bytes of a video."""

from __future__ import annotations

import pytest

from orchestrator.errors import (
    ContentInvalid,
    ContentNotReady,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderMissing,
    ProviderTransient,
    Unsupported,
)
from tests.contract.adapter_stage import MP4, client
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server


def test_download_streams_the_bytes(server: ScriptedServer) -> None:
    """The bytes arrive whole, typed by what they are."""
    server.answer(Answer(body=MP4, headers={"Content-Type": "application/octet-stream"}))

    with client(server.base_url) as provider, provider.download("video_abc") as download:
        data = b"".join(download.chunks)

    assert MP4 == data
    assert "video/mp4" == download.content_type
    assert len(MP4) == download.content_length
    assert "/v1/videos/video_abc/content" == server.said[0].path


def test_download_asks_for_the_variant(server: ScriptedServer) -> None:
    """A thumbnail is an image of its own."""
    webp = b"RIFF\x00\x00\x00\x00WEBPVP8 "
    server.answer(Answer(body=webp))

    with (
        client(server.base_url) as provider,
        provider.download("video_abc", "thumbnail") as download,
    ):
        assert webp == b"".join(download.chunks)

    assert "image/webp" == download.content_type
    assert "/v1/videos/video_abc/content?variant=thumbnail" == server.said[0].path


def test_download_refuses_variants_that_the_profile_lacks(server: ScriptedServer) -> None:
    """vLLM-Omni would send the whole video as a thumbnail."""
    with (
        client(server.base_url, "vllm-omni") as provider,
        pytest.raises(Unsupported),
        provider.download("video_abc", "thumbnail"),
    ):
        pass


def test_download_takes_avi_only_where_the_profile_says_so(server: ScriptedServer) -> None:
    """TensorRT-LLM may render AVI; from anybody else it is a mistake."""
    avi = b"RIFF\x00\x00\x00\x00AVI LIST"
    server.answer(Answer(body=avi))

    with client(server.base_url, "trtllm") as provider, provider.download("v") as download:
        assert "video/x-msvideo" == download.content_type

    with (
        client(server.base_url) as provider,
        pytest.raises(ContentInvalid),
        provider.download("v"),
    ):
        pass


NOT_CONTENT = [
    (Answer(404, {"error": {"message": "Video is not ready yet."}}), ContentNotReady),
    (Answer(404, {"detail": "Generation is still in-progress"}), ContentNotReady),
    (Answer(400, {"message": "Video x is not ready (status: queued)"}), ContentNotReady),
    (Answer(404, "nothing"), ContentNotReady),
    (Answer(200, {"error": {"message": "Video is not ready yet"}}), ContentNotReady),
    (
        Answer(200, '{"detail": "still in progress"}', headers={"Content-Type": "video/mp4"}),
        ContentNotReady,
    ),
    (Answer(200, {"error": {"message": "boom"}}), ContentInvalid),
    (Answer(200, "<html>still</html>"), ContentInvalid),
    (Answer(200, b""), ContentInvalid),
    (Answer(200, b"\x00" * 100), ContentInvalid),
    (Answer(422, {"detail": "generation failed"}), ContentInvalid),
    (Answer(404, {"error": {"message": "Video 'x' not found."}}), ProviderMissing),
    (Answer(400, {"detail": "Please use the cloud URL: http://c/x"}), ProviderMisconfigured),
    (Answer(401, {"error": {"message": "key"}}), ProviderMisconfigured),
    (Answer(429, "slow"), ProviderBusy),
    (Answer(500, "oops"), ProviderTransient),
]


@pytest.mark.parametrize(("answer", "kind"), NOT_CONTENT)
def test_download_raises_when_no_video_comes(
    server: ScriptedServer, answer: Answer, kind: type[ProviderError]
) -> None:
    """Whatever the content type claims, only a video is a video."""
    server.answer(answer)

    with (
        client(server.base_url) as provider,
        pytest.raises(ProviderError) as caught,
        provider.download("video_abc"),
    ):
        pass

    assert kind is type(caught.value)


def test_download_breaks_when_the_connection_does(server: ScriptedServer) -> None:
    """A cut in the middle is noticed by whoever reads."""
    server.answer(Answer(body=MP4, cut=100))

    with (
        client(server.base_url) as provider,
        pytest.raises(ProviderTransient),
        provider.download("video_abc") as download,
    ):
        list(download.chunks)


def test_download_breaks_when_the_server_falls_silent(server: ScriptedServer) -> None:
    """A server that accepts and then says nothing does not hold a worker."""
    server.answer(Answer(hang=True))

    with (
        client(server.base_url, read_timeout=0.2) as provider,
        pytest.raises(ProviderTransient),
        provider.download("video_abc"),
    ):
        pass


def test_download_follows_redirects_without_our_headers(server: ScriptedServer) -> None:
    """A storage server elsewhere gets the request, not the key."""
    with scripted_server() as storage:
        storage.answer(Answer(body=MP4))
        server.answer(Answer(302, headers={"Location": f"{storage.base_url}/file.mp4"}))

        with (
            client(server.base_url, headers={"api-key": "secret"}) as provider,
            provider.download("video_abc") as download,
        ):
            assert MP4 == b"".join(download.chunks)

    assert "secret" == server.said[0].headers["api-key"]
    assert {"authorization", "api-key"}.isdisjoint(storage.said[0].headers)


def test_download_is_transient_when_the_other_host_refuses(server: ScriptedServer) -> None:
    """A 403 from a storage server is no verdict on our key."""
    with scripted_server() as storage:
        storage.answer(Answer(403, "expired"))
        server.answer(Answer(302, headers={"Location": f"{storage.base_url}/file.mp4"}))

        with (
            client(server.base_url) as provider,
            pytest.raises(ProviderTransient),
            provider.download("video_abc"),
        ):
            pass
