"""This registrar's log as others see it: sealed with every transaction, proved, served, exported."""
