"""What the labelling page turns away: other sites, other machines, and bodies that are no answers."""

import json

import pytest
from labeller_examples import answers, fill, make_task, serving

TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("store") / "preferences.db", 3)


@pytest.fixture(scope="module")
def page(path):
    with serving(make_task(path)) as page:
        yield page


@pytest.fixture(autouse=True)
def nothing_is_stored(path):
    yield
    assert answers(path) == []


def good_body(page, **changes):
    body = {"annotator": "anna", "pair": page.work()["pairs"][0], "answer": "left", "seconds": 1.0}
    return json.dumps(body | changes).encode()


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1:1", "", "a@127.0.0.1", "192.168.1.4"],
)
def test_only_loopback_names_are_known(page, host):
    for address in ("/", "/api/work?annotator=anna", "/label.js"):
        status, content, _ = page.request("GET", address, Host=host)
        assert status == 421 and "not known by that name" in content["error"]
    assert page.request("GET", "/", Host=f"localhost:{page.port}")[0] == 200
    assert page.request("GET", "/", Host=f"[::1]:{page.port}")[0] == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1", "http://localhost:1"])
def test_answers_come_from_the_page_itself(page, origin):
    status, content, _ = page.request("POST", "/api/answers", good_body(page), Origin=origin)
    assert status == 403 and "from the labelling page only" in content["error"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_answers_are_json(page, kind):
    assert page.request("POST", "/api/answers", good_body(page), Content_Type=kind)[0] == 415


@pytest.mark.parametrize(
    "address",
    [
        *("/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/pages/label.js", "/server.py", "//etc/passwd"),
        *("/label.html", "/clips/../../preferences.db", "/clips/..%2f..%2fpreferences.db", "/api", "/%00"),
        *("/clips/" + "0" * 63, "/clips/" + "G" * 64, "/clips/" + "0" * 64 + "%0a", "/clips/" + "0" * 64 + "/x"),
        "/api/answers/../../x",
    ],
)
def test_no_path_leads_out(page, address):
    status, content, _ = page.request("GET", address)
    assert status == 404 and set(content) == {"error"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_change_nothing(page, method):
    assert page.request(method, "/api/answers")[0] == 405


@pytest.mark.parametrize(
    "changes",
    [{"answer": "LEFT"}, {"answer": None}, {"answer": ["left"]}, {"answer": "x" * 100}, {"pair": None}, {"pair": {}},
     {"pair": [1]}, {"seconds": "soon"}, {"seconds": -1}, {"seconds": True}, {"seconds": float("nan")},
     {"seconds": float("inf")}, {"annotator": None}, {"annotator": 7}, {"annotator": ""}, {"annotator": "oracle"},
     {"annotator": "a" * 41}, {"annotator": "a\u202eb"}, {"annotator": "a\ud800"}],
)  # fmt: skip
def test_bodies_that_are_no_answers(page, changes):
    status, content, _ = page.request("POST", "/api/answers", good_body(page, **changes))
    assert status == 400 and "\n" not in content["error"] and len(content["error"]) < 200


@pytest.mark.parametrize(
    "change",
    [
        *({"version": -1}, {"version": 1.0}, {"version": True}, {"version": 2**70}, {"key": "-1"}, {"key": "0x"}),
        *({"key": "٣"}, {"key": 0}, {"left": "../x"}, {"right": None}),
    ],
)
def test_pairs_that_were_never_sent(page, change):
    pair = page.work()["pairs"][0] | change
    status, content, _ = page.request("POST", "/api/answers", good_body(page, pair=pair))
    assert (status, content) == (400, {"error": "pair: not as the page sends it"})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 4000, b"7", b'{"a":' * 500])
def test_bodies_that_are_no_json_objects(page, body):
    assert page.request("POST", "/api/answers", body)[0] == 400


def test_a_huge_body_is_not_read_to_its_end(page):
    status, content, _ = page.request("POST", "/api/answers", b" " * 5000)
    assert (status, content) == (400, {"error": "more than 4096 bytes"})


@pytest.mark.parametrize(
    "query", ["annotator=", "", "annotator=oracle", "annotator=%00", "annotator=a&before=-1&given"]
)
def test_questions_that_make_no_sense(page, query):
    assert page.request("GET", f"/api/given?{query}")[0] == 400


def test_on_a_network_a_token_is_needed(path):
    with serving(make_task(path), TOKEN) as page:
        for address in (
            "/",
            "/api/work?annotator=anna",
            "/label.js",
            "/?token=wrong",
            "/?token=",
            "/nothing",
            "/?token=%ff",
        ):
            status, content, headers = page.request("GET", address)
            assert status == 401 and "with its token" in content["error"] and "set-cookie" not in headers
        status, _, _ = page.request("POST", "/api/answers", b"{}")
        assert status == 401
        status, _, headers = page.request("GET", "/?token=correct+horse+battery+staple")
        assert (status, headers["location"]) == (303, "/")  # it does not stay in the address bar
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        name = cookie.partition("=")[0]
        for value, expected in ((cookie.partition(";")[0], 200), (f"{name}=wrong", 401), (f"{name}=", 401)):
            assert page.request("GET", "/", Cookie=value)[0] == expected
        good = cookie.partition(";")[0]
        for host, expected in ((f"192.168.1.4:{page.port}", 200), (f"evil.example:{page.port}", 421)):
            assert page.request("GET", "/", Cookie=good, Host=host)[0] == expected
        assert page.request("POST", "/api/answers", b"{}", Cookie=good, Origin="http://evil.example")[0] == 403


def test_the_name_that_the_page_was_opened_by_is_known(path):
    with serving(make_task(path), TOKEN, "gpu1.example") as page:
        for host, expected in (("gpu1.example", 401), ("GPU1.example", 401), ("gpu2.example", 421)):
            assert page.request("GET", "/", Host=f"{host}:{page.port}")[0] == expected
