"""Fetching published networks, from a server on this machine."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import facegen
from facegen import FacegenError, FormatError, hub, loading
from facegen.cli.main import main
from facegen.errors import DownloadFailure
from facegen.hub import cache, published
from facegen.hub.arrival import place_of_arrival
from facegen.networks import NETWORKS, default
from facegen.networks.files import resolve
from facegen.networks.pix2pix import tensorflow_name

pytest.importorskip("pooch", reason="pooch is not installed (the extra 'hub')")


def holds(path: Path, network: hub.Published) -> None:
    """Whether the network is in the file is another test's matter."""


def fetch(name: str, *more: Any, holds: Any = holds, **options: Any) -> Path:
    return hub.fetch(name, holds, *more, **options)


CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REAL = dict(hub.PUBLISHED)


class Server(ThreadingHTTPServer):
    content = CONTENT
    announced: int | None = None  # Content-Length, where it is not the truth
    status = 200
    requests = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.announced or len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def networks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two published networks: one with the beginning of its digest, one without any."""
    base = f"http://127.0.0.1:{server.server_port}/some/where"
    known = replace(REAL["colorizer"], url=f"{base}/net-{DIGEST[:8]}.pth", sha256=DIGEST[:8])
    new = replace(REAL["facades_BtoA"], url=f"{base}/facades.pict", about_bytes=len(CONTENT))
    monkeypatch.setattr(published, "PUBLISHED", {"colorizer": known, "facades_BtoA": new})
    for module in (hub, cache):
        monkeypatch.setattr(module, "PUBLISHED", published.PUBLISHED)


@pytest.mark.parametrize("name", ["colorizer", "facades_BtoA"])
def test_downloaded_once(name: str, server: Server, home: Path) -> None:
    counts: list[int] = []
    path = fetch(name, advance=counts.append)
    assert path.read_bytes() == CONTENT and path.parent == home and sum(counts) == len(CONTENT)
    assert fetch(name) == fetch(name, offline=True) == hub.cached(name) == path
    assert server.requests == 1
    noted = json.loads((home / f"{path.name}.json").read_text())
    assert noted == {"url": published.PUBLISHED[name].url, "sha256": DIGEST}
    assert sorted(os.listdir(home)) == sorted([path.name, f"{path.name}.json"])
    (home / "other").touch()  # as everybody's umask has it: a cache may be shared
    assert path.stat().st_mode == (home / "other").stat().st_mode


def test_short_names(home: Path) -> None:
    path = fetch("facades")
    assert path == fetch("facades_BtoA", offline=True) == resolve("facades")
    short = [known.short_name for known in REAL.values()]
    assert "edges2cats" in short and len(set(short)) == len(short)
    with pytest.raises(FacegenError, match="no published network has this name"):
        fetch("facades_")


def test_another_digest_than_published(server: Server, home: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(FormatError, match=f"net-.*: expected SHA-256 {DIGEST[:8]}, found"):
        fetch("colorizer")
    assert os.listdir(home) == []


def test_another_file_than_the_first_time(server: Server, home: Path) -> None:
    path = fetch("facades_BtoA")
    path.unlink()
    server.content = b"x" + CONTENT[1:]
    with pytest.raises(FormatError, match=f"expected SHA-256 {DIGEST}, found"):
        fetch("facades_BtoA")
    assert os.listdir(home) == [f"{path.name}.json"]
    server.content = CONTENT
    assert fetch("facades_BtoA") == path


def test_a_cached_file_that_changed(server: Server) -> None:
    path = fetch("facades_BtoA")
    path.write_bytes(CONTENT[:-1])
    for offline in (False, True):
        with pytest.raises(FormatError, match="facades.pict: expected SHA-256 .*; remove it"):
            fetch("facades_BtoA", offline=offline)
    assert server.requests == 1


def test_a_damaged_record(home: Path) -> None:
    fetch("facades_BtoA")
    for text in ("{", "[]", "{}"):
        (home / "facades.pict.json").write_text(text)
        with pytest.raises(FormatError, match="facades.pict.json: .*remove it"):
            hub.cached("facades_BtoA")


@pytest.mark.parametrize("name", ["colorizer", "facades_BtoA"])
def test_an_interrupted_download(name: str, server: Server, home: Path) -> None:
    server.announced = len(CONTENT) + 1000
    with pytest.raises(DownloadFailure, match="http://127.0.0.1"):
        fetch(name)
    assert os.listdir(home) == []


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A .pict of pix2pix whose weights are all 0."""
    network = NETWORKS["pix2pix"]
    assert network.binary_layout is not None
    entries = [entry for entry in network.binary_layout if entry.constant is None]
    tensors = [{"name": tensorflow_name(e.name), "shape": list(e.file_shape)} for e in entries]
    parts = [json.dumps(tensors).encode(), bytes(1024)]
    parts.append(bytes(sum(math.prod(entry.file_shape) for entry in entries)))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


NO_NETWORKS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda whole: b"",
    "the page of a captive portal": lambda whole: b"<html><body>Please log in</body></html>",
    "a file cut short": lambda whole: whole[:-1],
    "its first bytes": lambda whole: whole[:1000],
    "zeros": lambda whole: bytes(len(whole)),
    "a file with a page behind it": lambda whole: whole + b"<html>",
}


@pytest.mark.parametrize("what", NO_NETWORKS)
def test_the_first_file_must_hold_the_network(
    what: str, whole: bytes, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be what all later ones must be."""
    known = replace(published.PUBLISHED["facades_BtoA"], about_bytes=len(whole))
    monkeypatch.setitem(published.PUBLISHED, "facades_BtoA", known)
    server.content = NO_NETWORKS[what](whole)
    with pytest.raises(FormatError, match="http://.*: what came is not facades_BtoA, and is not"):
        facegen.fetch("facades")
    assert os.listdir(home) == []
    if what == "a file cut short":
        server.content = whole
        assert facegen.fetch("facades").read_bytes() == whole
        assert sorted(os.listdir(home)) == ["facades.pict", "facades.pict.json"]
        (home / "facades.pict").unlink()
        server.content = whole[:-1] + b"x"  # holds the network, but another one
        with pytest.raises(FormatError, match="expected SHA-256"):
            facegen.fetch("facades")


def test_a_file_that_cannot_be_checked_is_not_kept(home: Path) -> None:
    def missing(path: Path, network: hub.Published) -> None:
        assert path.name == network.file_name  # some formats are known by their names
        raise FacegenError("it takes protobuf")

    with pytest.raises(FacegenError, match="facades.pict: what came cannot be checked.*protobuf"):
        fetch("facades_BtoA", holds=missing)
    assert os.listdir(home) == []
    assert fetch("colorizer", holds=missing)  # its digest is published


def test_what_killed_fetches_left_goes(home: Path) -> None:
    """Unless it is young, or a fetch that goes on."""
    elsewhere = home.parent / "elsewhere"
    for folder in (home / ".fetch-old", home / ".fetch-young", home / "mine", elsewhere):
        folder.mkdir(parents=True)
        (folder / "arriving").write_bytes(CONTENT)
    os.utime(home / ".fetch-old" / "arriving", (0, 0))
    (home / ".fetch-link").symlink_to(elsewhere)
    for path in (home / ".fetch-old", home / "mine", elsewhere, home / ".fetch-young"):
        os.utime(path, (0, 0))
    with place_of_arrival(home) as living:
        assert not (home / ".fetch-old").exists()
        os.utime(living, (0, 0))
        fetch("facades_BtoA")
        assert living.exists()
    kept = [".fetch-link", ".fetch-young", "facades.pict", "facades.pict.json", "mine"]
    assert sorted(os.listdir(home)) == kept and os.listdir(elsewhere) == ["arriving"]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "[" * 100_000, '{"sha256": ""}', '{"sha256": "9f"}', '{"sha256": NaN}', "9" * 5000,
        '{"sha256": 1e999}', "\xff", " " * (1 << 21)],
    ids=range(10),
)  # fmt: skip
def test_records_that_are_damaged(text: str, home: Path) -> None:
    """None vouches for a file, least of all for every one."""
    fetch("facades_BtoA")
    (home / "facades.pict.json").write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match="facades.pict.json: .*remove it"):
        hub.cached("facades_BtoA")


def test_a_server_that_says_no(server: Server, home: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadFailure, match="404"):
        fetch("colorizer")
    assert os.listdir(home) == []


def test_no_server(home: Path) -> None:
    with pytest.raises(DownloadFailure, match="127.0.0.1:9/.*: .*refused"):
        fetch("colorizer", mirror="http://127.0.0.1:9")
    assert os.listdir(home) == []


def test_too_large(server: Server, home: Path) -> None:
    server.content = CONTENT * 2
    with pytest.raises(FormatError, match="more than 320,000 bytes"):
        fetch("facades_BtoA")
    assert os.listdir(home) == []


NO_ADDRESSES = ["ftp://example.org", "/some/folder", "example.org", "http://", "http://[::1",
    "http://a:port", "http://a:99999999", "http://:80", "http://[", "http://]",
    "\0"]  # fmt: skip


@pytest.mark.parametrize("mirror", ["http://a..b", "http://*", "http://\0", f"http://{'a' * 300}"])
def test_addresses_that_nobody_has(mirror: str, home: Path) -> None:
    with pytest.raises(DownloadFailure):
        fetch("facades_BtoA", mirror=mirror)
    assert os.listdir(home) == []


def test_mirror(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    there = f"http://127.0.0.1:{server.server_port}"
    for name, network in published.PUBLISHED.items():
        elsewhere = replace(network, url=network.url.replace("http://", "http://nowhere.invalid/"))
        monkeypatch.setitem(published.PUBLISHED, name, elsewhere)
    assert fetch("colorizer", mirror=f"{there}/mirror/").read_bytes() == CONTENT
    for mirror in NO_ADDRESSES:
        with pytest.raises(FacegenError, match="expected a mirror's address"):
            fetch("facades_BtoA", mirror=mirror)
    assert main(["fetch", "facades_BtoA", "--mirror", "http://[::1", "-q"]) == 2


def test_offline(server: Server) -> None:
    with pytest.raises(FacegenError, match="facegen fetch colorizer"):
        fetch("colorizer", offline=True)
    assert server.requests == 0


def test_what_to_do_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was fetched: the address and the digest."""
    monkeypatch.setattr(cache, "PUBLISHED", REAL)
    for name, digest in (
        ("colorizer", "SHA-256 9b330a0b..."),
        ("squeezenet-torchvision", "SHA-256 b66bff10..."),
        ("squeezenet", "its SHA-256 is not published"),
        ("facades_BtoA", "its SHA-256 is not published"),
    ):
        with pytest.raises(FacegenError) as error:
            hub.cached(name)
        assert f"get it with facegen fetch {name}, or" in str(error.value)
        assert f"download {REAL[name].url} ({digest}) and name the file" in str(error.value)


def test_unknown_name() -> None:
    with pytest.raises(FacegenError, match="no published network has this name .colorizer, "):
        fetch("nothing")


def test_a_name_stands_for_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FacegenError, match="facegen fetch colorizer"):
        resolve("colorizer", "colorizer")
    assert resolve(None, "colorizer") == default.path("colours")  # until the better one is here
    path = fetch("colorizer")
    assert resolve("colorizer") == resolve(None, "colorizer") == path
    Path("colorizer").write_text("a file of that very name")
    assert resolve("colorizer") == "colorizer"


def test_the_command(
    capfd: pytest.CaptureFixture[str],
    server: Server,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "_check_published", holds)
    assert main(["fetch", "colorizer"]) == 0
    out, err = capfd.readouterr()
    assert out == f"{hub.cached('colorizer')}\n" and "Licence: BSD 2-Clause" in err
    assert main(["fetch"]) == 0
    assert "(fetched)" in capfd.readouterr().out.splitlines()[0]
    assert main(["fetch", "facades_BtoA", "--offline", "-q"]) == 2
    server.status = 500
    assert main(["fetch", "facades_BtoA", "-q"]) == 1
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 2 and "500" in err
    server.status = 200
    monkeypatch.setenv("FACEGEN_MIRROR", f"http://127.0.0.1:{server.server_port}/elsewhere")
    assert main(["fetch", "facades_BtoA", "-q"]) == 0
    noted = json.loads((home / "facades.pict.json").read_text())
    assert noted["url"].endswith("/elsewhere/facades.pict")


def test_what_is_published() -> None:
    """Names fit their files; all are fetched over https and are of networks that are known."""
    for name, network in REAL.items():
        assert network.name == name and network.url.startswith("https://")
        assert network.network in NETWORKS and network.licence
        if network.sha256 is not None:  # PyTorch's habit: NAME-DIGEST.pth
            assert network.file_name.endswith(f"-{network.sha256}.pth")
        elif network.network == "pix2pix":
            assert network.file_name == f"{name}.pict"
    assert len({network.file_name for network in REAL.values()}) == len(REAL)
