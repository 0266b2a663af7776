"""Workers: what runs one call at a time, in a thread, a process, an executor or on a cluster."""
