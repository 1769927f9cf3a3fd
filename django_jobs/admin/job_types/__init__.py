"""Job types: what fails, waits and takes time, by the name of the job."""
