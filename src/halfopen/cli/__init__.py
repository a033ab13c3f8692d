"""The command `halfopen`: one module per verb. Heavy parts are imported where a verb needs them."""
