"""The FastAPI ranker: rankings, events, consent and privacy requests over HTTP."""
