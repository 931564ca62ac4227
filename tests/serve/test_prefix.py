"""The page below a path, behind proxies that take it away and ones that do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from clients import LOCAL
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from facegen.errors import FacegenError
from facegen.serve import app as serve_app
from facegen.serve.app import create_app
from facegen.serve.models import Models

TOKEN = "a-token_that.nobody~guesses"
PREFIX = "/tools/facegen"


@pytest.fixture
def below() -> TestClient:
    return TestClient(create_app(Models(), TOKEN, PREFIX), "http://192.168.1.5:8000")


def test_all_of_it_is_below(below: TestClient) -> None:
    assert below.get(f"{PREFIX}/").status_code == 401
    page = below.get(f"{PREFIX}/?token={TOKEN}")
    assert page.status_code == 200 and "<title>facegen</title>" in page.text
    assert below.get(f"{PREFIX}/api/info").status_code == 200  # by the cookie of the page
    assert below.get(f"{PREFIX}/static/main.js").status_code == 200
    assert below.get(f"{PREFIX}/nothing").status_code == 404


def test_the_bare_path_leads_to_the_page(below: TestClient) -> None:
    """The page's own addresses would lead past it without the slash."""
    moved = below.get(f"{PREFIX}?token={TOKEN}", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (307, f"{PREFIX}/?token={TOKEN}")
    assert below.get(PREFIX, follow_redirects=False).headers["location"] == f"{PREFIX}/"


@pytest.mark.parametrize("path", ["/", "/api/info", "/tools", "/tools/facegenerator/", "//"])
def test_elsewhere_is_nothing_but_where_it_is(below: TestClient, path: str) -> None:
    response = below.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 404
    assert response.json() == {"error": f"the page is at {PREFIX}/"}


def test_this_machine_alone_is_answered_below_a_prefix_too() -> None:
    app = create_app(Models(), prefix=f"{PREFIX}/")
    assert TestClient(app, LOCAL).get(f"{PREFIX}/api/info").status_code == 200
    assert TestClient(app, "http://evil.example").get(f"{PREFIX}/api/info").status_code == 403


@pytest.mark.parametrize(
    "prefix", ["x", "/", "//", "/a/../b", "/.", "/a b", "/%41", "/" + 300 * "a"]
)
def test_what_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(FacegenError, match="expected a path such as /facegen"):
        create_app(Models(), prefix=prefix)


def test_below_a_prefix() -> None:
    """As of an application that another one mounts."""
    whole = Starlette(routes=[Mount("/some/prefix", create_app(Models(), TOKEN))])
    client = TestClient(whole, "http://192.168.1.5:8000")
    assert client.get("/some/prefix/").status_code == 401
    assert client.get(f"/some/prefix/?token={TOKEN}").status_code == 200
    assert client.get("/some/prefix/api/info").status_code == 200
    assert client.get("/some/prefix/static/main.js").status_code == 200


def test_the_page_names_no_address_from_the_root() -> None:
    """It would lead past the prefix that a proxy takes away."""
    for file in Path(serve_app.__file__).with_name("static").iterdir():
        found = re.findall(rb"""["'`(]/(?:api|static)""", file.read_bytes())
        assert found == [], file
