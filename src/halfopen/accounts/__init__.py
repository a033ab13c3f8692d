"""Who may ask: users, accounts and API tokens."""
