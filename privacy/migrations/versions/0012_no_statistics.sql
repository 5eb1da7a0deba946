-- The planner's statistics keep samples of a column's values, and what an analysis replaces stays in pg_statistic's pages: lookups of
-- destroyed key versions, words of people who were erased. None of these columns is ever searched by more than equality.
do $$
declare c record;
begin
  for c in select table_schema, table_name, column_name from information_schema.columns join information_schema.tables
             using (table_catalog, table_schema, table_name)
           where table_type = 'BASE TABLE' and (
             (table_schema in ('vault', 'requests', 'consent') and data_type = 'bytea')
             or (table_schema, table_name, column_name) in (
               ('requests', 'privacy_requests', 'detail'),
               ('shop', 'customers', 'body_shape'),
               ('shop', 'customers', 'preferred_sizes'),
               ('shop', 'feedback', 'text_masked'),
               ('shop', 'quiz_answers', 'answer'),
               ('shop', 'returns', 'reason'))) loop
    execute format('alter table %I.%I alter column %I set statistics 0', c.table_schema, c.table_name, c.column_name);
  end loop;
end $$;
