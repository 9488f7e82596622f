"""What a person reads: the HTML report and its figures."""
