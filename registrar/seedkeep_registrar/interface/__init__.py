"""How routes of the native interface are described, what they have in common, the OpenAPI document."""
