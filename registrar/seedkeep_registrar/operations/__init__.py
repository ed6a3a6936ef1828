"""What whoever runs the registrar needs: logs, metrics, health, limits, backup, diagnosis."""
