select cast(generate_series(date '1995-01-01', current_date + 366, interval '1 day') as date) as day
