"""What every route shares: envelope, errors, authentication, limits."""
