"""The sensor: from live packets to rows that are delivered, through a spool on disk."""
