"""Who somebody is and what they may do: accounts, sessions, tokens, sign-in, keys bound to accounts."""
