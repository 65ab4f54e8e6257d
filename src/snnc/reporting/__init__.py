"""Reports of artifacts for people: terminal and one self-contained HTML file."""
