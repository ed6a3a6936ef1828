"""The built-in HTTP tracker: BEP 3, 7, 23 and 48, for registered and untainted content only."""
