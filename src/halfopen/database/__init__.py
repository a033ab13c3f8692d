"""The database of users, tokens and tunnels: opened, brought up to date, watched for changes."""
