"""From packets to judged connections: flow table, stages, signatures, evidence."""
