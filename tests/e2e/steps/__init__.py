"""The steps of the end-to-end test."""
