"""Charts out of answers of the API: one function for each, which the dashboard, `halfopen plot` and notebooks share."""
