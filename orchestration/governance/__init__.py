"""What a privacy officer reads: retention, the record of processing, the facts of an impact assessment."""
