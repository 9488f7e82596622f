"""Pure functions shared by data, measures, methods, models and algorithms."""
