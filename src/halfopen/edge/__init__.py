"""Where connectors connect and visitors come in."""
