"""Web seeds from the node's side: probing one before it is trusted, and putting a dataset into a store."""
