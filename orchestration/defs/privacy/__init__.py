"""Privacy requests in Dagster: the job that works on them and the sensor that starts it."""
