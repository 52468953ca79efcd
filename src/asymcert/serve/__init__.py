"""A run as a service: verdicts and certified radii over HTTP, and a page for people."""
