"""The registrar's web pages: rendered here, readable without JavaScript, with no request to anyone else."""
