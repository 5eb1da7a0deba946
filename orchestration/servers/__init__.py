"""The servers of one machine: started, watched and stopped as child processes, each with a log."""
