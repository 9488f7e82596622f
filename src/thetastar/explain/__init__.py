"""What happens inside: models, runs and topics of the field, shown on real numbers."""
