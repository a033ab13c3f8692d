"""Headers of authentication, whatever stands in them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.accounts import Refusal
from halfopen.api.authentication import Bearer, EmailAndKey, authenticated, credentials
from halfopen.errors import CredentialsError, HeadersError, TokenError

NAMES = st.sampled_from([b"authorization", b"x-auth-email", b"x-auth-key", b"Authorization", b"accept"])
TOKENS = st.from_regex(r"[0-9A-Za-z_-]{40,80}", fullmatch=True)
SPACE = st.text(" ", min_size=1, max_size=3)


@settings(max_examples=100)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=90))))
def test_anything_is_taken_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with suppress(HeadersError, CredentialsError):  # and nothing else
        found = credentials(headers)
        assert found.token if isinstance(found, Bearer) else found.key


@settings(max_examples=100)
@given(TOKENS, st.sampled_from(["Bearer", "bearer", "BEARER"]), SPACE)
def test_a_token_comes_out_as_it_was(token: str, scheme: str, space: str) -> None:
    assert credentials([(b"authorization", f"{scheme}{space}{token}".encode())]) == Bearer(token)


@settings(max_examples=100)
@given(TOKENS, st.characters(exclude_categories=["L", "N"], exclude_characters="-_ \t", max_codepoint=255))
def test_a_foreign_character_is_a_bad_shape(token: str, foreign: str) -> None:
    for text in (f"Bearer {foreign}{token}", f"Bearer {token[:20]}{foreign}{token[20:]}"):
        with pytest.raises(HeadersError):
            credentials([(b"authorization", text.encode("latin-1"))])


@settings(max_examples=100)
@given(TOKENS, TOKENS)
def test_two_of_one_header_are_a_bad_shape(one: str, other: str) -> None:
    with pytest.raises(HeadersError):
        credentials([(b"authorization", f"Bearer {each}".encode()) for each in (one, other)])


@settings(max_examples=100)
@given(TOKENS, st.from_regex(r"[a-z]{1,20}@[a-z]{1,20}\.example", fullmatch=True))
def test_an_email_and_a_key_come_out_as_they_were(key: str, email: str) -> None:
    headers = [(b"x-auth-email", email.encode()), (b"x-auth-key", key.encode())]
    assert credentials(headers) == EmailAndKey(email, key)
    with pytest.raises(CredentialsError):
        credentials(headers[:1])
    with pytest.raises(CredentialsError):
        credentials(headers[1:])
    bearer = (b"authorization", b"Bearer " + b"x" * 40)
    assert credentials([*headers, bearer]) == Bearer("x" * 40)


class Nobody:
    def check(self) -> None: ...

    def verify(self, token: str) -> Refusal:
        return Refusal.expired

    def verify_key(self, email: str, key: str) -> Refusal:
        return Refusal.unknown

    def account(self, principal: object, identifier: str) -> None:
        return None


@pytest.mark.parametrize(("verifying", "status", "code"), [(False, 403, 9109), (True, 401, 1000)])
def test_why_a_token_is_refused_is_for_the_log(verifying: bool, status: int, code: int) -> None:
    with pytest.raises(TokenError) as failed:
        authenticated(Bearer("x"), Nobody(), verifying)
    assert (failed.value.status, failed.value.faults[0].code) == (status, code)
    assert failed.value.reason == "expired"
    assert "expired" not in str(failed.value)
