"""Who may ask: users, accounts and API tokens."""

from halfopen.accounts.principal import Account, Principal, Refusal, TokenRecord, User
from halfopen.accounts.records import Accounts

__all__ = ["Account", "Accounts", "Principal", "Refusal", "TokenRecord", "User"]
