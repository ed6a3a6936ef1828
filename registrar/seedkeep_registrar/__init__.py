"""The registrar: the server an institution runs to record, prove and replicate datasets."""
