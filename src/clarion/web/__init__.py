"""What pages for people share, those of the dashboard and of the demo: requests that were read, pages and files."""
