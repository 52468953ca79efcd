"""Run folders: what was run, the model, and tables of rows that grow safely."""
