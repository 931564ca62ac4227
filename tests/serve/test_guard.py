"""Who may ask the server of the page, and how often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from clients import LOCAL
from starlette.testclient import TestClient

from facegen.serve import guard
from facegen.serve.app import create_app
from facegen.serve.models import Models

TOKEN = "a-token_that.nobody~guesses"
OTHER = "http://192.168.1.5:8000"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:9000"}, 200),  # an SSH tunnel
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": LOCAL}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example"}, 403),  # a name that points to this machine
        ({"Host": "localhost.evil.example:8000"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_who_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    response = client.get("/api/info", headers=headers)
    assert response.status_code == status
    assert ("error" in response.json()) == (status == 403)
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'self'" in response.headers["content-security-policy"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time as the guard sees it: it stands still."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(guard, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_too_many_requests(clock: SimpleNamespace) -> None:
    bucket = guard.Guard(create_app(Models()), per_second=10, burst=3)
    client = TestClient(bucket, LOCAL)
    assert [client.get("/api/info").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/api/info")
    assert "too many requests" in refused.json()["error"] and refused.headers["retry-after"] == "1"
    clock.now += 0.1
    assert [client.get("/api/info").status_code for _ in range(2)] == [200, 429]


def test_the_bucket_fills_again(clock: SimpleNamespace) -> None:
    bucket = guard._Bucket(per_second=10, burst=2)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.now += 0.15
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 100
    assert [bucket.take() for _ in range(3)] == [True, True, False]


@pytest.fixture
def other() -> TestClient:
    """A client on another machine, of a server with a token."""
    return TestClient(create_app(Models(), TOKEN), OTHER)


def test_a_token_is_asked_for(other: TestClient) -> None:
    for address in ("/", "/api/info", "/static/main.js", f"/api/info?token={TOKEN}", "/?token=x"):
        response = other.get(address)
        assert response.status_code == 401 and "token" in response.json()["error"]
        assert "set-cookie" not in response.headers
    for header in (f"Bearer {TOKEN}x", "Bearer ", TOKEN[:-1], "Bearer \u00e9"):
        headers = {"Authorization": header.encode("latin-1")}
        assert other.get("/api/info", headers=headers).status_code == 401
    assert other.get("/api/info", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_page_with_its_token_sets_a_cookie(other: TestClient) -> None:
    page = other.get(f"/?token={TOKEN}")
    assert page.status_code == 200
    cookie = page.headers["set-cookie"]
    assert cookie == f"facegen-token-8000={TOKEN}; HttpOnly; SameSite=Lax"
    assert other.get("/api/info").status_code == 200
    assert other.get("/").status_code == 200
    other.cookies.set("facegen-token-8000", "another")
    assert other.get("/api/info", headers={"Cookie": "facegen-token-8000=x"}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": OTHER}, 200),
        ({"Origin": "https://192.168.1.5:8000"}, 200),  # a proxy with TLS before it
        ({"Host": "faces.example", "Origin": "https://faces.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_other_sites_get_nothing_with_a_token_either(
    other: TestClient, headers: dict[str, str], status: int
) -> None:
    known = {"Authorization": f"Bearer {TOKEN}"}
    assert other.get("/api/info", headers=known | headers).status_code == status


def test_a_link_to_the_page_may_stand_anywhere() -> None:
    client = TestClient(create_app(Models()), LOCAL)
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    document = followed | {"Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=document).status_code == 200
    assert client.get("/", headers=followed | {"Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert client.get("/api/info", headers=document).status_code == 403
    assert client.post("/", headers=document).status_code == 403
