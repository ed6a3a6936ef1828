"""Other registrars: consent, mirrors of their logs, cosignatures, and evidence when one of them lies."""
