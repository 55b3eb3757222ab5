"""What runs beside the API: workers take due jobs through the pipeline's steps, the scheduler sweeps."""
