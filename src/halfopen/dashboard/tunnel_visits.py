"""What the pages of tunnels share: which tunnel is meant, who may look and who may change, and what is said once something was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from halfopen.accounts.permissions import TUNNELS_READ, TUNNELS_WRITE
from halfopen.dashboard.asking import Told
from halfopen.dashboard.pages import Act, Pages
from halfopen.dashboard.visits import Handler, Visit

PATH: Final = "/tunnels"

MISSING: Final = frozenset({403, 404})
"""How the API says of a tunnel that there is none: who may not see its account is told no more than that."""

DONE: Final[Mapping[str, str]] = {
    "created": "The tunnel is made. Start a connector with the command below.",
    "renamed": "The tunnel has its new name.",
    "rotated": "The secret is another one now. Start the connectors anew with the command below: their old token is refused.",
    "cleaned": "No connection that was there is left. A connector that still runs connects again by itself.",
    "deleted": "The tunnel is deleted.",
    "configured": "The configuration is kept, and sent to the connectors.",
}
"""What is said once something was done, by its name in the URL."""

_NO_TUNNEL: Final = "There is no such tunnel in the accounts that this token may see, or it was deleted."


@dataclass(frozen=True)
class Where:
    """Which tunnel a page is about."""

    account: str
    tunnel: str

    @classmethod
    def of(cls, visit: Visit) -> Where:
        """The one that the path of the request names."""
        return cls(visit.request.path_params["account"], visit.request.path_params["tunnel"])

    @property
    def page(self) -> str:
        """Its page."""
        return f"{PATH}/{quote(self.account, safe='')}/{quote(self.tunnel, safe='')}"

    @property
    def api(self) -> str:
        """Where the API has it."""
        return f"{account_path(self.account)}/cfd_tunnel/{quote(self.tunnel, safe='')}"


def account_path(account: str) -> str:
    """Where the API has an account; what was typed for its id leads nowhere else."""
    return f"/accounts/{quote(account, safe='')}"


def path(below: str = "") -> str:
    """The path of a page of one tunnel, for routes."""
    return f"{PATH}/{{account}}/{{tunnel}}{below}"


def may_change(visit: Visit) -> bool:
    """Whether the visitor's token may change tunnels."""
    return visit.principal.may(TUNNELS_WRITE)


def reading(pages: Pages, handler: Handler) -> Handler:
    """A page for those who may read tunnels."""
    return _allowed(pages, handler, TUNNELS_READ, "read")


def changing(pages: Pages, act: Act) -> Act:
    """What those may do who may change tunnels."""

    async def handle(visit: Visit, fields: Mapping[str, str]) -> Response:
        return await _allowed(pages, lambda visit: act(visit, fields), TUNNELS_WRITE, "change")(visit)

    return handle


def offering(pages: Pages, handler: Handler) -> Handler:
    """A page with a form that changes a tunnel, for those who may."""
    return _allowed(pages, handler, TUNNELS_WRITE, "change")


def _allowed(pages: Pages, handler: Handler, opened_by: frozenset[str], verb: str) -> Handler:
    async def handle(visit: Visit) -> Response:
        if visit.principal.may(opened_by):
            return await handler(visit)
        names = ", ".join(sorted(opened_by))
        words = f"The token that you are signed in with may not {verb} tunnels. One of these permissions lets it: {names}, admin."
        return pages.refusal(visit, words, 403)

    return handle


def refused(pages: Pages, visit: Visit, *told: Told) -> Response | None:
    """What is shown in the place of a page where the API did not tell what it needs; None where it did."""
    wrong = next((each for each in told if not each.good), None)
    if wrong is None:
        return None
    if wrong.status in MISSING:
        return pages.refusal(visit, _NO_TUNNEL, 404)
    return pages.refusal(visit, " ".join(wrong.faults), wrong.status)


async def named(visit: Visit) -> tuple[Where, Told, dict[str, Any]]:
    """The tunnel of a page: which, what the API says, and the result, empty where it says no or the tunnel is deleted."""
    where = Where.of(visit)
    told = await visit.api.get(where.api)
    if told.good and told.result["deleted_at"] is not None:
        told = Told(404, told.body)
    return where, told, told.result if told.good else {}
