"""Who may look, and for how long."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halfopen.dashboard.visits import local
from tests.dashboard.site import NAVIGATING, Site, Visitor, wait

PROXIED = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-host": "status.example"}


def cookie_of(answer: httpx.Response) -> tuple[str, SimpleCookie]:
    set_cookie = answer.headers["set-cookie"]
    return set_cookie.partition("=")[0], SimpleCookie(set_cookie)


def test_a_token_opens_the_pages_and_is_in_no_cookie(site: Site) -> None:
    token, _ = site.token()
    with site.visitor() as visitor:
        away = visitor.get("/connections?asn=64500")
        assert (away.status_code, away.headers["location"]) == (
            303,
            "/sign-in?next=%2Fconnections%3Fasn%3D64500",
        )
        assert 'value="/connections?asn=64500"' in visitor.get(away.headers["location"]).text
        answer = visitor.sign_in(token, "/connections?asn=64500")
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections?asn=64500")
        assert token not in answer.headers["set-cookie"]
        assert visitor.get("/connections").status_code == 200
        assert visitor.get("/sign-in").headers["location"] == "/"  # it is done


def test_the_cookie_is_for_this_host_and_no_script(site: Site) -> None:
    token, _ = site.token()
    with site.visitor() as visitor:
        name, cookie = cookie_of(visitor.sign_in(token))
        flags = cookie[name]
        assert name == "halfopen"
        assert (flags["httponly"], flags["samesite"], flags["path"]) == (True, "lax", "/")
        assert (flags["secure"], flags["domain"]) == ("", "")


def test_behind_a_proxy_with_https_the_cookie_is_bound_to_it(site: Site) -> None:
    token, _ = site.token()
    data = {"token": token}
    answer = httpx.post(f"{site.url}/sign-in", data=data, headers=PROXIED)
    name, cookie = cookie_of(answer)
    flags = cookie[name]
    assert name == "__Host-halfopen"
    assert (flags["secure"], flags["httponly"], flags["samesite"]) == (True, True, "lax")
    assert (flags["path"], flags["domain"]) == ("/", "")
    secret = cookie[name].value
    page = f"{site.url}/connections"
    good = httpx.get(page, headers={**NAVIGATING, **PROXIED, "cookie": f"__Host-halfopen={secret}"})
    assert good.status_code == 200
    # Without HTTPS anybody on the way could have set it, and over HTTPS the plain one.
    for headers in ({"cookie": f"__Host-halfopen={secret}"}, {**PROXIED, "cookie": f"halfopen={secret}"}):
        assert httpx.get(page, headers=headers).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "x" * 40, "\u00e9" * 40, "' OR 1=1 --" * 4, "x" * 5000])
def test_what_is_no_token_opens_nothing(site: Site, token: str) -> None:
    with site.visitor() as visitor:
        answer = visitor.sign_in(token)
        assert answer.status_code == 403
        assert "This token is not accepted" in answer.text
        assert "set-cookie" not in answer.headers
        assert visitor.get("/connections").status_code == 303


def test_a_sign_in_dies_with_its_token(site: Site) -> None:
    token, record = site.token()
    with site.visitor(token) as visitor, site.visitor() as late:
        assert visitor.get("/connections").status_code == 200
        site.revoke(record)
        assert visitor.get("/connections").status_code == 303
        assert visitor.get("/events", accept="text/event-stream").status_code == 401
        assert late.sign_in(token).status_code == 403


def test_an_expired_token_opens_nothing(site: Site) -> None:
    token, _ = site.token(expires=timedelta(microseconds=1))
    with site.visitor() as visitor:
        assert visitor.sign_in(token).status_code == 403


def test_who_has_few_permissions_is_told_so_in_words(site: Site) -> None:
    token, _ = site.token("radar:read")
    with site.visitor(token) as visitor:
        page = visitor.get("/connections")
        assert page.status_code == 403
        assert 'role="alert"' in page.text
        assert "<td><a href=" not in page.text


def test_signing_out_ends_it_on_the_server_too(site: Site) -> None:
    with site.visitor(site.token()[0]) as visitor:
        secret = visitor.client.cookies["halfopen"]
        answer = visitor.sign_out()
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "halfopen" not in visitor.client.cookies
        again = httpx.get(f"{site.url}/connections", cookies={"halfopen": secret})
        assert again.status_code == 401


def test_each_sign_in_is_its_own(site: Site) -> None:
    token, _ = site.token()
    with site.visitor(token) as one, site.visitor(token) as other:
        assert one.client.cookies["halfopen"] != other.client.cookies["halfopen"]
        assert one.form_token() != other.form_token()
        one.sign_out()
        assert other.get("/connections").status_code == 200


def test_a_cookie_opens_no_api(site: Site, visitor: Visitor) -> None:
    # Else the API would need the guards of forms, too.
    answer = visitor.get("/client/v4/user/tokens/verify")
    assert answer.status_code == 400
    assert answer.json()["success"] is False


def test_the_log_has_who_visits_and_no_secret(site: Site) -> None:
    token, record = site.token()
    with site.visitor(token) as visitor:
        secret = visitor.client.cookies["halfopen"]
        visitor.get("/connections?asn=64499")
    wait(lambda: f'"who":"token:{record.id}"' in (site.data / "log").read_text(), "a line about the visit")
    log = (site.data / "log").read_text()
    assert secret not in log
    assert token not in log


@given(st.text(max_size=40) | st.text(st.sampled_from("/\\.:@?#[]\t\n ae"), max_size=12))
@example("//[")
@example("/\\evil.example")
@example("//evil.example")
@example("https://evil.example/")
@example("/\t/evil.example")
@example("/.//evil.example")
def test_after_a_sign_in_nobody_is_led_elsewhere(target: str) -> None:
    found = local(target)
    parts = urlsplit(urljoin("http://here.example/sign-in", found.replace("\\", "/")))
    assert (parts.scheme, parts.netloc) == ("http", "here.example")
    assert found in (target, "/")


def test_a_target_elsewhere_is_not_followed(site: Site) -> None:
    token, _ = site.token()
    for target in (
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "//[",
        "javascript:alert(1)",
    ):
        with site.visitor() as visitor:
            page = visitor.client.get("/sign-in", params={"next": target})
            assert 'name="next" value="/"' in page.text
            assert visitor.sign_in(token, target).headers["location"] == "/"
            assert visitor.client.get("/sign-in", params={"next": target}).headers["location"] == "/"
